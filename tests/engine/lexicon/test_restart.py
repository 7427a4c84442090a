"""The lexicon job as processes: real phones, killed at any moment, and run again to equal bytes."""

import pandas as pd
import pytest

MOMENTS = ((1, 0.0), (3, 0.01), (6, 0.02))  # parts that are there, and seconds after them


@pytest.mark.parametrize("moments", [MOMENTS[1:2], pytest.param(MOMENTS, marks=pytest.mark.deep)])
def test_killed_runs_end_with_the_bytes_of_an_undisturbed_one(
    stored_numbers, tmp_path, job, files, written, moments
):
    def flags(out):
        return f"--store={stored_numbers}", f"--out={tmp_path / out}"

    whole = job("lexicon", *flags("whole")).summary()
    assert (whole["done"], whole["words"]) == (3, {"en": 8, "es": 8, "fr": 8})
    classes = pd.read_parquet(tmp_path / "whole" / "classes.parquet")
    assert (classes.groupby(["language_a", "language_b", "state", "pooling"]).n.sum() >= 8).all()
    killed = tmp_path / "killed"
    for count, delay in moments:
        ready = lambda count=count: len(written(killed, "parts/*.parquet")) >= count  # noqa: E731
        assert job("lexicon", *flags("killed")).killed_in(killed, ready, delay)
    assert job("lexicon", *flags("killed")).summary()["failed"] == {}
    for pattern in ("word_pairs.*", "classes.*", "parts/*.parquet"):
        assert files(tmp_path / "killed", pattern) == files(tmp_path / "whole", pattern)

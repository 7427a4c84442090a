"""jobs.interpret as a user runs it: exit codes, one line of JSON, killed with SIGKILL at random moments."""

import random

import pytest

TABLES = (
    "word_pairs.parquet",
    "word_types.parquet",
    "sentence_pairs.parquet",
    "checks.csv",
    "interpret.html",
)
PLAIN = ("--sentence_encoder=none", "--phones=none", "--pictures=0", "--states=all")


@pytest.fixture
def paths(spoken):
    return [f"--store={spoken}/store", f"--grid={spoken}/grid.zarr", f"--words={spoken}/words", *PLAIN]


@pytest.mark.parametrize("counts", [(5,), pytest.param((1, 2, 5, 12), marks=pytest.mark.deep)])
def test_killed_at_random_moments(job, paths, tmp_path, files, written, counts):
    """After so many parts are there, drafts not counted, and a little later."""
    out, before = tmp_path / "run", {}
    interpret = job("interpret", *paths, f"--out={out}")
    assert interpret.summary()["done"] == 6
    whole = out.rename(tmp_path / "whole")
    rng = random.Random(7)
    for count in counts:
        ready = lambda count=count: len(written(out, "parts/[!.]*.parquet")) >= count  # noqa: E731
        assert interpret.killed(ready, rng.uniform(0, 0.01))
        after = written(out, "parts/[!.]*.word_pairs.parquet")
        assert before.items() <= after.items(), "something done was lost or done again"
        before = after
    assert interpret.summary()["skipped"] >= counts[-1] // 2  # a unit is two files
    made, expected = files(out), files(whole)
    assert {name: made[name] for name in TABLES} == {name: expected[name] for name in TABLES}
    assert made.keys() == expected.keys()  # no draft of a killed process, neither


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--pairs=aa-zz"], ["--pairs=aa-zz", "aa-bb, aa-cc, bb-cc"]),
        (["--states=4"], ["--states=4", "1, final"]),
        (["--epsilon=0"], ["--epsilon"]),
        (["--words="], ["--words"]),
    ],
)
def test_bad_flags(paths, refusal, tmp_path, flags, words):
    message = refusal("interpret", *paths, f"--out={tmp_path}/never", *flags)
    assert all(word in message for word in words), message
    assert not (tmp_path / "never").exists()


def test_dry_run(job, paths, tmp_path):
    assert job("interpret", *paths, f"--out={tmp_path}/never", "--dry_run").summary()["plan"]["units"] == 6
    assert not (tmp_path / "never").exists()

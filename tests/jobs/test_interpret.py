"""jobs.interpret as a user runs it: exit codes, one line of JSON, killed with SIGKILL at random moments."""

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
def test_killed_at_random_moments(job, paths, tmp_path, killed_and_resumed, counts):
    out = tmp_path / "run"
    moments = [("parts/[!.]*.parquet", count) for count in counts]
    interpret = job("interpret", *paths, f"--out={out}")
    undisturbed, last, _, differing = killed_and_resumed(
        interpret, out, moments, "parts/[!.]*.word_pairs.parquet"
    )
    assert undisturbed["done"] == 6
    assert last["skipped"] >= counts[-1] // 2  # a unit is two files
    assert not differing.intersection(TABLES)


@pytest.mark.deep
def test_dry_run(job, paths, tmp_path):
    assert job("interpret", *paths, f"--out={tmp_path}/never", "--dry_run").summary()["plan"]["units"] == 6
    assert not (tmp_path / "never").exists()

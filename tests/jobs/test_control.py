"""jobs.control as a user runs it: exit codes, one line of JSON, killed with SIGKILL between its parts."""

TABLES = ("control.csv", "factors.parquet", "sentences.csv", "sentence_pairs.parquet", "agreement.csv")


def test_killed_at_random_moments(job, spoken, speech, tmp_path, killed_and_resumed):
    out = tmp_path / "run"
    flags = (
        f"--grid={spoken}/grid.zarr",
        f"--corpus=manifest:{speech}",
        "--phones=none",
        "--sentence_encoder=none",
    )
    control = job("control", *flags, f"--out={out}")
    moments = [("parts/[!.]*.parquet", count) for count in (1, 5)]
    undisturbed, last, _, differing = killed_and_resumed(
        control, out, moments, "parts/[!.]*.agreement.parquet"
    )
    assert undisturbed["done"] == 3
    assert last["done"] + last["skipped"] == 3
    assert not differing.intersection(TABLES)

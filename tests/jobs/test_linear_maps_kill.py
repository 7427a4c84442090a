"""jobs.linear_maps, killed with SIGKILL as a real process, and run again."""


def test_killed_at_some_moment_it_goes_on(spoken, tmp_path, job, killed_and_resumed):
    started = job(
        "linear_maps",
        f"--store={spoken}/store",
        f"--out={tmp_path}/out",
        "--folds=2",
        "--measures=meanpool,seqsim",
    )
    moments = (("parts/linear_maps/[!.]*.parquet", 1), ("linear_maps.csv", 1))
    first, last, before, differing = killed_and_resumed(
        started, tmp_path / "out", moments, "parts/linear_maps/[!.]*.parquet"
    )
    assert (last["done"] + last["skipped"], last["skipped"]) == (first["done"], len(before))
    assert not differing.intersection(("linear_maps.parquet", "linear_maps.csv", "linear_maps.svg"))

"""jobs.similarity, killed with SIGKILL as a real process, and run again."""


def test_killed_at_some_moment_it_goes_on(spoken, tmp_path, job, killed_and_resumed):
    started = job("similarity", f"--store={spoken}/store", f"--out={tmp_path}/out")
    moments = (("parts/similarity/[!.]*.parquet", 1), ("similarity.csv", 1))
    first, last, before, differing = killed_and_resumed(
        started, tmp_path / "out", moments, "parts/similarity/[!.]*.parquet"
    )
    assert (last["done"] + last["skipped"], last["skipped"]) == (first["done"], len(before))
    assert not differing.intersection(("similarity.parquet", "similarity.csv"))

"""demo/run.sh calls the three jobs in order, and stops where one fails."""

import functools

import pytest


@pytest.fixture
def run(script):
    return functools.partial(script, "run.sh")


def test_demo(run):
    assert run("demo", "", "demo", "out/demo") == (
        0,
        [
            "demo/speech.py .cache",
            "demo/weights.py .cache",
            "-m isogloss.jobs.extract --corpus=manifest:.cache/demo/manifest.tsv"
            " --model=.cache/whisper-base --store=out/demo/store",
            "-m isogloss.jobs.grid --store=out/demo/store --grid=out/demo/grid.zarr",
            "-m isogloss.jobs.report --grid=out/demo/grid.zarr --out=out/demo/report",
        ],
    )


def test_another_corpus_and_model(run):
    code, calls = run("fleurs:test", "en_us,fr_fr", "openai/whisper-base", "a b")
    assert code == 0
    assert calls[0] == (
        "-m isogloss.jobs.extract --corpus=fleurs:test --languages=en_us,fr_fr"
        " --model=openai/whisper-base --store=a b/store"
    )


@pytest.mark.parametrize(("fail", "made"), [("speech", 1), ("weights", 2), ("extract", 3), ("jobs.grid", 4)])
def test_stops_at_the_first_error(run, fail, made):
    code, calls = run("demo", "", "demo", "out", fail=fail)
    assert (code, len(calls)) == (3, made)

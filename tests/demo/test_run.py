"""demo/run.sh calls the three jobs in order, and stops where one fails; librosa is compiled meanwhile."""

import pytest

COMPILES = "-c import librosa; librosa.resample"


@pytest.fixture
def run(script):
    """Function that runs it; its exit code, and the calls it made in order, without that beside them."""

    def called(*arguments, **options):
        code, calls = script("run.sh", *arguments, **options)
        return code, [call for call in calls if call != COMPILES]

    return called


def test_librosa_is_compiled_before_recordings_are_read(script):
    """Where that fails, nothing is extracted."""
    code, calls = script("run.sh", "demo", "", "demo", "out", fail="librosa")
    assert (code, sorted(calls)) == (3, [COMPILES, "demo/speech.py .cache", "demo/weights.py .cache"])


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

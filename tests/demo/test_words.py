"""demo/words.sh calls the four jobs with what it was given."""

import pytest


@pytest.fixture
def run(script):
    """Calls that the script makes."""

    def calls(*arguments):
        code, made = script("words.sh", *arguments)
        assert code == 0
        return made

    return calls


def test_the_demo_of_all_languages(run):
    assert run("demo", "", "demo", "out", "en-fr", "6", "use-multilingual") == [
        "-m isogloss.jobs.transcribe --corpus=manifest:.cache/demo/manifest.tsv --model=.cache/whisper-base"
        " --states=6,final --exit_norm=both --out=out/exits",
        "-m isogloss.jobs.align --corpus=manifest:.cache/demo/manifest.tsv --model=.cache/whisper-base"
        " --out=out/words",
        "-m isogloss.jobs.interpret --store=out/store --grid=out/grid.zarr --words=out/words"
        " --corpus=manifest:.cache/demo/manifest.tsv --pairs=en-fr --states=6"
        " --sentence_encoder=use-multilingual --out=out/interpret",
        "-m isogloss.jobs.control --grid=out/grid.zarr --corpus=manifest:.cache/demo/manifest.tsv --pairs=all"
        " --sentence_encoder=use-multilingual --out=out/factors",
    ]


def test_some_languages(run):
    calls = run("fleurs:test", "en_us,fr_fr", "a/b", "out", "en_us-fr_fr", "6", "use-multilingual")
    assert ["--languages=en_us,fr_fr" in call for call in calls] == [True, True, False, False]
    assert ["--pairs=en_us-fr_fr" in call for call in calls] == [False, False, True, True]


@pytest.mark.parametrize(
    ("state", "exits"), [("final", "final"), ("4,final", "4,final"), ("all", "all"), ("4,5", "4,5,final")]
)
def test_no_state_is_named_twice(run, state, exits):
    assert f"--states={exits} --exit_norm" in run("demo", "", "demo", "out", "en-fr", state, "none")[0]

"""demo/run.sh calls the three jobs in order, and stops where one fails."""

import pathlib
import subprocess

import pytest

RUN = pathlib.Path(__file__).parents[2] / "demo/run.sh"


@pytest.fixture
def run(tmp_path):
    """Run the script with a Python that logs its arguments; it fails on the word given."""

    def call(*arguments, fail="nothing"):
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/log\ncase "$*" in *{fail}*) exit 3;; esac\n')
        python.chmod(0o755)
        (tmp_path / "log").unlink(missing_ok=True)
        done = subprocess.run(["bash", RUN, python, *arguments], cwd=tmp_path, check=False)
        return done.returncode, (tmp_path / "log").read_text().splitlines()

    return call


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

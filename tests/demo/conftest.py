"""Scripts of the demo, run with a stand-in for Python."""

import pathlib
import subprocess

import pytest

DEMO = pathlib.Path(__file__).parents[2] / "demo"


@pytest.fixture
def script(tmp_path):
    """Function that runs a script with a Python that only logs; its exit code and the calls it made."""

    def run(name, *arguments, fail="nothing"):
        python, log = tmp_path / "python", tmp_path / "log"
        python.write_text(f'#!/bin/sh\necho "$@" >> {log}\ncase "$*" in *{fail}*) exit 3;; esac\n')
        python.chmod(0o755)
        log.unlink(missing_ok=True)
        done = subprocess.run(["bash", DEMO / name, python, *arguments], cwd=tmp_path, check=False)
        return done.returncode, log.read_text().splitlines()

    return run

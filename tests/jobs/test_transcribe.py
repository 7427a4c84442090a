"""jobs.transcribe: flags that can't be, as a user gives them; what it does is in tests/engine."""

import subprocess
import sys

import pytest


def run(*flags):
    command = [sys.executable, "-m", "isogloss.jobs.transcribe", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        ([], 2, ["give --corpus, or --store", "not both"]),
        (["--corpus=manifest:a.tsv", "--store=b"], 2, ["not both"]),
        (["--corpus=manifest:a.tsv", "--states="], 2, ["--states is empty"]),
        (["--corpus=manifest:a.tsv", "--exit_norm=maybe"], 2, ["--exit_norm", "both"]),
    ],
)
def test_bad_flags(tmp_path, flags, code, words):
    done = run("--model=m", f"--out={tmp_path}/never", *flags)
    assert done.returncode == code, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "never").exists()


def test_a_model_without_a_tokenizer_says_what_to_give(tmp_path, speech, model_folder):
    done = run(f"--model={model_folder}", f"--corpus=manifest:{speech}", f"--out={tmp_path}/never")
    assert done.returncode == 2
    assert "--tokenizer=" in done.stderr
    assert not (tmp_path / "never").exists()

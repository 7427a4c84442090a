"""jobs.transcribe: flags that can't be, as a user gives them; what it does is in tests/engine."""

import pytest


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], ["give --corpus, or --store", "not both"]),
        (["--corpus=manifest:a.tsv", "--store=b"], ["not both"]),
        (["--corpus=manifest:a.tsv", "--states="], ["--states is empty"]),
        (["--corpus=manifest:a.tsv", "--exit_norm=maybe"], ["--exit_norm", "both"]),
    ],
)
def test_bad_flags(tmp_path, refusal, flags, words):
    message = refusal("transcribe", "--model=m", f"--out={tmp_path}/never", *flags)
    assert all(word in message for word in words), message
    assert not (tmp_path / "never").exists()


def test_a_model_without_a_tokenizer_says_what_to_give(tmp_path, job, speech, model_folder):
    never = tmp_path / "never"
    done = job("transcribe", f"--model={model_folder}", f"--corpus=manifest:{speech}", f"--out={never}").run()
    assert done.returncode == 2
    assert "--tokenizer=" in done.stderr
    assert "Traceback" not in done.stderr
    assert not never.exists()

"""Input that a job refuses: the words of its message, and nothing made."""

import json
import shutil

import pytest


@pytest.fixture
def refused(refusal, tmp_path, speech, model_folder, spoken):
    """Function from a job and further flags to its message; the first flags are right."""
    never = tmp_path / "never"
    source = [f"--corpus=manifest:{speech}", f"--model={model_folder}"]
    of_words = [f"--store={spoken}/store", f"--words={spoken}/words", "--sentence_encoder=none"]
    right = {
        "extract": [*source, f"--store={never}"],
        "grid": [f"--store={spoken}/store", f"--grid={never}"],
        "report": [f"--grid={spoken}/grid.zarr", f"--out={never}"],
        "transcribe": [f"--model={model_folder}", f"--out={never}"],
        "interpret": [*of_words, f"--grid={spoken}/grid.zarr", "--phones=none", f"--out={never}"],
        "bench": ["--suite=mel", "--quick"],
    }

    def message(job, *flags):
        found = refusal(job, *right[job], *flags)
        assert not never.exists()
        return found

    return message


@pytest.mark.parametrize(
    ("job", "flags", "words"),
    [
        ("extract", ["--languages=zz"], ["speech.tsv", "'zz'"]),
        ("extract", ["--states=5"], ["--states", "0, 1, 2, final"]),
        ("extract", ["--model=/nowhere/at/all"], ["/nowhere/at/all", "safetensors"]),
        ("extract", ["--num_shards=2", "--shard_index=2"], ["from 0 to 1"]),
        ("extract", ["--long=maybe"], ["--long", "truncate"]),
        ("grid", ["--pairs=aa-zz"], ["--pairs=aa-zz", "aa, bb, cc"]),
        ("grid", ["--pairs=bb-bb"], ["itself"]),
        ("grid", ["--states=0"], ["1, final"]),
        ("grid", ["--measures=cosine"], ["seqsim, precision"]),
        ("report", ["--grid=/nowhere"], ["/nowhere: there is no grid"]),
        ("report", ["--out=/proc/none/x"], ["/proc/none/x: must be a writable folder"]),
        ("transcribe", [], ["give --corpus, or --store", "not both"]),
        ("transcribe", ["--corpus=manifest:a.tsv", "--store=b"], ["not both"]),
        ("transcribe", ["--corpus=manifest:a.tsv", "--states="], ["--states is empty"]),
        ("transcribe", ["--corpus=manifest:a.tsv", "--exit_norm=maybe"], ["--exit_norm", "both"]),
        ("interpret", ["--pairs=aa-zz"], ["--pairs=aa-zz", "aa-bb, aa-cc, bb-cc"]),
        ("interpret", ["--states=4"], ["--states=4", "1, final"]),
        ("interpret", ["--epsilon=0"], ["--epsilon"]),
        ("interpret", ["--words="], ["--words"]),
        ("bench", ["--suite=seqsim,nonsense"], ["--suite must name some of seqsim"]),
        ("bench", ["--json=/proc/none/b"], ["/proc/none: must"]),
    ],
)
def test_wrong_flags(refused, job, flags, words):
    message = refused(job, *flags)
    assert all(word in message for word in words), message


def test_a_checkpoint_with_a_wrong_tensor(refused, tmp_path, model_folder):
    folder = shutil.copytree(model_folder, tmp_path / "cut-model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "encoder_layers": 3}))
    message = refused("extract", f"--model={folder}")
    assert "cut-model" in message
    assert "missing: encoder.layers.2" in message


def test_a_model_without_a_tokenizer(refused, speech):
    assert "--tokenizer=" in refused("transcribe", f"--corpus=manifest:{speech}")

"""Files of a speech encoder on the hub: those of the repository decide, not those in the cache."""

import json
import pathlib

import hub_client
import huggingface_hub
import pytest
from huggingface_hub import constants

from isogloss.engine.checkpoints import speech_checkpoint

PREFIXES = {"wav2vec2": "wav2vec2."}
FORMATS = ["model.safetensors", "pytorch_model.bin"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Snapshot in a cache, of which the hub can't be asked."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789" * 4
    repository = tmp_path / "models--facebook--xls-r"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    made = repository / "snapshots" / commit
    made.mkdir(parents=True)
    (made / "config.json").write_text(json.dumps({"model_type": "wav2vec2"}))
    (made / "preprocessor_config.json").write_text("{}")
    with hub_client.offline():
        yield made


def taken():
    opened, _ = speech_checkpoint.open_checkpoint("facebook/xls-r", None, PREFIXES)
    return [file.name for file in opened.files]


def _hub(folder: pathlib.Path, monkeypatch, there):
    """Make the hub have these files; the list of those that are fetched."""
    fetched = []

    def snapshot_download(repository, *, revision, allow_patterns):
        for name in set(allow_patterns) & set(there):
            fetched.append(name)
            (folder / name).write_bytes(name.encode())
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return fetched


def test_the_first_format_of_the_repository_is_taken_whatever_is_cached(folder, monkeypatch):
    (folder / "pytorch_model.bin").write_bytes(b"cached")
    fetched = _hub(folder, monkeypatch, FORMATS)
    assert taken() == fetched == ["model.safetensors"]


def test_an_older_repository_gives_its_only_format(folder, monkeypatch):
    fetched = _hub(folder, monkeypatch, FORMATS[1:])
    assert taken() == fetched == ["pytorch_model.bin"]


def test_without_a_network_the_first_cached_format_is_taken(folder):
    with pytest.raises(ValueError, match=r"has neither model\.safetensors nor pytorch_model\.bin"):
        taken()
    for name in reversed(FORMATS):
        (folder / name).write_bytes(b"cached")
        assert taken() == [name]

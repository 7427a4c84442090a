"""Checkpoints: the format of a path, names, hash, and reading piece by piece."""

import hashlib
import json

import numpy as np
import pytest
import safetensors.numpy

from isogloss.engine.checkpoints import checkpoint, dimensions
from small_models import config_of


@pytest.fixture
def folder(tmp_path, tiny):
    """Model in two shards; the tensors' values are their place in the table."""
    folder = tmp_path / "whisper-nano"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config_of(tiny)))
    shapes = dimensions.tensor_shapes(tiny)
    tensors = {n: np.full(s, i, np.float32) for i, (n, s) in enumerate(shapes.items())}
    shards = {n: f"model-0000{1 + n.startswith('d')}-of-00002.safetensors" for n in shapes}
    for shard in set(shards.values()):
        part = {name: tensors[name] for name in shapes if shards[name] == shard}
        safetensors.numpy.save_file(part, folder / shard)
    index = {"weight_map": shards}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_reads_by_canonical_name(folder, tiny):
    model = checkpoint.load_checkpoint(str(folder))
    assert model.dimensions == tiny
    assert model.alignment_heads is None
    for place, (name, shape) in enumerate(dimensions.tensor_shapes(tiny).items()):
        np.testing.assert_array_equal(model.read(name), np.full(shape, place, np.float32))


def test_an_unknown_name_is_refused(folder):
    with pytest.raises(ValueError, match=r"whisper-nano: .*got 'proj_out\.weight'"):
        checkpoint.load_checkpoint(str(folder)).read("proj_out.weight")


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("whisper-nano", "whisper-nano"),
        ("whisper-nano/", "whisper-nano"),
        (".", "whisper-nano"),
        ("../whisper-nano/../whisper-nano", "whisper-nano"),
        ("latest", "latest"),  # a link keeps the name that the user gave
        ("~/whisper-nano", "whisper-nano"),
    ],
)
def test_the_name_is_the_folders_however_it_is_spelt(folder, monkeypatch, spelling, name):
    (folder.parent / "latest").symlink_to(folder)
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.chdir(folder if spelling.startswith(".") else folder.parent)
    assert checkpoint.load_checkpoint(spelling).name == name


def test_hash_is_that_of_the_files_in_the_order_of_their_names(folder):
    shards = [folder / f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    expected = hashlib.sha256(b"".join(shard.read_bytes() for shard in shards)).hexdigest()
    assert checkpoint.load_checkpoint(str(folder)).sha256 == expected


def test_the_encoder_is_read_without_the_decoders_data(folder, tiny):
    """Only the decoder's header is needed: its numbers are made NaN, then cut off."""
    shard = folder / "model-00002-of-00002.safetensors"
    whole = bytearray(shard.read_bytes())
    start = 8 + int.from_bytes(whole[:8], "little")
    whole[start:] = b"\xff" * (len(whole) - start)
    shard.write_bytes(whole)
    model = checkpoint.load_checkpoint(str(folder))
    shard.write_bytes(whole[:start])
    for name in dimensions.tensor_shapes(tiny):
        if name.startswith("encoder."):
            model.read(name)
    with pytest.raises(ValueError, match="truncated"):
        model.read("decoder.layer_norm.weight")


@pytest.mark.parametrize("model", ["nowhere", "/nowhere/at/all", "a/b/c", "./a/b", "", "-/a", "a/ b"])
def test_what_is_neither_there_nor_a_hub_id_is_refused(model):
    with pytest.raises(ValueError, match=r"no such file or folder\. Remedy: give .*owner/name"):
        checkpoint.load_checkpoint(model)


def test_a_revision_belongs_to_a_hub_id(folder):
    with pytest.raises(ValueError, match="a revision, here 'main', belongs to a hub id"):
        checkpoint.load_checkpoint(str(folder), revision="main")


def test_a_folder_with_two_checkpoints_is_refused(folder):
    (folder / "model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"model\.bin and safetensors\. Remedy"):
        checkpoint.load_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"no checkpoint in this folder\. Remedy"),
        ("model.bin", r"model\.bin: .*truncated at 0 bytes"),
        ("model.safetensors", r"config\.json: missing"),
        ("config.json", r"neither model\.safetensors nor"),
    ],
)
def test_a_folder_goes_by_the_files_in_it(tmp_path, name, message):
    if name:
        (tmp_path / name).write_text("{}" if name.endswith(".json") else "")
    with pytest.raises(ValueError, match=message):
        checkpoint.load_checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("base.pt", r"base\.pt: truncated, or not the zip"),
        ("base.gguf", r"base\.gguf: a checkpoint file must end in \.pt\. Remedy"),
        ("model.safetensors", r"must end in \.pt\. Remedy: give a Hugging Face folder"),
    ],
)
def test_a_file_goes_by_its_name(tmp_path, name, message):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message):
        checkpoint.load_checkpoint(str(tmp_path / name))

"""Hugging Face checkpoints: folders written by safetensors, and by transformers where it is there."""

import dataclasses
import json
import shutil
import struct

import huggingface_hub
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from huggingface_hub import errors

from isogloss.engine.checkpoints import checkpoint, huggingface
from isogloss.engine.runtime import hub_faults
from isogloss.engine.runtime.refusal import Refusal, UnreachableError
from small_models import TINY, config_of

SIZES = dataclasses.replace(TINY, ffn=20)  # a feed-forward width of its own, as the config may say
CONFIG = config_of(SIZES) | {
    "activation_function": "gelu",
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 20,
}
CONV = "model.encoder.conv1.weight"
TIED = "proj_out.weight"
INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture
def tiny():
    return SIZES


@pytest.fixture
def stored(tensors):
    """Tensors by their names in the file."""
    return {f"model.{name}": value for name, value in tensors.items()}


def write(folder, tensors, config=CONFIG):
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def write_shards(folder, tensors, count):
    """Write tensor i to shard i mod count, and the index."""
    (folder / "config.json").write_text(json.dumps(CONFIG))
    names = [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    shards = {name: names[i % count] for i, name in enumerate(tensors)}
    for shard in names:
        part = {name: tensors[name] for name in tensors if shards[name] == shard}
        safetensors.numpy.save_file(part, folder / shard)
    index = {"metadata": {}, "weight_map": shards}
    (folder / INDEX).write_text(json.dumps(index))
    return names


@pytest.mark.parametrize("prefix", ["model.", ""])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_single_file(tmp_path, dtype, prefix, tensors, assert_holds):
    stored = {prefix + name: value.astype(dtype) for name, value in tensors.items()}
    assert_holds(huggingface.open_folder(write(tmp_path, stored)), tensors)


def test_shards(tmp_path, stored, tensors, assert_holds):
    names = write_shards(tmp_path, stored, 3)
    weights = huggingface.open_folder(tmp_path)
    assert_holds(weights, tensors)
    assert [file.name for file in weights.files] == names


def test_a_tied_projection_and_files_in_other_precisions_change_nothing(
    tmp_path, stored, tensors, assert_holds
):
    """As in folders of the hub."""
    write(tmp_path, stored | {TIED: tensors["decoder.embed_tokens.weight"]})
    (tmp_path / "model.fp32-00001-of-00002.safetensors").touch()
    assert_holds(huggingface.open_folder(tmp_path), tensors)


def test_alignment_heads_come_from_the_generation_config(tmp_path, stored):
    write(tmp_path, stored)
    assert huggingface.open_folder(tmp_path).alignment_heads is None
    (tmp_path / "generation_config.json").write_text('{"alignment_heads": [[0, 1]]}')
    assert huggingface.open_folder(tmp_path).alignment_heads == ((0, 1),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({CONV: None}, rf"missing: {CONV} \(6, 4, 3\)"),
        ({"model.x": np.ones(2, np.float32)}, r"surplus: model\.x \(2,\)"),
        ({"projector.bias": np.ones(2, np.float32)}, r"surplus: projector\.bias \(2,\)"),
        ({CONV: np.ones((6, 3, 4), np.float32)}, rf"{CONV} must be \(6, 4, 3\), but is \(6, 3, 4\)"),
        ({TIED: np.ones((10, 6), np.float32)}, rf"{TIED} must be \(11, 6\), but is \(10, 6\)"),
        ({CONV: np.ones((6, 4, 3), np.float64)}, "must be F32, F16, BF16, but .* is F64"),
    ],
)
@pytest.mark.parametrize("sharded", [False, True])
def test_other_tensors_are_refused(tmp_path, change, message, sharded, stored):
    changed = {n: v for n, v in (stored | change).items() if v is not None}
    if sharded:
        write_shards(tmp_path, changed, 2)
    else:
        write(tmp_path, changed)
    with pytest.raises(ValueError, match=rf"{tmp_path.name}.*: [\s\S]*{message}[\s\S]*Remedy"):
        huggingface.open_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "wav2vec2"}, "model_type must be 'whisper', but is 'wav2vec2'"),
        ({"activation_function": "relu"}, "activation_function must be 'gelu'"),
        ({"scale_embedding": True}, "scale_embedding must be False"),
        ({"decoder_attention_heads": 3}, "decoder_attention_heads must be 2, but is 3"),
        ({"decoder_ffn_dim": 24}, "decoder_ffn_dim must be 20, but is 24"),
        ({"d_model": None}, r"d_model .features of the model. must be a whole number, got None"),
        ({"encoder_attention_heads": 4, "decoder_attention_heads": 4}, "multiple of heads"),
    ],
)
def test_a_config_of_another_model_is_refused(tmp_path, change, message, stored):
    write(tmp_path, stored, CONFIG | change)
    with pytest.raises(ValueError, match=rf"config\.json: .*{message}.*Remedy"):
        huggingface.open_folder(tmp_path)


def lead_out(folder):
    """An index that names a file outside of its folder, which is there."""
    (folder / SHARDS[0]).rename(folder.parent / SHARDS[0])
    index = folder / INDEX
    index.write_text(index.read_text().replace(SHARDS[0], f"../{SHARDS[0]}"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), r"config\.json: missing"),
        (lambda folder: (folder / INDEX).rename(folder / "other.json"), r"neither model\.safetensors nor"),
        (lambda folder: (folder / SHARDS[1]).unlink(), rf"index\.json: .*not there: \['{SHARDS[1]}'\]"),
        (lead_out, "not there"),
        (lambda folder: shutil.copy(folder / SHARDS[0], folder / SHARDS[1]), r" is in both .*00001.*00002"),
        *(
            (lambda folder, text=text: (folder / INDEX).write_text(text), r"index\.json: ")
            for text in ("{}", '{"weight_map": {}}', '{"weight_map": ["a"]}', "no")
        ),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, damage, message, stored):
    folder = tmp_path / "model"
    folder.mkdir()
    write_shards(folder, stored, len(SHARDS))
    damage(folder)
    with pytest.raises(ValueError, match=rf"{message}.*Remedy"):
        huggingface.open_folder(folder)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, stored):
    file = write(tmp_path, stored) / "model.safetensors"
    whole = file.read_bytes()
    for size in [*range(0, len(whole), len(whole) // 97), len(whole) - 1]:
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"model\.safetensors: .*truncated at .*Remedy"):
            huggingface.open_folder(tmp_path)
    file.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match=r"model\.safetensors: .*longer than its tensors: .*Remedy"):
        huggingface.open_folder(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        "no JSON",
        "[1]",
        '{"a": 3}',
        '{"a": {"dtype": "F32", "shape": [2]}}',
        '{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}',
        '{"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}',
    ],
)
def test_a_damaged_header_is_refused(tmp_path, header, stored):
    file = write(tmp_path, stored) / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(8))
    with pytest.raises(ValueError, match=r"model\.safetensors: .*not a safetensors file.*Remedy"):
        huggingface.open_folder(tmp_path)


def test_a_weight_that_is_not_finite_is_an_error_when_read(tmp_path, stored):
    stored["model.decoder.layer_norm.bias"][2] = np.nan
    weights = huggingface.open_folder(write(tmp_path, stored))
    weights.tensors["encoder.conv1.weight"].read()  # the others stay readable
    with pytest.raises(ValueError, match=r"1 of 6 numbers of tensor model\.decoder\.layer_norm\.bias"):
        weights.tensors["decoder.layer_norm.bias"].read()


def test_download_asks_for_config_and_safetensors_only(tmp_path, monkeypatch, stored, tensors, assert_holds):
    asked = {}

    def snapshot_download(repository, *, revision, allow_patterns):
        asked.update(repository=repository, revision=revision, patterns=allow_patterns)
        return str(write(tmp_path, stored))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    model = checkpoint.load_checkpoint("openai/whisper-nano", revision="abc")
    assert model.name == "openai/whisper-nano"
    assert_holds(model.weights, tensors)
    assert (asked["repository"], asked["revision"]) == ("openai/whisper-nano", "abc")
    wanted = {"config.json", "generation_config.json", *SHARDS, "model.safetensors", INDEX}
    others = {
        "flax_model.msgpack",
        "model.fp32-00001-of-00002.safetensors",
        "pytorch_model.bin",
        "tokenizer.json",
    }
    fetched = huggingface_hub.utils.filter_repo_objects(wanted | others, allow_patterns=asked["patterns"])
    assert set(fetched) == wanted


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (errors.LocalEntryNotFoundError("no connection"), UnreachableError, "hub doesn't answer"),
        (ConnectionError("no connection"), UnreachableError, "hub doesn't answer"),
        (errors.HFValidationError("no connection"), Refusal, "neither on this disk"),
    ],
)
def test_a_hub_out_of_reach_is_explained(monkeypatch, error, kind, words):
    def snapshot_download(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    message = f"openai/whisper-base at revision 'abc': .*{words}.*no connection"
    with pytest.raises(kind, match=message):
        checkpoint.load_checkpoint("openai/whisper-base", revision="abc")


class Missing(getattr(errors, "RemoteEntryNotFoundError", errors.EntryNotFoundError)):  # one name before 1.0
    """The hub's answer without the answer of a server."""

    def __init__(self):
        Exception.__init__(self, "no such file")


@pytest.mark.parametrize("cached", [None, object()])
def test_a_small_file_that_a_model_lacks(tmp_path, monkeypatch, cached):
    """The hub's answer, also one in the cache, is known; no answer is an error."""
    (tmp_path / "generation_config.json").write_text("{}")
    assert huggingface.optional_file(str(tmp_path), "normalizer.json", None) is None
    assert huggingface.optional_file(str(tmp_path / "generation_config.json"), "config.json", None) is None
    there = huggingface.optional_file(str(tmp_path), "generation_config.json", None)
    assert there == tmp_path / "generation_config.json"
    asked = []

    def hf_hub_download(repository, file, *, revision):
        asked.append((repository, file, revision))
        raise raised

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: cached)
    raised = Missing()
    assert huggingface.optional_file("a/b", "normalizer.json", "abc") is None
    assert asked == [("a/b", "normalizer.json", "abc")]
    raised = errors.LocalEntryNotFoundError("no connection")
    if cached is None:
        with pytest.raises(UnreachableError, match=r"a/b: normalizer.json: .*doesn't answer.*no connection"):
            huggingface.optional_file("a/b", "normalizer.json", None)
    else:
        assert huggingface.optional_file("a/b", "normalizer.json", None) is None


def test_every_error_of_the_hub_is_caught():
    """What snapshot_download documents to raise."""
    for name in ("HfHubHTTPError", "LocalEntryNotFoundError", "OfflineModeIsEnabled", "HFValidationError"):
        assert issubclass(getattr(errors, name), hub_faults.errors())


@pytest.mark.parametrize("shard", ["10GB", "2KB"])
def test_what_transformers_saves(tmp_path, shard, assert_holds):
    torch = pytest.importorskip("torch", reason="transformers' Whisper is a PyTorch model")
    transformers = pytest.importorskip("transformers", reason="the oracle is its Whisper")
    config = transformers.WhisperConfig(
        **CONFIG, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3
    )
    torch.manual_seed(0)
    model = transformers.WhisperForConditionalGeneration(config)
    model.save_pretrained(tmp_path, max_shard_size=shard)
    weights = huggingface.open_folder(tmp_path)
    assert (len(weights.files) > 1) == (shard == "2KB")
    assert_holds(weights, {name: tensor.numpy() for name, tensor in model.model.state_dict().items()})

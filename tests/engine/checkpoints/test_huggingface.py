"""Hugging Face checkpoints: folders written by safetensors, and by transformers where it is there.

Values are eighths, which every float type holds, so all files must be read equal.
"""

import dataclasses
import json
import struct

import huggingface_hub
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from huggingface_hub import errors

from isogloss.engine.checkpoints import checkpoint, dimensions, huggingface

CONFIG = {
    "model_type": "whisper",
    "activation_function": "gelu",
    "num_mel_bins": 4,
    "d_model": 6,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "max_source_positions": 7,
    "max_target_positions": 5,
    "vocab_size": 11,
}
CONV = "model.encoder.conv1.weight"
TIED = "proj_out.weight"


@pytest.fixture(scope="session")
def tiny(tiny):
    """Its feed-forward width is its own, as the config may say."""
    return dataclasses.replace(tiny, ffn=20)


def make_tensors(tiny, prefix="model."):
    draw = np.random.default_rng(0)
    shapes = dimensions.tensor_shapes(tiny)
    return {prefix + n: np.float32(draw.integers(-9, 10, s) / 8) for n, s in shapes.items()}


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
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return names


def assert_holds(tiny, weights, tensors, prefix="model."):
    assert weights.dimensions == tiny
    assert list(weights.tensors) == list(dimensions.tensor_shapes(tiny))
    for name, stored in weights.tensors.items():
        values = stored.read()
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, tensors[prefix + name].astype(np.float32), name)


@pytest.mark.parametrize("prefix", ["model.", ""])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_single_file(tmp_path, dtype, prefix, tiny):
    tensors = {name: value.astype(dtype) for name, value in make_tensors(tiny, prefix).items()}
    assert_holds(tiny, huggingface.open_folder(write(tmp_path, tensors)), tensors, prefix)


def test_shards(tmp_path, tiny):
    tensors = make_tensors(tiny)
    names = write_shards(tmp_path, tensors, 3)
    weights = huggingface.open_folder(tmp_path)
    assert_holds(tiny, weights, tensors)
    assert [file.name for file in weights.files] == names


def test_files_that_do_not_belong_to_the_model_are_left_alone(tmp_path, tiny):
    """Hub folders hold the model in other precisions too: model.fp32-00001-of-00002..."""
    tensors = make_tensors(tiny)
    write(tmp_path, tensors)
    (tmp_path / "model.fp32-00001-of-00002.safetensors").write_bytes(b"")
    assert_holds(tiny, huggingface.open_folder(tmp_path), tensors)


def test_the_tied_projection_is_accepted_in_its_shape_only(tmp_path, tiny):
    tensors = make_tensors(tiny)
    tensors[TIED] = tensors["model.decoder.embed_tokens.weight"]
    assert_holds(tiny, huggingface.open_folder(write(tmp_path, tensors)), tensors)
    tensors[TIED] = tensors[TIED][:-1]
    with pytest.raises(ValueError, match=r"proj_out.weight must be \(11, 6\), but is \(10, 6\)"):
        huggingface.open_folder(write(tmp_path, tensors))


def test_alignment_heads_come_from_the_generation_config(tmp_path, tiny):
    write(tmp_path, make_tensors(tiny))
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
        ({CONV: np.ones((6, 4, 3), np.float64)}, "must be F32, F16, BF16, but .* is F64"),
    ],
)
@pytest.mark.parametrize("sharded", [False, True])
def test_other_tensors_are_refused(tmp_path, change, message, sharded, tiny):
    tensors = {n: v for n, v in (make_tensors(tiny) | change).items() if v is not None}
    if sharded:
        write_shards(tmp_path, tensors, 2)
    else:
        write(tmp_path, tensors)
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
def test_a_config_of_another_model_is_refused(tmp_path, change, message, tiny):
    write(tmp_path, make_tensors(tiny), CONFIG | change)
    with pytest.raises(ValueError, match=rf"config\.json: .*{message}.*Remedy"):
        huggingface.open_folder(tmp_path)


def test_a_missing_config_is_named(tmp_path, tiny):
    write(tmp_path, make_tensors(tiny))
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"config\.json: missing"):
        huggingface.open_folder(tmp_path)


def test_a_folder_without_safetensors_is_refused(tmp_path, tiny):
    write(tmp_path, make_tensors(tiny))
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"neither model\.safetensors nor .* Remedy"):
        huggingface.open_folder(tmp_path)


def test_missing_shards_are_named(tmp_path, tiny):
    names = write_shards(tmp_path, make_tensors(tiny), 3)
    (tmp_path / names[1]).unlink()
    with pytest.raises(ValueError, match=rf"index\.json: .*not there: \['{names[1]}'\].*Remedy"):
        huggingface.open_folder(tmp_path)


@pytest.mark.parametrize("index", ["{}", '{"weight_map": {}}', '{"weight_map": ["a"]}', "no"])
def test_a_damaged_index_is_named(tmp_path, index, tiny):
    write_shards(tmp_path, make_tensors(tiny), 2)
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ValueError, match=r"index\.json: .*Remedy"):
        huggingface.open_folder(tmp_path)


def test_an_index_cannot_leave_its_folder(tmp_path, tiny):
    folder = tmp_path / "model"
    folder.mkdir()
    names = write_shards(folder, make_tensors(tiny), 2)
    (folder / names[0]).rename(tmp_path / names[0])
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace(names[0], f"../{names[0]}"))
    with pytest.raises(ValueError, match="not there"):
        huggingface.open_folder(folder)


def test_a_tensor_in_two_shards_is_refused(tmp_path, tiny):
    tensors = make_tensors(tiny)
    names = write_shards(tmp_path, tensors, 2)
    safetensors.numpy.save_file(tensors, tmp_path / names[1])
    with pytest.raises(ValueError, match=rf" is in both {names[0]} and {names[1]}\. Remedy"):
        huggingface.open_folder(tmp_path)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, tiny):
    file = write(tmp_path, make_tensors(tiny)) / "model.safetensors"
    whole = file.read_bytes()
    for size in [*range(0, len(whole), len(whole) // 97), len(whole) - 1]:
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"model\.safetensors: .*truncated at .*Remedy"):
            huggingface.open_folder(tmp_path)


def test_bytes_after_the_end_are_refused(tmp_path, tiny):
    file = write(tmp_path, make_tensors(tiny)) / "model.safetensors"
    file.write_bytes(file.read_bytes() + b"\0")
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
def test_a_damaged_header_is_refused(tmp_path, header, tiny):
    file = write(tmp_path, make_tensors(tiny)) / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(8))
    with pytest.raises(ValueError, match=r"model\.safetensors: .*not a safetensors file.*Remedy"):
        huggingface.open_folder(tmp_path)


def test_a_weight_that_is_not_finite_is_an_error_when_read(tmp_path, tiny):
    tensors = make_tensors(tiny)
    tensors["model.decoder.layer_norm.bias"][2] = np.nan
    weights = huggingface.open_folder(write(tmp_path, tensors))
    weights.tensors["encoder.conv1.weight"].read()  # the others stay readable
    with pytest.raises(ValueError, match=r"1 of 6 numbers of tensor model\.decoder\.layer_norm\.bias"):
        weights.tensors["decoder.layer_norm.bias"].read()


def test_download_asks_for_config_and_safetensors_only(tmp_path, monkeypatch, tiny):
    asked = {}

    def snapshot_download(repository, *, revision, allow_patterns):
        asked.update(repository=repository, revision=revision, patterns=allow_patterns)
        return str(write(tmp_path, make_tensors(tiny)))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    model = checkpoint.load_checkpoint("openai/whisper-nano", revision="abc")
    assert model.name == "openai/whisper-nano"
    assert_holds(tiny, model.weights, make_tensors(tiny))
    assert (asked["repository"], asked["revision"]) == ("openai/whisper-nano", "abc")
    listed = [
        "config.json",
        "flax_model.msgpack",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model.fp32-00001-of-00002.safetensors",
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "tokenizer.json",
    ]
    fetched = huggingface_hub.utils.filter_repo_objects(listed, allow_patterns=asked["patterns"])
    assert set(listed) - set(fetched) == {
        "flax_model.msgpack",
        "model.fp32-00001-of-00002.safetensors",
        "pytorch_model.bin",
        "tokenizer.json",
    }


@pytest.mark.parametrize(
    "error",
    [
        errors.LocalEntryNotFoundError("no connection"),
        errors.OfflineModeIsEnabled("no connection"),
        errors.HFValidationError("no connection"),
        ConnectionError("no connection"),
    ],
)
def test_a_hub_out_of_reach_is_explained(monkeypatch, error):
    def snapshot_download(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    message = "openai/whisper-base at revision 'abc': neither on this disk.*no connection.*Remedy"
    with pytest.raises(ValueError, match=message):
        checkpoint.load_checkpoint("openai/whisper-base", revision="abc")


class Missing(getattr(errors, "RemoteEntryNotFoundError", errors.EntryNotFoundError)):  # one name before 1.0
    """The hub's answer without the answer of a server."""

    def __init__(self):
        Exception.__init__(self, "no such file")


@pytest.mark.parametrize("cached", [None, object()])
def test_a_small_file_that_a_model_lacks(tmp_path, monkeypatch, cached):
    """The hub says so, or said so before: that is known. No answer is an error, and no "there is none"."""
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
        with pytest.raises(ValueError, match=r"can't be reached to look for normalizer.json.*no connection"):
            huggingface.optional_file("a/b", "normalizer.json", None)
    else:
        assert huggingface.optional_file("a/b", "normalizer.json", None) is None


def test_every_error_of_the_hub_is_caught():
    """What snapshot_download documents to raise is an OSError or a bad name."""
    for name in ("HfHubHTTPError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"):
        assert issubclass(getattr(errors, name), OSError)


@pytest.mark.parametrize("shard", ["10GB", "2KB"])
def test_what_transformers_saves(tmp_path, shard, tiny):
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
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    assert_holds(tiny, weights, state)

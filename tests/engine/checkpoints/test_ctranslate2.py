"""CTranslate2 checkpoints: files written here as CTranslate2's converter writes them."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from isogloss.engine.checkpoints import ctranslate2, model_folder
from isogloss.engine.checkpoints.checkpoint import load_checkpoint

TYPES = [np.float32, np.int8, np.int16, np.int32, np.float16, ml_dtypes.bfloat16]
HEADER = (6, "WhisperSpec", 3)


@pytest.fixture
def tensors(tensors):
    """Some are equal, so that aliases arise."""
    for kind in ("weight", "bias"):
        tensors[f"encoder.layers.1.fc1.{kind}"] = tensors[f"encoder.layers.0.fc1.{kind}"]
        tensors[f"decoder.layers.0.fc2.{kind}"][:] = 0  # a row of zeros has scale 1
    return tensors


@pytest.fixture
def variables(tiny, tensors):
    """What the converter makes of them."""
    return convert(tiny, tensors)


def convert(tiny, tensors):
    """Variables of the converter: rows fused, absent biases zero, scalars added."""
    out = {}

    def linear(target, *sources):
        out[f"{target}/weight"] = np.concatenate([tensors[f"{s}.weight"] for s in sources])
        absent = np.zeros(tiny.features, np.float32)
        biases = [tensors.get(f"{s}.bias", absent) for s in sources]
        out[f"{target}/bias"] = np.concatenate(biases)

    def norm(target, source):
        out[f"{target}/gamma"] = tensors[f"{source}.weight"]
        out[f"{target}/beta"] = tensors[f"{source}.bias"]

    def layer(target, source, cross):
        q, k, v, o = (f"{source}.self_attn.{p}_proj" for p in ("q", "k", "v", "out"))
        linear(f"{target}/self_attention/linear_0", q, k, v)
        linear(f"{target}/self_attention/linear_1", o)
        norm(f"{target}/self_attention/layer_norm", f"{source}.self_attn_layer_norm")
        if cross:
            q, k, v, o = (f"{source}.encoder_attn.{p}_proj" for p in ("q", "k", "v", "out"))
            linear(f"{target}/attention/linear_0", q)
            linear(f"{target}/attention/linear_1", k, v)
            linear(f"{target}/attention/linear_2", o)
            norm(f"{target}/attention/layer_norm", f"{source}.encoder_attn_layer_norm")
        linear(f"{target}/ffn/linear_0", f"{source}.fc1")
        linear(f"{target}/ffn/linear_1", f"{source}.fc2")
        norm(f"{target}/ffn/layer_norm", f"{source}.final_layer_norm")

    for side, count in (("encoder", tiny.encoder_layers), ("decoder", tiny.decoder_layers)):
        for index in range(count):
            layer(f"{side}/layer_{index}", f"{side}.layers.{index}", side == "decoder")
        norm(f"{side}/layer_norm", f"{side}.layer_norm")
        positions = f"{side}.embed_positions.weight"
        out[f"{side}/position_encodings/encodings"] = tensors[positions]
        out[f"{side}/num_heads"] = np.int16(tiny.heads)
    linear("encoder/conv1", "encoder.conv1")
    linear("encoder/conv2", "encoder.conv2")
    out["decoder/embeddings/weight"] = tensors["decoder.embed_tokens.weight"]
    out["decoder/projection/weight"] = tensors["decoder.embed_tokens.weight"]
    out |= {"decoder/activation": np.int8(3), "decoder/alignment_layer": np.int16(-1)}
    out |= {f"decoder/{key}": np.int8(0) for key in ("alibi", "scale_embeddings")}
    return out | {"decoder/pre_norm": np.int8(1)}


def find_aliases(variables):
    """Names whose value an earlier name in the alphabet has: alias -> that name."""
    aliases = {}
    for name, value in variables.items():
        for other in sorted(variables):
            if other >= name or value.ndim == 0:
                break
            if np.array_equal(value, variables[other]):
                aliases[name] = other
                break
    return aliases


def quantize(variables, weight_type, other_type):
    """Weights of linear layers and embeddings to int8 or int16, all else to floats."""
    out = {}
    for name, value in variables.items():
        linear = name.endswith("/weight") and "conv" not in name
        if value.ndim == 0:
            out[name] = value
        elif not linear or weight_type not in (np.int8, np.int16):
            out[name] = value.astype(weight_type if linear else other_type)
        elif weight_type == np.int16:
            out[f"{name}_scale"] = np.float32(2**10 / np.abs(value).max(initial=1))
            out[name] = np.rint(value * out[f"{name}_scale"]).astype(np.int16)
        else:
            largest = np.abs(value).max(axis=1)
            out[f"{name}_scale"] = np.float32(127) / np.where(largest == 0, 127, largest)
            out[name] = np.rint(value * out[f"{name}_scale"][:, None]).astype(np.int8)
    return out


def binary(variables, aliases, header=HEADER):
    """Bytes of a model.bin."""

    def string(text):
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    version, specification, revision = header
    out = [struct.pack("<I", version), string(specification), struct.pack("<I", revision)]
    out.append(struct.pack("<I", len(variables)))
    for name in sorted(variables):
        value = np.asarray(variables[name])
        out.append(string(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape))
        out.append(struct.pack("<BI", TYPES.index(value.dtype), value.nbytes) + value.tobytes())
    out.append(struct.pack("<I", len(aliases)))
    out += [string(alias) + string(name) for alias, name in aliases.items()]
    return b"".join(out)


def write(folder, variables, aliases=None):
    (folder / "model.bin").write_bytes(binary(variables, aliases or {}))
    return folder


def write_as(folder, variables, weight_type, other_type):
    """Write model.bin as `ct2-transformers-converter --quantization` does."""
    aliases = find_aliases(variables)
    assert len(aliases) >= 3  # projection and embedding, fc1 twice
    kept = {name: value for name, value in variables.items() if name not in aliases}
    return write(folder, quantize(kept, weight_type, other_type), aliases)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_float_files_are_read_exactly(tmp_path, dtype, variables, tensors, assert_holds):
    assert_holds(ctranslate2.open_folder(write_as(tmp_path, variables, dtype, dtype)), tensors)


@pytest.mark.parametrize("other", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("integer", "steps"), [(np.int8, 127), (np.int16, 1024)])
def test_quantised_files_are_read_within_half_a_step(tmp_path, integer, steps, other, tensors, variables):
    weights = ctranslate2.open_folder(write_as(tmp_path, variables, integer, other))
    coarse = 0
    for name, expected in tensors.items():
        found = weights.tensors[name].read()
        if weights.tensors[name].dtype == integer:
            # Half a step of the largest magnitude, 9/8; float32 adds less than 1e-6.
            np.testing.assert_allclose(found, expected, rtol=0, atol=9 / 8 / steps / 2 + 1e-6)
            coarse += 1
        else:
            np.testing.assert_array_equal(found, expected, name)
    assert coarse == 2 * 6 + 10 + 1  # linear layers of 2 + 1 blocks, and the embedding


def test_scales_belong_to_their_rows(tmp_path, tiny, tensors):
    # Whole numbers up to 127 with 127 in each row: scale 1 / 2^row, exact.
    names = [f"encoder.layers.0.self_attn.{part}_proj.weight" for part in "qkv"]
    for seed, name in enumerate(names):
        tensors[name] = np.float32(np.random.default_rng(seed).integers(-127, 128, (6, 6)))
        tensors[name][:, 0] = 127
        tensors[name] *= np.float32(2) ** np.arange(6, dtype=np.float32)[:, None]
    weights = ctranslate2.open_folder(write_as(tmp_path, convert(tiny, tensors), np.int8, np.float32))
    for name in names:
        np.testing.assert_array_equal(weights.tensors[name].read(), tensors[name])


def test_alignment_heads_come_from_the_config(tmp_path, variables):
    write(tmp_path, variables)
    assert ctranslate2.open_folder(tmp_path).alignment_heads is None
    (tmp_path / "config.json").write_text(json.dumps({"alignment_heads": [[0, 1], [0, 0]]}))
    assert ctranslate2.open_folder(tmp_path).alignment_heads == ((0, 1), (0, 0))


@pytest.mark.parametrize("text", ["{", "[]", '{"alignment_heads": [[1]]}', '{"alignment_heads": 3}'])
def test_a_damaged_config_is_named(tmp_path, text, variables):
    write(tmp_path, variables)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json: .*Remedy"):
        ctranslate2.open_folder(tmp_path)


@pytest.mark.parametrize(
    ("header", "aliases", "tail", "message"),
    [
        ((5, "WhisperSpec", 3), {}, b"", "binary version must be 6, got 5"),
        ((7, "WhisperSpec", 3), {}, b"", "binary version must be 6, got 7"),
        ((6, "WhisperSpec", 2), {}, b"", "'WhisperSpec', 2"),
        ((6, "TransformerSpec", 7), {}, b"", "TransformerSpec"),
        (HEADER, {}, b"\0", "1 bytes after its end"),
        (HEADER, {"decoder/x": "decoder/y"}, b"", "alias decoder/x of decoder/y"),
    ],
)
def test_another_or_a_damaged_file_is_refused(tmp_path, header, aliases, tail, message, variables):
    (tmp_path / "model.bin").write_bytes(binary(variables, aliases, header) + tail)
    with pytest.raises(ValueError, match=message):
        ctranslate2.open_folder(tmp_path)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, variables):
    whole = binary(variables, {"a": "encoder/conv1/bias"})
    for size in [*range(0, len(whole), len(whole) // 97), len(whole) - 1]:
        (tmp_path / "model.bin").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"model\.bin: .*truncated at .*Remedy"):
            ctranslate2.open_folder(tmp_path)


CONV = "encoder/conv1/weight"
FC1 = "encoder/layer_1/ffn/linear_0/weight"
FUSED = "decoder/layer_0/self_attention/linear_0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({FC1: None}, rf"missing: {FC1} \(24, 6\)"),
        ({CONV: None}, rf"{CONV} must have 3 axes, but is missing"),
        ({CONV: np.ones((6, 4), np.float32)}, rf"{CONV} must have 3 axes, but has shape \(6, 4\)"),
        ({"encoder/layer_1/x": np.ones(2, np.float32)}, r"surplus: encoder/layer_1/x \(2,\)"),
        ({"decoder/x": np.int8(1)}, r"surplus: decoder/x \(\)"),
        ({f"{FC1}_scale": np.ones(24, np.float32)}, f"surplus: {FC1}_scale"),
        ({FC1: np.ones((6, 24), np.float32)}, rf"{FC1} must be \(24, 6\), but is \(6, 24\)"),
        ({f"{FUSED}/bias": np.ones(12, np.float32)}, rf"{FUSED}/bias must be \(18,\), but is \(12,\)"),
        ({f"{FUSED}/bias": np.ones(18, np.float32)}, f"the rows of {FUSED}/bias for k must be zeros"),
        ({FC1: np.ones((24, 6), np.int8)}, f"needs {FC1}_scale.*found nothing"),
        ({FC1: np.ones((24, 6), np.int8), f"{FC1}_scale": np.ones(6, np.float32)}, r"float32 \(6,\)"),
        ({"decoder/projection/weight": np.ones((10, 6), np.float32)}, r"must be \(11, 6\), but is \(10"),
        ({"decoder/activation": np.int8(1)}, "decoder/activation must be 3 in a Whisper.*is 1"),
        ({"decoder/pre_norm": np.int8(0)}, "decoder/pre_norm must be 1"),
        ({"decoder/num_heads": np.int16(3)}, r"the same number of heads, got \[2, 3\]"),
        ({"encoder/num_heads": np.int16(4), "decoder/num_heads": np.int16(4)}, "multiple of heads"),
        ({"encoder/num_heads": None, "decoder/num_heads": None}, r"heads, got \[\]"),
        ({"decoder/embeddings/weight": np.ones((0, 6), np.float32)}, "vocabulary must be at least 1"),
    ],
)
def test_another_model_is_refused(tmp_path, change, message, variables):
    changed = variables | change
    write(tmp_path, {name: value for name, value in changed.items() if value is not None})
    with pytest.raises(ValueError, match=rf"model\.bin: [\s\S]*{message}[\s\S]*Remedy"):
        ctranslate2.open_folder(tmp_path)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_a_folder_made_of_it_loads_in_transformers_with_its_numbers(tmp_path, dtype, variables):
    """Floats keep their format in the encoder, quantised numbers become float32; the decoder is float32."""
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")
    transformers = pytest.importorskip("transformers", reason="the oracle is its Whisper")
    write_as(tmp_path, variables, dtype, np.float32 if dtype == np.int8 else dtype)
    source, out = load_checkpoint(str(tmp_path)), tmp_path / "out"
    decoder = {name: source.read(name) for name in source.weights.tensors if name.startswith("decoder.")}
    special = {f"{name}_token_id": 10 for name in ("bos", "eos", "pad", "decoder_start")}
    files = {
        "config.json": model_folder.configuration(source, special),
        "generation_config.json": model_folder.generation_settings(source, special),
    }
    model_folder.write(out, source, decoder, files)
    stored = safetensors.numpy.load_file(out / "model.safetensors")
    kept = np.float32 if dtype == np.int8 else dtype
    formats = {side: {v.dtype for n, v in stored.items() if side in n} for side in ("encoder.l", "decoder.l")}
    assert formats == {"encoder.l": {np.dtype(kept)}, "decoder.l": {np.dtype(np.float32)}}
    model = transformers.WhisperForConditionalGeneration.from_pretrained(out)
    assert model.generation_config.decoder_start_token_id == model.config.decoder_start_token_id == 10
    held = model.model.state_dict()
    assert held.keys() == source.weights.tensors.keys()
    for name, value in held.items():
        assert value.dtype == torch.float32
        np.testing.assert_array_equal(value.numpy(), source.read(name), name)


def test_the_projection_may_be_left_out(tmp_path, tiny, variables):
    del variables["decoder/projection/weight"]
    assert ctranslate2.open_folder(write(tmp_path, variables)).dimensions == tiny


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_an_error_when_read(tmp_path, wrong, tiny, tensors):
    tensors["decoder.layer_norm.bias"][0] = wrong
    weights = ctranslate2.open_folder(write(tmp_path, convert(tiny, tensors)))
    weights.tensors["encoder.conv1.weight"].read()  # the others stay readable
    with pytest.raises(ValueError, match=r"model\.bin: .*1 of 6 numbers of tensor .*layer_norm/beta"):
        weights.tensors["decoder.layer_norm.bias"].read()


def test_a_scale_of_zero_is_an_error_when_read(tmp_path, variables):
    variables = quantize(variables, np.int8, np.float32)
    variables["decoder/embeddings/weight_scale"][3] = 0
    weights = ctranslate2.open_folder(write(tmp_path, variables))
    with pytest.raises(ValueError, match="finite"):
        weights.tensors["decoder.embed_tokens.weight"].read()


def test_a_file_cut_after_opening_is_an_error_when_read(tmp_path, variables):
    weights = ctranslate2.open_folder(write(tmp_path, variables))
    (tmp_path / "model.bin").write_bytes((tmp_path / "model.bin").read_bytes()[:3000])
    with pytest.raises(ValueError, match="truncated at 3000 bytes: tensor encoder/layer_norm/beta"):
        weights.tensors["encoder.layer_norm.bias"].read()

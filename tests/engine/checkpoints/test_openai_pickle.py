"""OpenAI checkpoints: zips with pickles written here by hand, and by PyTorch if it is there."""

import collections
import pathlib
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, strategies as st

from isogloss.engine.checkpoints import dimensions, openai_pickle

DIMS = {
    "n_mels": 4,
    "n_vocab": 11,
    "n_audio_ctx": 7,
    "n_audio_state": 6,
    "n_audio_head": 2,
    "n_audio_layer": 2,
    "n_text_ctx": 5,
    "n_text_state": 6,
    "n_text_head": 2,
    "n_text_layer": 1,
}
KINDS = {np.float32: "Float", np.float16: "Half", ml_dtypes.bfloat16: "BFloat16"}
KEY = "encoder.blocks.0.attn.key.weight"
ORDERED = b"ccollections\nOrderedDict\n)R"


def opcodes(value):
    """Pickle of numbers, strings, tuples and dictionaries; bytes are opcodes already."""
    match value:
        case bytes():
            return value
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"J" + struct.pack("<i", value)
        case str():
            return b"X" + struct.pack("<I", len(value)) + value.encode()
        case tuple():
            return b"(" + b"".join(map(opcodes, value)) + b"t"
        case dict():
            items = (opcodes(part) for item in value.items() for part in item)
            return b"}(" + b"".join(items) + b"u"
    raise TypeError(value)


def view(kind, key, numbers, shape, *, offset=0, strides=None):
    """Pickle of a tensor, as PyTorch writes it."""
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    storage = ("storage", b"ctorch\n" + kind.encode() + b"Storage\n", key, "cpu", numbers)
    arguments = (opcodes(storage) + b"Q", offset, shape, strides, False, ORDERED)
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + opcodes(arguments) + b"R"


def store(tensors, dtype=np.float32):
    """Views and storages of whole tensors in row-major order, one storage each."""
    views, storages = {}, {}
    for key, (name, value) in enumerate(tensors.items()):
        views[openai_pickle._openai_name(name)] = view(KINDS[dtype], str(key), value.size, value.shape)
        storages[str(key)] = value.astype(dtype).tobytes()
    return views, storages


@pytest.fixture
def saved(tensors):
    """(views, storages) of the model."""
    return store(tensors)


def write(folder, program, storages, compression=zipfile.ZIP_STORED, **members):
    file = folder / "nano.pt"
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("nano/data.pkl", program)
        for name, content in members.items():
            archive.writestr(f"nano/{name}", content)
        for key, content in storages.items():
            archive.writestr(f"nano/data/{key}", content)
    return file


def program(views, dims=DIMS):
    state = ORDERED + opcodes(views)[1:]  # an OrderedDict instead of the dict
    return b"\x80\x02" + opcodes({"dims": dims, "model_state_dict": state}) + b"."


@pytest.mark.parametrize("dtype", KINDS)
def test_every_type_is_read_exactly(tmp_path, dtype, tensors, assert_holds):
    views, storages = store(tensors, dtype)
    file = write(tmp_path, program(views), storages, version="3\n", byteorder="little")
    weights = openai_pickle.open_file(file)
    assert_holds(weights, tensors)
    assert weights.files == (file,)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("encoder.conv2.bias", "encoder.conv2.bias"),
        ("encoder.embed_positions.weight", "encoder.positional_embedding"),
        ("encoder.layers.0.self_attn.q_proj.bias", "encoder.blocks.0.attn.query.bias"),
        ("encoder.layers.1.self_attn.k_proj.weight", "encoder.blocks.1.attn.key.weight"),
        ("encoder.layers.0.self_attn_layer_norm.bias", "encoder.blocks.0.attn_ln.bias"),
        ("encoder.layers.0.fc2.bias", "encoder.blocks.0.mlp.2.bias"),
        ("encoder.layer_norm.bias", "encoder.ln_post.bias"),
        ("decoder.embed_tokens.weight", "decoder.token_embedding.weight"),
        ("decoder.embed_positions.weight", "decoder.positional_embedding"),
        ("decoder.layers.0.encoder_attn.v_proj.bias", "decoder.blocks.0.cross_attn.value.bias"),
        ("decoder.layers.0.encoder_attn.out_proj.bias", "decoder.blocks.0.cross_attn.out.bias"),
        ("decoder.layers.0.encoder_attn_layer_norm.weight", "decoder.blocks.0.cross_attn_ln.weight"),
        ("decoder.layers.0.final_layer_norm.weight", "decoder.blocks.0.mlp_ln.weight"),
        ("decoder.layers.0.fc1.weight", "decoder.blocks.0.mlp.0.weight"),
        ("decoder.layer_norm.weight", "decoder.ln.weight"),
    ],
)
def test_names_are_openais(ours, theirs):
    """One of each kind in openai/whisper's state dict, written out."""
    assert openai_pickle._openai_name(ours) == theirs


def test_strides_and_offsets_are_honoured(tmp_path, tensors, saved, assert_holds):
    """Two tensors in one storage, the second transposed, with unused numbers around."""
    views, storages = saved
    first = tensors["encoder.layers.0.fc1.weight"]  # (24, 6)
    second = tensors["encoder.layers.0.fc2.weight"]  # (6, 24), stored as (24, 6)
    unused = np.full(5, np.nan, np.float32)
    parts = [unused, first.ravel(), unused, second.T.ravel(), unused]
    storages["shared"] = np.concatenate(parts).tobytes()
    numbers = 3 * 5 + 2 * 144
    views["encoder.blocks.0.mlp.0.weight"] = view("Float", "shared", numbers, (24, 6), offset=5)
    views["encoder.blocks.0.mlp.2.weight"] = view(
        "Float", "shared", numbers, (6, 24), offset=5 + 144 + 5, strides=(1, 6)
    )
    assert_holds(openai_pickle.open_file(write(tmp_path, program(views), storages)), tensors)


def test_what_pytorch_saves(tmp_path, tensors, assert_holds):
    torch = pytest.importorskip("torch", reason="writes the file as OpenAI did")
    state = collections.OrderedDict(
        (openai_pickle._openai_name(name), torch.from_numpy(value).half()) for name, value in tensors.items()
    )
    state._metadata = collections.OrderedDict({"": {"version": 1}})  # as state_dict() adds
    rows = torch.from_numpy(np.tile(tensors["encoder.layers.0.fc1.weight"].T, (2, 1))).half()
    state["encoder.blocks.0.mlp.0.weight"] = rows[6:].T  # a transposed view at an offset
    torch.save({"dims": DIMS, "model_state_dict": state}, tmp_path / "nano.pt")
    assert_holds(openai_pickle.open_file(tmp_path / "nano.pt"), tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({KEY: None}, rf"missing: {KEY} \(6, 6\)"),
        ({"encoder.x": view("Float", "0", 72, (72,))}, r"surplus: encoder\.x \(72,\)"),
        ({KEY: view("Float", "0", 72, (12, 6))}, rf"{KEY} must be \(6, 6\), but is \(12, 6\)"),
        ({KEY: 3}, f"{KEY} must be a tensor, is 3"),
        ({KEY: view("Double", "0", 72, (6, 6))}, f"{KEY} must be of HalfStorage.*DoubleStorage"),
        ({KEY: view("Float", "none", 72, (6, 6))}, f"{KEY} must be of .*at data/none"),
        ({KEY: view("Float", "../version", 0, (6, 6))}, f"{KEY} must be of"),
        ({KEY: view("Float", "0", 72, (6, 6), offset=37)}, f"{KEY} does not lie in data/0, 288 bytes"),
        ({KEY: view("Float", "0", 73, (6, 6))}, f"{KEY} does not lie in data/0"),
        ({KEY: view("Float", "0", 72, (6, 6), strides=(6, 60))}, f"{KEY} does not lie in data/0"),
        ({KEY: view("Float", "0", 72, (6, 6), offset=-1)}, f"{KEY} has no shape"),
        ({KEY: view("Float", "0", 72, (6, 6), strides=(6, -1))}, f"{KEY} has no shape"),
        ({KEY: view("Float", "0", 72, (6, 6), strides=(6,))}, f"{KEY} has no shape"),
    ],
)
def test_other_tensors_are_refused(tmp_path, change, message, saved):
    views, storages = saved
    views = {name: part for name, part in (views | change).items() if part is not None}
    file = write(tmp_path, program(views), storages)
    with pytest.raises(ValueError, match=rf"nano\.pt: [\s\S]*{message}[\s\S]*Remedy"):
        openai_pickle.open_file(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_mels": "80"}, "n_mels .mels of the model. must be a whole number, got '80'"),
        ({"n_audio_state": "6", "n_text_state": "6"}, "n_audio_state"),
        ({"n_text_state": 8}, "n_text_state and n_audio_state differ: 8, 6"),
        ({"n_text_head": 3}, "n_text_head and n_audio_head differ: 3, 2"),
        ({"n_audio_head": 4, "n_text_head": 4}, "multiple of heads"),
    ],
)
def test_other_sizes_are_refused(tmp_path, change, message, saved):
    views, storages = saved
    file = write(tmp_path, program(views, DIMS | change), storages)
    with pytest.raises(ValueError, match=rf"nano\.pt: .*{message}.*Remedy"):
        openai_pickle.open_file(file)


MARK = "touched"  # the file that a malicious pickle would leave behind


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        """Remember the file."""
        self.path = path

    def __reduce__(self):
        """Say how to write it."""
        return pathlib.Path.write_text, (self.path, "x")


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_malicious_pickle_is_not_executed(tmp_path, protocol):
    attack = pickle.dumps({"dims": Malicious(tmp_path / MARK)}, protocol)
    file = write(tmp_path, attack, {})
    with pytest.raises(ValueError, match=r"nano\.pt: .*asks for .*, which no tensor needs"):
        openai_pickle.open_file(file)
    assert not (tmp_path / MARK).exists()
    pickle.loads(attack)  # it was dangerous
    assert (tmp_path / MARK).exists()


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (b"cos\nsystem\n(X\x04\x00\x00\x00truetR.", "os.system"),
        (b"cbuiltins\neval\n.", "builtins.eval"),
        (b"ctorch.storage\n_load_from_bytes\n.", "torch.storage._load_from_bytes"),
        (b"ctorch\nload\n.", "torch.load"),
        (b"ccollections\nOrderedDict.fromkeys\n.", "collections.OrderedDict.fromkeys"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"(ios\nsystem\n.", "os.system"),
        (b"X\x01\x00\x00\x00aQ.", "asks for 'a', which is not a storage"),
        # Nothing that the unpickler hands out has attributes to set.
        (b"ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb.", "no attribute"),
        (b"ccollections\nOrderedDict\nN}X\x01\x00\x00\x00aK\x01s\x86b.", "no attribute"),
        (b"ctorch._utils\n_rebuild_tensor_v2\nN}X\x01\x00\x00\x00aK\x01s\x86b.", "no attribute"),
        (b"ctorch\nFloatStorage\n)R.", "not callable"),
        # CPython would make room for as many values: gigabytes.
        (b"\x80\x02}r\x00\x00\x00\x08.", "has a memo index 134217728"),
        (b"}p134217728\n.", "has a memo index 134217728"),
        (b"", ""),
        (b"}", ""),
        (b"\x80\x02K\x01.", "must hold the dictionaries"),
        (b"\x80\x02}X\x04\x00\x00\x00dimsK\x01s.", "must hold the dictionaries"),
    ],
)
def test_anything_but_tensors_is_refused_by_name(tmp_path, attack, message):
    with pytest.raises(ValueError, match=rf"nano\.pt: .*{message}.*Remedy"):
        openai_pickle.open_file(write(tmp_path, attack, {}))


@given(st.data())
def test_a_damaged_pickle_is_a_value_error(tmp_path_factory, tiny, data):
    draw = np.random.default_rng(0)
    shapes = dimensions.tensor_shapes(tiny)
    views, storages = store({name: draw.random(shape) for name, shape in shapes.items()})
    whole = program(views)
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    file = write(tmp_path_factory.getbasetemp(), damaged, storages)
    try:
        weights = openai_pickle.open_file(file)
    except ValueError as error:
        assert "nano.pt" in str(error)  # noqa: PT017 - it need not fail
    else:
        assert weights.dimensions == tiny


def test_a_truncated_or_altered_file_is_refused_wherever_it_is(tmp_path, saved):
    views, storages = saved
    file = write(tmp_path, program(views), storages)
    whole = file.read_bytes()
    for size in [*range(0, len(whole), len(whole) // 97), len(whole) - 1]:
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"nano\.pt: truncated, or not the zip .*Remedy"):
            openai_pickle.open_file(file)
    file.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])  # inside data.pkl
    with pytest.raises(ValueError, match=r"Bad CRC-32.*Remedy"):
        openai_pickle.open_file(file)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"compression": zipfile.ZIP_DEFLATED}, "compressed"), ({"byteorder": "big"}, "not little endian")],
)
def test_zips_that_pytorch_does_not_write_are_refused(tmp_path, options, message, saved):
    views, storages = saved
    with pytest.raises(ValueError, match=rf"nano\.pt: .*{message}.*Remedy"):
        openai_pickle.open_file(write(tmp_path, program(views), storages, **options))


def test_a_zip_without_a_pickle_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "nano.pt", "w") as archive:
        archive.writestr("nano/version", "3")
    with pytest.raises(ValueError, match=r"no data\.pkl"):
        openai_pickle.open_file(tmp_path / "nano.pt")


def test_a_weight_that_is_not_finite_is_an_error_when_read(tmp_path, tensors):
    tensors["decoder.layer_norm.bias"][2] = np.inf
    views, storages = store(tensors)
    weights = openai_pickle.open_file(write(tmp_path, program(views), storages))
    weights.tensors["encoder.conv1.weight"].read()  # the others stay readable
    with pytest.raises(ValueError, match=r"1 of 6 numbers of tensor decoder\.ln\.bias"):
        weights.tensors["decoder.layer_norm.bias"].read()

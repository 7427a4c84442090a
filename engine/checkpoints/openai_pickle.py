"""Whisper as OpenAI stores it: a .pt file, which is a zip with a pickle and raw numbers.

The pickle is a program, so it runs in an unpickler that accepts three things only: ordered dictionaries, the
numbers of a tensor, and a view of them. Any other global is refused before it is looked up; nothing is
imported, and PyTorch is not needed. Members lie uncompressed in the zip, so each tensor is read from its
place in the file. Source: openai/whisper, model.py; pytorch, torch/serialization.py and torch/_utils.py.
"""

import io
import math
import pathlib
import pickle
import pickletools
import re
import struct
import zipfile
from typing import NamedTuple

import numpy as np

from isogloss.engine.checkpoints import dimensions, stored_tensors
from isogloss.engine.checkpoints.stored_tensors import StoredTensor
from isogloss.engine.runtime.refusal import Refusal

KEYS = {  # of the dictionary "dims", by field of Dimensions
    "mels": "n_mels",
    "features": "n_audio_state",
    "heads": "n_audio_head",
    "encoder_layers": "n_audio_layer",
    "decoder_layers": "n_text_layer",
    "positions": "n_audio_ctx",
    "text_positions": "n_text_ctx",
    "vocabulary": "n_vocab",
    "ffn": "n_mlp",  # not in the file, see `_dimensions`
}
EQUAL = {"n_text_state": "n_audio_state", "n_text_head": "n_audio_head"}
DTYPES = {
    "HalfStorage": np.dtype("<f2"),
    "FloatStorage": np.dtype("<f4"),
    "BFloat16Storage": stored_tensors.BFLOAT16,
}
IN_BLOCK = {
    "self_attn_layer_norm": "attn_ln",
    "self_attn": "attn",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "encoder_attn": "cross_attn",
    "final_layer_norm": "mlp_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
}
PROJECTIONS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out"}
OUTSIDE_BLOCKS = {
    "encoder.layer_norm": "encoder.ln_post",
    "decoder.layer_norm": "decoder.ln",
    "decoder.embed_tokens": "decoder.token_embedding",
    "encoder.embed_positions.weight": "encoder.positional_embedding",
    "decoder.embed_positions.weight": "decoder.positional_embedding",
}
UNREADABLE = (  # exceptions that unpickling damaged bytes raises
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
LOCAL_HEADER = struct.Struct("<26xHH")  # header of a zip member: lengths of its name and extra field


class _Storage(NamedTuple):
    """Numbers in the zip, as the pickle describes them; nothing is checked yet."""

    kind: object
    key: object
    numbers: object


class _View(NamedTuple):
    """Tensor, as the pickle describes it; nothing is checked yet."""

    storage: object
    offset: object
    shape: object
    strides: object


class _Dictionary(dict[object, object]):
    """Dictionary that ignores attributes set by the pickle."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Ignore the state, which holds versions of modules."""


class _MakeDictionary:
    """Replacement of collections.OrderedDict.

    A pickle may set attributes of any object that it can name. An instance without __dict__ has none to set,
    unlike a class or a function.
    """

    __slots__ = ()

    def __call__(self) -> _Dictionary:
        return _Dictionary()


class _MakeView:
    """Replacement of torch._utils._rebuild_tensor_v2; also without __dict__."""

    __slots__ = ()

    def __call__(self, storage: object, offset: object, shape: object, strides: object, *_: object) -> _View:
        return _View(storage, offset, shape, strides)


class _Unpickler(pickle.Unpickler):
    """Unpickler of numbers, strings, tuples, lists, dictionaries, storages and views only."""

    def find_class(self, module: str, name: str) -> object:
        """Replacement of a global that a checkpoint needs; all others are refused."""
        # By name and never by getattr, so that no code of a module that a file names can run.
        if (module, name) == ("collections", "OrderedDict"):
            return _MakeDictionary()
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _MakeView()
        if module == "torch" and name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: object) -> _Storage:
        """Storage of a persistent id: ("storage", type, key in the zip, device, numbers)."""
        match pid:
            case ("storage", kind, key, _, numbers):
                return _Storage(kind, key, numbers)
        raise pickle.UnpicklingError(f"it asks for {pid!r}, which is not a storage")


def open_file(file: pathlib.Path) -> stored_tensors.Weights:
    """Index of a .pt file; names and shapes of all tensors are checked, no tensor is read."""
    try:
        members, program = _members(file)
    except zipfile.BadZipFile as error:
        rule = f"truncated, or not the zip that PyTorch 1.6 and later write: {error}"
        raise Refusal(f"{file}: {rule}. Remedy: fetch the checkpoint again.") from error
    sizes, state = _unpickle(file, program)
    dims = _dimensions(file, sizes)
    found = {str(name): _stored(file, members, str(name), view) for name, view in state.items()}
    shapes = dimensions.tensor_shapes(dims)
    dimensions.check_shapes(
        str(file),
        {_openai_name(name): shape for name, shape in shapes.items()},
        {name: stored.shape for name, stored in found.items()},
        {},
    )
    # Canonical names from here on; nobody else knows OpenAI's.
    tensors = {name: found[_openai_name(name)] for name in shapes}
    return stored_tensors.Weights(dimensions=dims, tensors=tensors, files=(file,))


def _members(file: pathlib.Path) -> tuple[dict[str, zipfile.ZipInfo], bytes]:
    """Members of the zip by their path inside its one folder, and the pickle."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        if "data.pkl" not in members:
            raise _damaged(file, "it has no data.pkl")
        if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
            raise _damaged(file, "its members are compressed, which PyTorch never does")
        if "byteorder" in members and archive.read(members["byteorder"]) != b"little":
            raise _damaged(file, "its numbers are not little endian")
        return members, archive.read(members["data.pkl"])


def _unpickle(file: pathlib.Path, program: bytes) -> tuple[dict[object, object], dict[object, object]]:
    """Dictionaries "dims" and "model_state_dict" of the pickle."""
    try:
        _check_memo(program)
        content = _Unpickler(io.BytesIO(program)).load()
    except UNREADABLE as error:
        raise _damaged(file, f"its pickle must make tensors only: {error}") from error
    match content:
        case {"dims": dict() as sizes, "model_state_dict": dict() as state}:
            return sizes, state
    raise _damaged(file, 'it must hold the dictionaries "dims" and "model_state_dict"')


def _check_memo(program: bytes) -> None:
    """Raise UnpicklingError if a memo index exceeds the number of bytes.

    Picklers count memo indices from 0; CPython's unpickler allocates as many slots as the index, up to 64 GB.
    """
    for opcode, number, _ in pickletools.genops(program):
        if not opcode.name.endswith("PUT") or not isinstance(number, int):
            continue
        if number >= len(program):
            raise pickle.UnpicklingError(f"it has a memo index {number}, but only {len(program)} bytes")


def _dimensions(file: pathlib.Path, sizes: dict[object, object]) -> dimensions.Dimensions:
    # The unpickled keys may be anything.
    named = {str(key): size for key, size in sizes.items()}
    for key, twin in EQUAL.items():
        if named.get(key) != named.get(twin):
            raise _damaged(file, f"{key} and {twin} differ: {named.get(key)}, {named.get(twin)}")
    if isinstance(width := named.get("n_audio_state"), int):
        named[KEYS["ffn"]] = 4 * width  # by construction, in openai/whisper
    return dimensions.from_sizes(str(file), named, KEYS)


def _stored(file: pathlib.Path, members: dict[str, zipfile.ZipInfo], name: str, view: object) -> StoredTensor:
    """Place of a tensor in the file; Refusal if it doesn't lie inside one member of the zip."""
    if not isinstance(view, _View) or not isinstance(view.storage, _Storage):
        raise _damaged(file, f"{name} must be a tensor, is {repr(view)[:200]}")
    kind, key, numbers = view.storage
    member = members.get(f"data/{key}")
    if not isinstance(kind, str) or kind not in DTYPES or member is None:
        rule = f"{name} must be of {', '.join(DTYPES)} in the zip"
        raise _damaged(file, f"{rule}, is of {kind} at data/{key}")
    dtype = DTYPES[kind]
    shape, strides = _sizes(view.shape), _sizes(view.strides)
    place = _sizes((view.offset, numbers))
    if shape is None or strides is None or place is None or len(shape) != len(strides):
        raise _damaged(file, f"{name} has no shape: {repr(view)[:200]}")
    stored = StoredTensor(
        name=name,
        file=file,
        offset=_start(file, member) + place[0] * dtype.itemsize,
        dtype=dtype,
        shape=shape,
        strides=None if strides == _row_major(shape) else strides,
    )
    # The sizes are the file's own claims, so they are held against the zip's directory.
    if member.file_size != place[1] * dtype.itemsize or place[0] + stored.span > place[1]:
        raise _damaged(file, f"{name} does not lie in data/{key}, {member.file_size} bytes")
    return stored


def _sizes(values: object) -> tuple[int, ...] | None:
    """Values as sizes if they are a tuple of whole numbers of at least 0, else None."""
    if not isinstance(values, tuple):
        return None
    sizes = tuple(value for value in values if type(value) is int and value >= 0)
    return sizes if len(sizes) == len(values) else None


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _start(file: pathlib.Path, member: zipfile.ZipInfo) -> int:
    """Offset in the file at which the member's content starts."""
    # Only the local header has the length of its own extra field; the zip's directory may state another.
    with file.open("rb") as stream:
        stream.seek(member.header_offset)
        name, extra = LOCAL_HEADER.unpack(stream.read(LOCAL_HEADER.size))
    return member.header_offset + LOCAL_HEADER.size + name + extra


def _openai_name(name: str) -> str:
    """OpenAI's name of a tensor, by its canonical name."""
    if name in OUTSIDE_BLOCKS:
        return OUTSIDE_BLOCKS[name]
    module, _, kind = name.rpartition(".")
    block = re.fullmatch(r"(\w+)\.layers\.(\d+)\.(\w+?)(?:\.(\w+_proj))?", module)
    if block is None:
        return f"{OUTSIDE_BLOCKS.get(module, module)}.{kind}"
    side, layer, part, projection = block.groups()
    inner = f".{PROJECTIONS[projection]}" if projection else ""
    return f"{side}.blocks.{layer}.{IN_BLOCK[part]}{inner}.{kind}"


def _damaged(file: pathlib.Path, what: str) -> Refusal:
    rule = "not an OpenAI Whisper checkpoint, or a damaged one"
    return Refusal(f"{file}: {rule}: {what}. Remedy: fetch the checkpoint again.")

"""Whisper as CTranslate2 (faster-whisper) stores it: `model.bin`, binary version 6.

The file is a list of named variables, then a list of aliases for variables of equal value. Self-attention
stacks the rows of q, k and v in one matrix, cross-attention those of k and v; zeros stand for the bias that
k lacks. Quantised rows are stored as round(scale * row). Checked with every quantisation of converter 4.8.5.
Source: OpenNMT/CTranslate2, python/ctranslate2/specs, model.cc.
"""

import dataclasses
import math
import pathlib
import re
import struct
from typing import BinaryIO

import numpy as np

from isogloss.engine.checkpoints import dimensions, stored_tensors
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.checkpoints.stored_tensors import StoredTensor
from isogloss.engine.runtime.refusal import Refusal

BINARY_VERSION = 6
SPECIFICATION = ("WhisperSpec", 3)
DTYPES = (*map(np.dtype, ("<f4", "<i1", "<i2", "<i4", "<f2")), stored_tensors.BFLOAT16)

# Scalars that change the computation, by the last part of their name, with the value of a Whisper model; None
# where the meaning of the weights doesn't depend on the value.
SETTINGS = {
    "num_heads": None,  # read separately
    "activation": 3,  # exact GELU
    "pre_norm": 1,
    "scale_embeddings": 0,
    "start_from_zero_embedding": 0,
    "alibi": 0,
    "alibi_use_positive_positions": None,  # of no effect without alibi
    "scale_alibi": None,
    "alignment_layer": None,
    "alignment_heads": None,
    "keep_in_float32": None,
}

IN_BLOCK = {
    "self_attn_layer_norm": "self_attention/layer_norm",
    "self_attn.q_proj": "self_attention/linear_0",
    "self_attn.k_proj": "self_attention/linear_0",
    "self_attn.v_proj": "self_attention/linear_0",
    "self_attn.out_proj": "self_attention/linear_1",
    "encoder_attn_layer_norm": "attention/layer_norm",
    "encoder_attn.q_proj": "attention/linear_0",
    "encoder_attn.k_proj": "attention/linear_1",
    "encoder_attn.v_proj": "attention/linear_1",
    "encoder_attn.out_proj": "attention/linear_2",
    "final_layer_norm": "ffn/layer_norm",
    "fc1": "ffn/linear_0",
    "fc2": "ffn/linear_1",
}
OUTSIDE_BLOCKS = {
    "conv1": "conv1",
    "conv2": "conv2",
    "embed_tokens": "embeddings",
    "layer_norm": "layer_norm",
}
SIZED_BY = {  # field of Dimensions: variable, axis, number of axes
    "mels": ("encoder/conv1/weight", 1, 3),
    "features": ("encoder/conv1/weight", 0, 3),
    "positions": ("encoder/position_encodings/encodings", 0, 2),
    "text_positions": ("decoder/position_encodings/encodings", 0, 2),
    "vocabulary": ("decoder/embeddings/weight", 0, 2),
    "ffn": ("encoder/layer_0/ffn/linear_0/weight", 0, 2),
}


@dataclasses.dataclass(frozen=True)
class Stack:
    """Variable of the file, and the canonical tensors whose rows it holds, in order.

    A part is None if its rows are the zero bias of a key projection.
    """

    shape: tuple[int, ...]
    parts: tuple[str | None, ...]


def open_folder(folder: pathlib.Path) -> stored_tensors.Weights:
    """Index of a folder with model.bin; its config.json adds the alignment heads."""
    file = folder / "model.bin"
    with file.open("rb") as stream:
        variables = _Reader(stream, file).variables()
    settings = {name: stored for name, stored in variables.items() if _is_setting(stored)}
    found = {name: stored for name, stored in variables.items() if name not in settings}
    # Scales first: from here on a quantised tensor has the shape and the name of any other.
    found = _attach_scales(found)
    sizes = _dimensions(file, _heads(file, settings), found)
    stacks = _stacks(sizes)
    dimensions.check_shapes(
        str(file),
        {name: stack.shape for name, stack in stacks.items()},
        {name: stored.shape for name, stored in found.items()},
        {"decoder/projection/weight": (sizes.vocabulary, sizes.features)},
    )
    tensors = {}
    for name, stack in stacks.items():
        height = stack.shape[0] // len(stack.parts)
        for index, part in enumerate(stack.parts):
            rows = found[name].rows(index * height, (index + 1) * height)
            if part is not None:
                tensors[part] = rows
            elif rows.read().any():  # dropped below, so a value here would change the model silently
                rule = f"Whisper's keys have no bias, so the rows of {name} for k must be zeros"
                raise Refusal(f"{file}: {rule}. Remedy: give an unaltered Whisper model.")
    return stored_tensors.Weights(
        dimensions=sizes,
        tensors=tensors,
        files=(file,),
        alignment_heads=stored_tensors.read_alignment_heads(folder / "config.json"),
    )


class _Reader:
    """Index of a model.bin, read from start to end without the tensors."""

    def __init__(self, stream: BinaryIO, file: pathlib.Path) -> None:
        self.stream = stream
        self.file = file
        self.size = file.stat().st_size

    def variables(self) -> dict[str, StoredTensor]:
        """All variables and aliases by name."""
        self._check_header()
        variables = dict(self._variable() for _ in range(self._number("<I")))
        for _ in range(self._number("<I")):
            alias, name = self._string(), self._string()
            if name not in variables:
                raise self._damaged(f"alias {alias} of {name}, which is not in the file")
            variables[alias] = dataclasses.replace(variables[name], name=alias)
            if f"{name}_scale" in variables:  # the file has no alias for the scale
                variables[f"{alias}_scale"] = variables[f"{name}_scale"]
        if self.stream.tell() != self.size:
            raise self._damaged(f"{self.size - self.stream.tell()} bytes after its end")
        return variables

    def _check_header(self) -> None:
        version = self._number("<I")
        if version != BINARY_VERSION:
            raise Refusal(
                f"{self.file}: CTranslate2 binary version must be {BINARY_VERSION}, got {version}. "
                "Remedy: convert the model again with CTranslate2 3 or 4."
            )
        specification = self._string(), self._number("<I")
        if specification != SPECIFICATION:
            raise Refusal(
                f"{self.file}: specification and revision must be {SPECIFICATION}, got "
                f"{specification}. Remedy: give a Whisper model converted by CTranslate2 3 or 4."
            )

    def _variable(self) -> tuple[str, StoredTensor]:
        name = self._string()
        rank = self._number("<B")
        shape = tuple(self._number("<I") for _ in range(rank))
        code, size = self._number("<B"), self._number("<I")
        if code >= len(DTYPES) or size != math.prod(shape) * DTYPES[code].itemsize:
            raise self._damaged(f"{size} bytes of type {code} for {name} {shape}")
        offset = self.stream.tell()
        # Seeking past the end isn't an error, so the end is compared before.
        if offset + size > self.size:
            raise stored_tensors.truncated(self.file, f"{name} ends at byte {offset + size}")
        self.stream.seek(size, 1)
        stored = StoredTensor(name=name, file=self.file, offset=offset, dtype=DTYPES[code], shape=shape)
        return name, stored

    def _string(self) -> str:
        """String, stored as its length with the closing zero, its bytes, and the zero."""
        text = self._take(self._number("<H"))
        if not text.endswith(b"\0") or not text.isascii():
            raise self._damaged(f"{text[:40]!r} in the place of a name")
        return text[:-1].decode("ascii")

    def _number(self, code: str) -> int:
        return struct.unpack(code, self._take(struct.calcsize(code)))[0]

    def _take(self, size: int) -> bytes:
        taken = self.stream.read(size)
        if len(taken) < size:
            raise stored_tensors.truncated(self.file, "its list of tensors is incomplete")
        return taken

    def _damaged(self, what: str) -> Refusal:
        rule = "must be an undamaged model.bin of CTranslate2, but has"
        return Refusal(f"{self.file}: {rule} {what}. Remedy: fetch the checkpoint again.")


def _attach_scales(variables: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Variables with each quantised one joined to its scale."""
    attached = dict(variables)
    for name, stored in variables.items():
        if stored.dtype.kind != "i" or not stored.shape:  # an integer without axes isn't a weight
            continue
        scale = attached.pop(f"{name}_scale", None)
        if scale is None or scale.dtype.kind == "i" or scale.shape not in ((), stored.shape[:1]):
            found = "nothing" if scale is None else f"{scale.dtype} {scale.shape}"
            raise Refusal(
                f"{stored.file}: quantised {name} {stored.shape} needs {name}_scale, one float or "
                f"one for each row, found {found}. Remedy: convert the model again."
            )
        attached[name] = dataclasses.replace(stored, scale=scale)
    return attached


def _is_setting(variable: StoredTensor) -> bool:
    key = variable.name.rpartition("/")[2]
    return not variable.shape and key in SETTINGS


def _heads(file: pathlib.Path, settings: dict[str, StoredTensor]) -> int:
    """Number of attention heads; Refusal if a scalar isn't that of a Whisper model."""
    heads = set()
    for name, stored in settings.items():
        key, value = name.rpartition("/")[2], int(stored.read())
        needed = SETTINGS[key]
        if needed is not None and needed != value:
            raise Refusal(
                f"{file}: {name} must be {needed} in a Whisper model, but is {value}. "
                "Remedy: give an unaltered Whisper model, converted by CTranslate2 3 or 4."
            )
        if key == "num_heads":
            heads.add(value)
    if len(heads) != 1:
        rule = "encoder and decoder must have the same number of heads"
        raise Refusal(f"{file}: {rule}, got {sorted(heads)}. Remedy: fetch it again.")
    return heads.pop()


def _dimensions(file: pathlib.Path, heads: int, found: dict[str, StoredTensor]) -> Dimensions:
    """Sizes of the model by the shapes of a few tensors; `check_shapes` checks all others."""
    sizes: dict[str, object] = {"heads": heads}
    for field, (name, axis, rank) in SIZED_BY.items():
        shape = found[name].shape if name in found else ()
        if len(shape) != rank:
            state = f"has shape {shape}" if name in found else "is missing"
            raise Refusal(
                f"{file}: {name} must have {rank} axes, but {state}. "
                "Remedy: fetch the checkpoint again, or give one of a Whisper model."
            )
        sizes[field] = shape[axis]
    for side in ("encoder", "decoder"):
        # Counted, not read: the file states no number of layers.
        layers = {name.split("/")[1] for name in found if name.startswith(f"{side}/layer_")}
        sizes[f"{side}_layers"] = len(layers - {"layer_norm"})
    return dimensions.from_sizes(str(file), sizes, {field: field for field in sizes})


def _stacks(sizes: Dimensions) -> dict[str, Stack]:
    """All variables of a Whisper model by name; together they hold each tensor once."""
    shapes = dimensions.tensor_shapes(sizes)
    parts: dict[str, list[str | None]] = {}
    for name in shapes:
        variable = _variable(name)
        parts.setdefault(variable, []).append(name)
        # The file has rows of a bias for k, of which the model has no tensor.
        if name.endswith("k_proj.weight"):
            parts.setdefault(variable.replace("weight", "bias"), []).append(None)
    stacks = {}
    for variable, names in parts.items():
        rows, *rest = next(shapes[name] for name in names if name is not None)
        stacks[variable] = Stack((len(names) * rows, *rest), tuple(names))
    return stacks


def _variable(name: str) -> str:
    """Name of the variable that holds a tensor, alone or with others, by the tensor's canonical name."""
    if name.endswith("embed_positions.weight"):
        return f"{name.partition('.')[0]}/position_encodings/encodings"
    module, _, kind = name.rpartition(".")
    side, _, rest = module.partition(".")
    if rest.endswith("layer_norm"):
        kind = {"weight": "gamma", "bias": "beta"}[kind]
    if block := re.fullmatch(r"layers\.(\d+)\.(.+)", rest):
        return f"{side}/layer_{block[1]}/{IN_BLOCK[block[2]]}/{kind}"
    return f"{side}/{OUTSIDE_BLOCKS[rest]}/{kind}"

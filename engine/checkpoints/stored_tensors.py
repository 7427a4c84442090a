"""Tensors in files, read one by one; memory holds one tensor, as stored and in float32.

All checkpoint formats use these classes; making one reads nothing.
"""

import abc
import dataclasses
import hashlib
import math
import pathlib
from collections.abc import Iterable, Mapping

import ml_dtypes
import numpy as np
from jaxtyping import Float32

from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.runtime import json_values
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LazyTensor(abc.ABC):
    """Tensor in a file.

    Attributes:
      name: its name in the file, for messages.
      file: path of the file.
      shape: axes, outermost first.
    """

    name: str
    file: pathlib.Path
    shape: tuple[int, ...]

    @abc.abstractmethod
    def values(self) -> Float32[np.ndarray, "..."]:
        """Tensor in float32, row-major, finite or not."""

    @abc.abstractmethod
    def stored(self) -> np.ndarray:
        """Tensor as the file has it, row-major; a quantised one in float32."""

    def read(self) -> Float32[np.ndarray, "..."]:
        """Tensor in float32, row-major; Refusal if it is truncated or not finite."""
        values = self.values()
        if wrong := np.count_nonzero(~np.isfinite(values)):
            raise Refusal(
                f"{self.file}: weights must be finite, but {wrong} of {values.size} numbers of "
                f"tensor {self.name} are not. Remedy: fetch the checkpoint again."
            )
        return values


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensor(LazyTensor):
    """Tensor stored as plain numbers at an offset of a file; the formats check that it ends inside the file.

    Attributes:
      offset: bytes before its first number.
      dtype: type of the numbers, little endian.
      strides: step along each axis, counted in numbers; None is row-major.
      scale: divisor of quantised numbers, a scalar or one per row.
    """

    offset: int
    dtype: np.dtype
    strides: tuple[int, ...] | None = None
    scale: "StoredTensor | None" = None

    def rows(self, start: int, stop: int) -> "StoredTensor":
        """Rows [start, stop) of a row-major tensor, with their scales."""
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        scale = self.scale  # one for the whole tensor, or one for each row
        return dataclasses.replace(
            self,
            offset=self.offset + start * row_bytes,
            shape=(stop - start, *self.shape[1:]),
            scale=scale.rows(start, stop) if scale and scale.shape else scale,
        )

    def values(self) -> Float32[np.ndarray, "..."]:
        """Tensor in float32, row-major, with its scale divided out."""
        # Only as many numbers as the tensor spans: a storage may be shared by several.
        numbers = np.fromfile(self.file, self.dtype, count=self.span, offset=self.offset)
        if numbers.size < self.span:
            raise truncated(self.file, f"tensor {self.name} ends outside the file")
        if self.strides is None:
            stored = numbers.reshape(self.shape)
        else:
            # as_strided checks nothing; `span` has made sure that the numbers read cover every index.
            steps = tuple(stride * self.dtype.itemsize for stride in self.strides)
            stored = np.lib.stride_tricks.as_strided(numbers, self.shape, steps, writeable=False)
        values = np.ascontiguousarray(stored, np.float32).reshape(self.shape)
        if self.scale is not None:
            scale = self.scale.read()
            # A scale of 0 gives values that are not finite, which `read` refuses.
            with np.errstate(divide="ignore", invalid="ignore"):
                values /= scale.reshape(scale.shape + (1,) * (values.ndim - scale.ndim))
        return values

    def stored(self) -> np.ndarray:
        """Tensor in its own format, a quantised one in float32."""
        values = self.values()
        # float32 holds every number of the shorter formats, so this way back changes no bit.
        return values if self.scale is not None else values.astype(self.dtype)

    @property
    def span(self) -> int:
        """Count of numbers in the file from the tensor's first to its last, both included."""
        if self.strides is None or 0 in self.shape:
            return math.prod(self.shape)
        steps = zip(self.shape, self.strides, strict=True)
        return 1 + sum((size - 1) * stride for size, stride in steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """Index of a checkpoint of any format; names and shapes of all tensors are checked.

    Attributes:
      dimensions: sizes of the model.
      tensors: all tensors of `dimensions.tensor_shapes`, by canonical name.
      files: the files that hold them, sorted by name.
      alignment_heads: (layer, head) of the decoder's cross-attention heads that follow the words; None if the
        checkpoint doesn't list them.
      encoder_of: model whose encoder this one has, if its file says so.
      no_final: why the encoder has no state "final"; None if it has one, as every Whisper.
    """

    dimensions: Dimensions
    tensors: Mapping[str, LazyTensor]
    files: tuple[pathlib.Path, ...]
    alignment_heads: tuple[tuple[int, int], ...] | None = None
    encoder_of: "EncoderOrigin | None" = None
    no_final: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderOrigin:
    """Model whose encoder a checkpoint has kept, while its decoder was trained.

    Attributes:
      weights_sha256: hash of that model's files, which activation stores name.
      encoder_sha256: hash of its encoder's tensors, by which the claim is checked.
    """

    weights_sha256: str
    encoder_sha256: str


def sha256(files: Iterable[pathlib.Path]) -> str:
    """Hash of files in this order, as if they were one."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            # Into one digest: the hash of a model in shards is that of its bytes in order.
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()


def truncated(file: pathlib.Path, what: str) -> Refusal:
    """Refusal of a file that ends before the content that it announces."""
    size = file.stat().st_size
    return Refusal(
        f"{file}: the file is truncated at {size} bytes: {what}. "
        "Remedy: delete it and fetch the checkpoint again (`git lfs pull` in a git clone)."
    )


def json_object(file: pathlib.Path) -> dict[str, Json]:
    """Object in a checkpoint's JSON file; Refusal names the file."""
    return json_values.json_object(file, "fetch the file again.")


def read_alignment_heads(file: pathlib.Path) -> tuple[tuple[int, int], ...] | None:
    """Pairs (layer, head) under "alignment_heads" in a JSON file; None if the file has none."""
    heads = json_object(file).get("alignment_heads") if file.is_file() else None
    pairs: list[tuple[int, int]] = []
    for pair in heads if isinstance(heads, list) else []:
        match pair:
            case [int(layer), int(head)]:
                pairs.append((layer, head))
    if heads is not None and (not isinstance(heads, list) or len(pairs) < len(heads)):
        rule = "alignment_heads must be a list of [layer, head]"
        raise Refusal(f"{file}: {rule}, got {heads!r}. Remedy: fetch the file again.")
    return None if heads is None else tuple(pairs)

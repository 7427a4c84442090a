"""Tensors that lie in files and are read one by one: memory is one tensor as stored and once in float32.

Every checkpoint format gives its tensors as these; nothing is read when one is made.
"""

import abc
import dataclasses
import math
import pathlib
from collections.abc import Mapping

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
    """A tensor in a file.

    Attributes:
      name: what the file calls it, for messages.
      file: where it is.
      shape: axes, outermost first.
    """

    name: str
    file: pathlib.Path
    shape: tuple[int, ...]

    @abc.abstractmethod
    def values(self) -> Float32[np.ndarray, "..."]:
        """Tensor in float32, row-major, finite or not."""

    def read(self) -> Float32[np.ndarray, "..."]:
        """Tensor in float32, row-major; Refusal if it is cut short or not finite."""
        values = self.values()
        if not np.isfinite(values).all():
            wrong = values.size - np.count_nonzero(np.isfinite(values))
            raise Refusal(
                f"{self.file}: weights must be finite, but {wrong} of {values.size} numbers of "
                f"tensor {self.name} are not. Remedy: fetch the checkpoint again."
            )
        return values


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensor(LazyTensor):
    """Numbers that lie somewhere in a file; the formats check that they end inside it.

    Attributes:
      offset: bytes before its first number.
      dtype: type of the numbers, little endian.
      strides: numbers from one index to the next along each axis; None is row-major.
      scale: what quantised numbers must be divided by, a scalar or one for each row.
    """

    offset: int
    dtype: np.dtype
    strides: tuple[int, ...] | None = None
    scale: "StoredTensor | None" = None

    def rows(self, start: int, stop: int) -> "StoredTensor":
        """Rows [start, stop) of a row-major tensor, with their scales."""
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        scale = self.scale
        return dataclasses.replace(
            self,
            offset=self.offset + start * row_bytes,
            shape=(stop - start, *self.shape[1:]),
            scale=scale.rows(start, stop) if scale and scale.shape else scale,
        )

    def values(self) -> Float32[np.ndarray, "..."]:
        """Tensor in float32, row-major, with its scale divided out."""
        numbers = np.fromfile(self.file, self.dtype, count=self.span, offset=self.offset)
        if numbers.size < self.span:
            raise truncated(self.file, f"tensor {self.name} ends outside the file")
        if self.strides is None:
            stored = numbers.reshape(self.shape)
        else:
            steps = tuple(stride * self.dtype.itemsize for stride in self.strides)
            stored = np.lib.stride_tricks.as_strided(numbers, self.shape, steps, writeable=False)
        values = np.ascontiguousarray(stored, np.float32).reshape(self.shape)
        if self.scale is not None:
            scale = self.scale.read()
            # A scale of 0 makes numbers that are not finite, which are refused below.
            with np.errstate(divide="ignore", invalid="ignore"):
                values /= scale.reshape(scale.shape + (1,) * (values.ndim - scale.ndim))
        return values

    @property
    def span(self) -> int:
        """Numbers from the first to the last, both included."""
        if self.strides is None or 0 in self.shape:
            return math.prod(self.shape)
        steps = zip(self.shape, self.strides, strict=True)
        return 1 + sum((size - 1) * stride for size, stride in steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """Index of a checkpoint of any format; the names and shapes of all tensors are checked.

    Attributes:
      dimensions: sizes of the model.
      tensors: every tensor of `dimensions.tensor_shapes`, by canonical name.
      files: the files that hold them, sorted by name.
      alignment_heads: (layer, head) pairs of the decoder whose cross-attention follows
        the words; None where the format does not carry them.
    """

    dimensions: Dimensions
    tensors: Mapping[str, LazyTensor]
    files: tuple[pathlib.Path, ...]
    alignment_heads: tuple[tuple[int, int], ...] | None = None


def truncated(file: pathlib.Path, what: str) -> Refusal:
    """Error for a file that ends before what it announces."""
    size = file.stat().st_size
    return Refusal(
        f"{file}: the file is truncated at {size} bytes: {what}. "
        "Remedy: delete it and fetch the checkpoint again (`git lfs pull` in a git clone)."
    )


def json_object(file: pathlib.Path) -> dict[str, Json]:
    """Object that a checkpoint's JSON file holds; Refusal names the file."""
    return json_values.json_object(file, "fetch the file again.")


def read_alignment_heads(file: pathlib.Path) -> tuple[tuple[int, int], ...] | None:
    """Pairs (layer, head) under "alignment_heads" in a JSON file, None without."""
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

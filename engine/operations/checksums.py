"""Checksums of chunks: every file of a store or a grid ends in the CRC-32C of what it holds.

A file of a grid is one chunk, `values CRC`. A file of a store is divided: inner chunks `values CRC` of one
state and one second each, then an index of their offsets and lengths (two 64-bit numbers each, all ones for
a chunk that isn't stored), then the CRC of the index. Source: Zarr v3, codecs crc32c and sharding_indexed.
"""

import dataclasses
import math

import google_crc32c
import numpy as np

from isogloss.engine.runtime.zarr_group import Group

_CRC = 4  # bytes
_ABSENT = 2**64 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChunkLayout:
    """Layout of an array's files.

    Attributes:
      chunk: shape of a file.
      inner: shape of an inner chunk; None if files aren't divided.
      itemsize: bytes of a number.
    """

    chunk: tuple[int, ...]
    inner: tuple[int, ...] | None
    itemsize: int


def layout(group: Group, name: str) -> ChunkLayout:
    """Layout of an array, from its metadata."""
    array = group.arrays[name]
    codec = array["codecs"][0]
    divided = codec["name"] == "sharding_indexed"
    return ChunkLayout(
        chunk=tuple(array["chunk_grid"]["configuration"]["chunk_shape"]),
        inner=tuple(codec["configuration"]["chunk_shape"]) if divided else None,
        itemsize=np.dtype(array["data_type"]).itemsize,
    )


def fault(content: bytes, of: ChunkLayout, frames: int | None = None) -> str:
    """Damage of a file in words, "" if it is sound.

    Args:
      content: the whole file.
      of: its layout.
      frames: number of frames of the utterance, in a store: that many must be there, of every state.
    """
    if of.inner is None:
        return _undivided_fault(content, _CRC + of.itemsize * math.prod(of.chunk))
    counts = [whole // part for whole, part in zip(of.chunk, of.inner, strict=True)]
    size = 16 * math.prod(counts) + _CRC
    if len(content) < size:
        return f"{len(content)} bytes, shorter than its index"
    if not _sound(memoryview(content)[-size:]):
        return "the index doesn't match its checksum"
    index = np.frombuffer(content, "<u8", 2 * math.prod(counts), len(content) - size).reshape(*counts, 2)
    wanted = 0 if frames is None else -(-frames // of.inner[2])
    for state, slabs in enumerate(index[0, :, :, 0].tolist()):
        for slab, (start, length) in enumerate(slabs):
            if found := _inner_fault(content, start, length, len(content) - size, slab < wanted):
                return f"state number {state}, frames from {slab * of.inner[2]}: {found}"
    return ""


def _inner_fault(content: bytes, start: int, length: int, end: int, wanted: bool) -> str:
    """Damage of an inner chunk; `end` is where the index begins, `wanted` if the chunk must be there."""
    if start == _ABSENT:
        return "not there" if wanted else ""
    if start + length > end:
        return "beyond the end of the file"
    sound = _sound(memoryview(content)[start : start + length])
    return "" if sound else "doesn't match its checksum"


def _undivided_fault(content: bytes, size: int) -> str:
    if len(content) != size:
        return f"{len(content)} bytes in place of {size}"
    return "" if _sound(memoryview(content)) else "doesn't match its checksum"


def _sound(chunk: memoryview) -> bool:
    """True if the last four bytes are the CRC-32C of those before."""
    # The library takes no view of a larger buffer; a copy of a chunk costs less than its checksum.
    return google_crc32c.value(bytes(chunk[:-_CRC])) == int.from_bytes(chunk[-_CRC:], "little")

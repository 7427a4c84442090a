"""Zarr v3 groups, created in one rename; TensorStore writes the arrays, zarr-python the coordinates.

A group is built beside its final path and renamed to it, so it exists with all its metadata or not at all. If
several processes start at once, one creates the group and the others open it. The metadata never changes
afterwards; only chunks are added, as files in one folder per array (`c.0.1.0.0`; groups of format 1 have a
folder per index, and are read and continued in the same way).
"""

import dataclasses
import errno
import json
import os
import pathlib
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import tensorstore as ts

from isogloss.engine.runtime import atomic_write, version
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal, WriteError

_CHUNK = re.compile(rb"c[./](\d+(?:[./]\d+)*)")
# A run opens many small handles; with a cache, everything read would stay in memory until the end.
_CONTEXT = ts.Context({"cache_pool": {"total_bytes_limit": 0}})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coordinate:
    """Small array that labels an axis, written when the group is made.

    Attributes:
      name: name of the array.
      axis: dimension that it labels.
      values: strings, numbers or booleans, one axis.
      attributes: units and meaning.
    """

    name: str
    axis: str
    values: np.ndarray | Sequence[str]
    attributes: Mapping[str, Json] = dataclasses.field(default_factory=dict)

    @property
    def stored(self) -> np.ndarray:
        """Values as an array; strings are "<U", so that `astype(str)` works on what xarray reads."""
        return self.values if isinstance(self.values, np.ndarray) else np.asarray(self.values, str)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Array:
    """Large array whose chunks are written later.

    Attributes:
      name: name of the array.
      axes: dimension names.
      shape: shape of the whole array.
      chunk: shape of one file, the unit of writing.
      inner: shape of the unit of reading, inside a chunk; None if chunks aren't divided.
      dtype: "float16" or "float32"; bfloat16 would make the whole group unreadable for zarr-python.
      attributes: units and meaning.
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    inner: tuple[int, ...] | None
    dtype: str
    attributes: Mapping[str, Json]

    def metadata(self, labels: Sequence[str]) -> dict[str, Json]:
        """Zarr v3 metadata; every chunk has a checksum, and missing chunks read as NaN.

        Args:
          labels: further coordinates of the array's axes; xarray finds them by the CF attribute.
        """
        codecs: list[Json] = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
        if self.inner is not None:
            inside = {"chunk_shape": self.inner, "codecs": codecs, "index_codecs": codecs}
            codecs = [{"name": "sharding_indexed", "configuration": inside}]
        return {
            "shape": self.shape,
            "data_type": self.dtype,
            "fill_value": "NaN",
            "dimension_names": self.axes,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": self.chunk}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "codecs": codecs,
            "attributes": {**self.attributes, "coordinates": " ".join(labels)},
        }


def create(
    path: pathlib.Path,
    attributes: Mapping[str, Json],
    coordinates: Sequence[Coordinate],
    arrays: Sequence[Array],
) -> bool:
    """True if this call made the group at `path`, False if it existed.

    Raises:
      Refusal: something that isn't a Zarr group is in the way.
      WriteError: the disk may be full.
    """
    if exists(path):
        return False
    atomic_write.make_folder(path.parent)
    try:
        with atomic_write.draft(path) as made:
            _fill(made, attributes, coordinates, arrays)
            os.rename(made, path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and exists(path):
            return False  # another process was faster; the caller checks that it made the same
        raise WriteError(f"{path}: can't be made ({error}). Free or add space, check permissions") from error
    return True


def exists(path: pathlib.Path) -> bool:
    """True if there is a group at `path`; Refusal if there is something else."""
    if (path / "zarr.json").is_file():
        return True
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise Refusal(
            f"{path}: exists, but isn't a Zarr v3 group (no zarr.json); name another path or move this away"
        )
    return False


def _fill(
    path: pathlib.Path,
    attributes: Mapping[str, Json],
    coordinates: Sequence[Coordinate],
    arrays: Sequence[Array],
) -> None:
    import zarr  # noqa: PLC0415  (half a second; only creation needs it)

    with warnings.catch_warnings():
        # zarr-python and xarray read both of these, but warn that the Zarr v3 core doesn't define them.
        for words in ("Consolidated metadata", r"(?s)The data type .*FixedLengthUTF32"):
            warnings.filterwarnings("ignore", words)
        group = zarr.create_group(path, attributes=_plain(attributes))
        for coordinate in coordinates:
            group.create_array(
                coordinate.name,
                data=coordinate.stored,
                dimension_names=(coordinate.axis,),
                attributes=dict(coordinate.attributes),
            )
        for array in arrays:
            labels = [c.name for c in coordinates if c.axis in array.axes and c.name != c.axis]
            spec = {
                "driver": "zarr3",
                "kvstore": _files(path / array.name),
                "metadata": array.metadata(labels),
            }
            ts.open(spec, create=True, context=_CONTEXT).result()
        zarr.consolidate_metadata(path)


def _plain(attributes: Mapping[str, Json]) -> dict[str, Json]:
    """Attributes in types that netCDF also has, with our version; objects become JSON text."""
    held = {"isogloss_version": version.isogloss_version(), **attributes}
    return {
        name: json.dumps(value)
        if isinstance(value, Mapping)
        else int(value)
        if isinstance(value, bool)
        else value
        for name, value in held.items()
    }


def _files(path: pathlib.Path) -> dict[str, str]:
    # TensorStore takes UTF-8, whatever the locale's encoding of the path.
    return {"driver": "file", "path": os.fsencode(path).decode("utf-8") + os.sep}


def open_array(path: pathlib.Path, name: str, *, keep_fill: bool = False) -> ts.TensorStore:
    """Handle of an array for reading and for writing whole chunks.

    Args:
      path: path of the group.
      name: name of the array.
      keep_fill: also write chunks of only NaN, where the file's existence marks a unit as done.
    """
    spec = {"driver": "zarr3", "kvstore": _files(path / name), "recheck_cached_data": "open"}
    spec["store_data_equal_to_fill_value"] = keep_fill
    return ts.open(spec, context=_CONTEXT).result()


def finish(write: ts.WriteFutures, what: str) -> None:
    """Wait until a chunk is on disk; WriteError, naming `what`, if it can't be written."""
    try:
        write.result()
    except (ValueError, OSError, RuntimeError) as error:
        raise WriteError(
            f"{what}: can't be written ({error}). Earlier results are kept. "
            "Remedy: free or add space, check permissions, then run the same command again"
        ) from error


def read_attributes(path: pathlib.Path) -> dict[str, Json]:
    """Attributes of the group at `path`, as `create` was given them."""
    held = json.loads((path / "zarr.json").read_text("utf-8")).get("attributes", {})
    return {
        name: json.loads(value) if isinstance(value, str) and value.startswith("{") else value
        for name, value in held.items()
    }


def check_kind(path: pathlib.Path, kind: str, formats: Collection[int]) -> None:
    """Refuse a group of another kind, or of a format that this version doesn't read."""
    attributes = read_attributes(path)
    found = attributes.get("kind"), attributes.get("format")
    if found[0] != kind or found[1] not in formats:
        known = " or ".join(map(str, formats))
        raise Refusal(
            f"{path}: holds {found[0]!r} of format {found[1]!r}, needed is {kind!r} of format {known}; "
            "name another folder, or make it anew with this version"
        )


def read_coordinate(path: pathlib.Path, name: str) -> np.ndarray:
    """Values of a coordinate; strings as an object array."""
    import zarr  # noqa: PLC0415

    values = np.asarray(zarr.open_array(path / name, mode="r"))
    return values.astype(object) if values.dtype.kind in "OTU" else values


def chunk_files(path: pathlib.Path, name: str) -> Callable[[Sequence[int]], pathlib.Path]:
    """Function that returns the file of an array's chunk by its index; the file may not exist."""
    metadata = json.loads((path / name / "zarr.json").read_text("utf-8"))
    separator = metadata["chunk_key_encoding"].get("configuration", {}).get("separator", "/")
    return lambda index: path / name / separator.join(["c", *map(str, index)])


def checksum(chunk: pathlib.Path) -> tuple[int, str]:
    """Size of a chunk's file and the CRC-32C at its end; a copy of the file has the same.

    Raises:
      FileNotFoundError: the chunk doesn't exist.
    """
    with chunk.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4))
        return size, file.read().hex()


def chunks_present(path: pathlib.Path, name: str, leading: int) -> set[tuple[int, ...]]:
    """Indices along the first `leading` axes of the chunks whose files exist.

    The other axes have one chunk each. Lists the array's folder once and opens no file.
    """
    keys = ts.KvStore.open(_files(path / name), context=_CONTEXT).result().list().result()
    # Both formats' keys match; TensorStore doesn't list its own lock files.
    found = map(_CHUNK.fullmatch, keys)
    return {tuple(map(int, re.split(rb"[./]", key[1])[:leading])) for key in found if key}

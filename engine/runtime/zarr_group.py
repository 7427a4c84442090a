"""Zarr v3 groups: made whole in one rename, arrays by TensorStore, coordinates by zarr-python.

A group is built beside its place and renamed into it, so it exists with all its metadata or not at all, and
of several processes that start at once one wins and the others open what it made. Nothing in a group's
metadata changes afterwards; only chunks are added, files of one folder for each array (`c.0.1.0.0`; groups of
format 1 have a folder for each index, and are read and continued alike).
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
# Many small handles are opened over a run; a cache would keep what was read until the end.
_CONTEXT = ts.Context({"cache_pool": {"total_bytes_limit": 0}})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coordinate:
    """A small array that labels an axis, written when the group is made.

    Attributes:
      name: of the array.
      axis: the dimension it lies along.
      values: strings, numbers or booleans, one axis.
      attributes: units and meaning.
    """

    name: str
    axis: str
    values: np.ndarray | Sequence[str]
    attributes: Mapping[str, Json] = dataclasses.field(default_factory=dict)

    @property
    def stored(self) -> np.ndarray:
        """Values as an array; strings are "<U", as xarray then gives back what `astype(str)` takes."""
        return self.values if isinstance(self.values, np.ndarray) else np.asarray(self.values, str)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Array:
    """A large array whose chunks come later.

    Attributes:
      name: of the array.
      axes: dimension names.
      shape: of the whole array.
      chunk: what one file holds and one write writes.
      inner: what one read reads, inside a chunk; None where a chunk isn't divided.
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
        """Zarr v3 metadata; checksums guard every chunk, and missing ones read as NaN.

        Args:
          labels: further coordinates of the array's axes; xarray finds them by the CF attribute.
        """
        codecs: list[Json] = [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "crc32c"},
        ]
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
    """Make the group at `path` unless there is one; True if it was made here.

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
    """Whether there is a group at `path`; Refusal if there is something else."""
    if (path / "zarr.json").is_file():
        return True
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise Refusal(
            f"{path}: exists, but isn't a Zarr v3 group (no zarr.json); name another place or move it away"
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
        # Of two things that zarr-python and xarray read and write, and that came after the core of Zarr v3.
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
    """Attributes as netCDF can hold them too, with our version; objects are kept as JSON text."""
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
    # TensorStore takes UTF-8, whatever the locale has made of the path.
    return {"driver": "file", "path": os.fsencode(path).decode("utf-8") + os.sep}


def open_array(path: pathlib.Path, name: str, *, keep_fill: bool = False) -> ts.TensorStore:
    """Handle of an array for reading and for writing whole chunks.

    Args:
      path: of the group.
      name: of the array.
      keep_fill: write chunks that are all NaN too, where a file's existence says that a unit is done.
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
            f"{what}: can't be written ({error}). What was written is kept. "
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
    """Refuse a group that isn't ours, or of a format that this version doesn't read; Refusal."""
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
    """Function that gives the file of an array's chunk by its index, whether it is there or not."""
    metadata = json.loads((path / name / "zarr.json").read_text("utf-8"))
    separator = metadata["chunk_key_encoding"].get("configuration", {}).get("separator", "/")
    return lambda index: path / name / separator.join(["c", *map(str, index)])


def checksum(chunk: pathlib.Path) -> tuple[int, str]:
    """Size of a chunk's file and the CRC-32C that ends it, which a copy of the file shares.

    Raises:
      FileNotFoundError: the chunk isn't there.
    """
    with chunk.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4))
        return size, file.read().hex()


def chunks_present(path: pathlib.Path, name: str, leading: int) -> set[tuple[int, ...]]:
    """Indices, along the first `leading` axes, of the chunks whose file exists.

    The other axes have one chunk each. One listing of the array's folder, no file is opened.
    """
    keys = ts.KvStore.open(_files(path / name), context=_CONTEXT).result().list().result()
    found = (
        _CHUNK.fullmatch(key) for key in keys
    )  # both kinds of keys; TensorStore's own locks aren't listed
    return {tuple(map(int, re.split(rb"[./]", key[1])[:leading])) for key in found if key}

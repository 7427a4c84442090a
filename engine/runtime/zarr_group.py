"""Zarr v3 groups, created whole or not at all; TensorStore writes the arrays, zarr-python the coordinates.

In a folder, a group is built beside its final path and renamed to it. A bucket has no rename: there the first
process claims the place, puts the objects, and puts the group's own metadata last; a group without it doesn't
exist. If several processes start at once, one creates the group and the others open it. Afterwards chunks are
added, as objects beside each other (`c.0.1.0.0`; groups of format 1 have a folder per index, and are read and
continued in the same way); labels change only as `zarr_growth` does it, in one step.
"""

import dataclasses
import errno
import functools
import hashlib
import itertools
import json
import math
import os
import pathlib
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
import tensorstore as ts

from isogloss.engine.runtime import atomic_write, disk_faults, objects, temporary, version
from isogloss.engine.runtime.bucket import CONTEXT
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.place import BucketPath, Place
from isogloss.engine.runtime.refusal import Refusal

_CHUNK = re.compile(r"c[./](\d+(?:[./]\d+)*)")
METADATA = "zarr.json"
CREATED = "created"  # attribute with the day on which a group was made
_CLAIM = ".claim"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coordinate:
    """Small array that labels an axis, or two, written with the group's metadata.

    Attributes:
      name: name of the array.
      axis: dimension that it labels; a table has two.
      values: strings, numbers or booleans.
      attributes: units and meaning.
    """

    name: str
    axis: str | tuple[str, str]
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
      dtype: bfloat16 would make the whole group unreadable for zarr-python.
      attributes: units and meaning.
      fill: value of missing chunks.
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    inner: tuple[int, ...] | None
    dtype: str
    attributes: Mapping[str, Json]
    fill: str | int = "NaN"

    def metadata(self, labels: Sequence[str]) -> dict[str, Json]:
        """Zarr v3 metadata; every chunk has a checksum, and missing chunks read as `fill`.

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
            "fill_value": self.fill,
            "dimension_names": self.axes,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": self.chunk}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "codecs": codecs,
            "attributes": {**self.attributes, "coordinates": " ".join(labels)},
        }


def create(
    path: Place,
    attributes: Mapping[str, Json],
    coordinates: Sequence[Coordinate],
    arrays: Sequence[Array],
) -> bool:
    """True if this call made the group at `path`, False if it existed.

    Raises:
      Refusal: something that isn't a Zarr group is in the way.
      WriteError: the disk may be full.
      UnreachableError: the disk or the bucket fails, perhaps for a moment.
    """
    if exists(path):
        return False
    attributes = {CREATED: version.today(), **attributes}
    if isinstance(path, BucketPath):
        return _publish(path, attributes, coordinates, arrays)
    atomic_write.make_folder(path.parent)
    try:
        with atomic_write.draft(path) as made:
            write_group(made, attributes, coordinates, lambda: _write_arrays(made, coordinates, arrays))
            os.rename(made, path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and exists(path):
            return False  # another process was faster; the caller checks that it made the same
        raise disk_faults.failure(str(path), error) from error
    return True


def _publish(
    path: BucketPath,
    attributes: Mapping[str, Json],
    coordinates: Sequence[Coordinate],
    arrays: Sequence[Array],
) -> bool:
    """True if this call made the group in a bucket, False if another process was faster.

    Processes with the same coordinates and arrays put the same objects, so it doesn't matter whose arrive.
    The claim holds their hash; it keeps out a process with others, whose labels would mix with these, and
    stays.
    """
    with temporary.Folder() as folder:
        made = pathlib.Path(folder) / path.name
        write_group(made, attributes, coordinates, lambda: _write_arrays(made, coordinates, arrays))
        found = {key: (made / key).read_bytes() for key in sorted(objects.keys(made))}
    metadata = found.pop(METADATA)
    digest = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest().encode()
    if not objects.write_new(path / _CLAIM, digest) and objects.read(path / _CLAIM) != digest:
        raise Refusal(
            f"{path}: another process began to make a group with other labels there. Name another place, or "
            f"remove {path / _CLAIM} if no such process runs any more"
        )
    for key, content in found.items():
        objects.write(path / key, content)
    return objects.write_new(path / METADATA, metadata)


def exists(path: Place) -> bool:
    """True if there is a group at `path`; Refusal if there is something else."""
    if objects.exists(path / METADATA):
        return True
    if isinstance(path, BucketPath):
        return False  # objects without metadata are of a creation that was killed, and are written again
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise Refusal(f"{path}: exists, but isn't a Zarr v3 group (no zarr.json). Remedy: name another path")
    return False


def write_group(
    path: pathlib.Path,
    attributes: Mapping[str, Json],
    coordinates: Sequence[Coordinate],
    write_arrays: Callable[[], None],
    separator: str = "/",
) -> None:
    """Write a group with its coordinates at an unused path.

    Args:
      path: where.
      attributes: attributes of the group.
      coordinates: labels of its axes.
      write_arrays: function that writes the metadata of the large arrays.
      separator: "/" or ".", in the names of the coordinates' chunks: c/0 or c.0.
    """
    import zarr  # noqa: PLC0415  (half a second; only labels need it)

    with warnings.catch_warnings():
        # zarr-python and xarray read both of these, but warn that the Zarr v3 core doesn't define them.
        for words in ("Consolidated metadata", r"(?s)The data type .*FixedLengthUTF32"):
            warnings.filterwarnings("ignore", words)
        group = zarr.create_group(path, attributes=_plain(attributes))
        for coordinate in coordinates:
            group.create_array(
                coordinate.name,
                data=coordinate.stored,
                dimension_names=(coordinate.axis,) if isinstance(coordinate.axis, str) else coordinate.axis,
                attributes=dict(coordinate.attributes),
                chunk_key_encoding={"name": "default", "separator": separator},
            )
        write_arrays()
        zarr.consolidate_metadata(path)


def _write_arrays(path: pathlib.Path, coordinates: Sequence[Coordinate], arrays: Sequence[Array]) -> None:
    for array in arrays:
        metadata = array.metadata(labels_of(array.axes, coordinates))
        spec = {"driver": "zarr3", "kvstore": objects.spec(path / array.name), "metadata": metadata}
        ts.open(spec, create=True, context=CONTEXT).result()


def labels_of(axes: Sequence[str], coordinates: Sequence[Coordinate]) -> list[str]:
    """Names of the coordinates that label an array's axes beside the axes' own."""
    return [c.name for c in coordinates if c.axis in axes and c.name != c.axis]


def _plain(attributes: Mapping[str, Json]) -> dict[str, Json]:
    """Attributes in types that netCDF 3 also has, with the version; objects and lists become JSON."""
    held = {"isogloss_version": version.isogloss_version(), **attributes}
    return {
        name: json.dumps(value)
        if isinstance(value, Mapping | list | tuple)
        else int(value)
        if isinstance(value, bool)
        else value
        for name, value in held.items()
    }


class ArrayMetadata(TypedDict):
    """Metadata of a Zarr v3 array, as far as they are used."""

    shape: list[int]
    data_type: str
    dimension_names: list[str]
    attributes: dict[str, Json]
    chunk_grid: dict[str, Any]
    chunk_key_encoding: dict[str, Any]
    codecs: list[dict[str, Any]]


class _GroupMetadata(TypedDict):
    """Metadata of a Zarr v3 group, as far as they are used."""

    attributes: NotRequired[dict[str, Json]]
    consolidated_metadata: NotRequired[dict[str, dict[str, ArrayMetadata]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Existing group, whose metadata is read once.

    Attributes:
      path: place of the group.
      metadata: content of its zarr.json, which holds the metadata of every array, too.
    """

    path: Place
    metadata: "_GroupMetadata"

    @functools.cached_property
    def attributes(self) -> dict[str, Json]:
        """Attributes, as `create` was given them, without the day, which isn't part of what a group is."""
        return {
            name: json.loads(value) if isinstance(value, str) and value.startswith(("{", "[")) else value
            for name, value in self.metadata.get("attributes", {}).items()
            if name != CREATED
        }

    @property
    def arrays(self) -> "dict[str, ArrayMetadata]":
        """Metadata of all arrays, coordinates among them, by name."""
        consolidated = self.metadata.get("consolidated_metadata")
        return consolidated["metadata"] if consolidated else {}

    @functools.cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Values of all coordinates, read at once, as of the moment of the metadata; strings as objects.

        A group that grows meanwhile doesn't change them: the labels that the metadata name are kept until the
        next growth.
        """
        import zarr  # noqa: PLC0415
        from zarr.core.buffer import cpu  # noqa: PLC0415
        from zarr.storage import MemoryStore  # noqa: PLC0415

        # Large arrays have more axes and name their labels; grids written by others may not name them.
        small = {name: array["attributes"] for name, array in self.arrays.items() if len(array["shape"]) <= 2}
        names = [name for name, attributes in small.items() if "coordinates" not in attributes]
        keys = [key for name in names for key in self._chunk_keys(name)]
        found = zip(keys, objects.read_all([self.path / key for key in keys]), strict=True)
        held = {METADATA: json.dumps(self.metadata).encode()}
        held |= {key: content for key, content in found if content is not None}
        memory = MemoryStore({key: cpu.Buffer.from_bytes(content) for key, content in held.items()})
        group = zarr.open_group(memory, mode="r")
        values = {name: np.asarray(group[name]) for name in names}
        return {
            name: each.astype(object) if each.dtype.kind in "OTU" else each for name, each in values.items()
        }

    def _chunk_keys(self, name: str) -> list[str]:
        array = self.arrays[name]
        sizes = array["chunk_grid"]["configuration"]["chunk_shape"]
        counts = [range(-(-length // size)) for length, size in zip(array["shape"], sizes, strict=True)]
        return [self._chunk_key(name, index) for index in itertools.product(*counts)]

    def _chunk_key(self, name: str, index: Sequence[int]) -> str:
        separator = self.arrays[name]["chunk_key_encoding"].get("configuration", {}).get("separator", "/")
        return f"{name}/{separator.join(['c', *map(str, index)])}"

    def open_array(self, name: str, *, keep_fill: bool = False) -> ts.TensorStore:
        """Handle of an array for reading and for writing whole chunks.

        Args:
          name: name of the array.
          keep_fill: also write chunks of only NaN, where an object's existence marks a unit as done.
        """
        spec = {"driver": "zarr3", "kvstore": objects.spec(self.path / name), "recheck_cached_data": "open"}
        spec["store_data_equal_to_fill_value"] = keep_fill
        return objects.result(ts.open(spec, context=CONTEXT), self.path)

    def chunks_present(self, name: str, leading: int) -> set[tuple[int, ...]]:
        """Indices along the first `leading` axes of the chunks that exist.

        The other axes have one chunk each. Lists the array's objects once and opens none.
        """
        # Both formats' keys match; TensorStore's own lock files don't.
        found = map(_CHUNK.fullmatch, objects.keys(self.path / name))
        return {tuple(map(int, re.split(r"[./]", key[1])[:leading])) for key in found if key}

    def chunk(self, name: str, index: Sequence[int]) -> Place:
        """Place of an array's chunk by its index; the object may not exist."""
        return self.path / self._chunk_key(name, index)

    def checksums(self, chunks: Sequence[tuple[str, Sequence[int]]]) -> list[tuple[int, str]]:
        """Size and CRC-32C of undivided chunks, by array and index; a copy of a chunk has the same.

        Raises:
          FileNotFoundError: a chunk doesn't exist.
        """
        places = [self.chunk(name, index) for name, index in chunks]
        found = []
        for place, (name, _), end in zip(places, chunks, objects.read_ends(places, 4), strict=True):
            if end is None:
                raise FileNotFoundError(str(place))
            found.append((self._chunk_bytes(name) if end[0] is None else end[0], end[1].hex()))
        return found

    def _chunk_bytes(self, name: str) -> int:
        """Size of an array's chunks; a bucket, which doesn't tell it, holds only whole ones."""
        array = self.arrays[name]
        return (
            math.prod(array["chunk_grid"]["configuration"]["chunk_shape"])
            * np.dtype(array["data_type"]).itemsize
            + 4
        )


def find_groups(paths: Sequence[Place]) -> list[Group | None]:
    """Group at each place, None where there is none; their metadata is read at once."""
    contents = objects.read_all([path / METADATA for path in paths])
    return [
        None if content is None else _parsed(path, content)
        for path, content in zip(paths, contents, strict=True)
    ]


def open_group(path: Place) -> Group:
    """Group at a place; Refusal if there is none."""
    [found] = find_groups([path])
    if found is None:
        raise Refusal(f"{path}: there is no Zarr v3 group (no {METADATA})")
    return found


def _parsed(path: Place, content: bytes) -> Group:
    try:
        return Group(path=path, metadata=json.loads(content))
    except ValueError as error:
        raise Refusal(f"{path / METADATA}: not JSON: {error}. Remedy: make the group anew") from error


def check_kind(group: Group, kind: str, formats: Collection[int]) -> None:
    """Refuse a group of another kind, or of a format that this version doesn't read."""
    found = group.attributes.get("kind"), group.attributes.get("format")
    if found[0] != kind or found[1] not in formats:
        known = " or ".join(map(str, formats))
        raise Refusal(
            f"{group.path}: holds {found[0]!r} of format {found[1]!r}, needed is {kind!r} of format {known}; "
            "name another folder, or make it anew with this version"
        )

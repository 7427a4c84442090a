"""Zarr v3 groups: made whole in one rename, arrays by TensorStore, coordinates by zarr-python.

A group is built beside its place and renamed into it, so it exists with all its metadata or not at all, and
of several processes that start at once one wins and the others open what it made. Nothing in a group's
metadata changes afterwards; only chunks are added. One of the few modules that touch the disk.
"""

import collections
import dataclasses
import errno
import json
import os
import pathlib
import shutil
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import tensorstore as ts

from isogloss.engine.runtime import atomic_write
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal

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
    """
    if exists(path):
        return False
    workshop = path.parent / ".creating"
    try:
        workshop.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        rule = f"{error.strerror}: {error.filename}"
        raise Refusal(f"{path}: no folder can be made there ({rule}); name a place you may write") from error
    _sweep(workshop)
    unfinished = workshop / atomic_write.name(path.name)
    try:
        _fill(unfinished, attributes, coordinates, arrays)
        os.rename(unfinished, path)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and exists(path):
            return False  # another process was faster; the caller checks that it made the same
        raise
    finally:
        _sweep(workshop)
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
    from zarr import errors  # noqa: PLC0415

    group = zarr.create_group(path, attributes=dict(attributes))
    for coordinate in coordinates:
        values = coordinate.values
        text = not isinstance(values, np.ndarray)
        group.create_array(
            coordinate.name,
            data=np.asarray(values, np.dtypes.StringDType()) if text else values,
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
    with warnings.catch_warnings():  # every reader of ours knows consolidated metadata
        warnings.filterwarnings("ignore", "Consolidated metadata", errors.ZarrUserWarning)
        zarr.consolidate_metadata(path)


def _sweep(workshop: pathlib.Path) -> None:
    """Remove drafts of killed processes of this machine, and the workshop once it's empty."""
    for old in workshop.glob("*~*~*") if workshop.is_dir() else ():
        if atomic_write.abandoned(old.name):
            shutil.rmtree(old, ignore_errors=True)
    try:
        workshop.rmdir()
    except OSError:
        return  # somebody else's draft is in it, or it's gone


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


class StoreError(OSError):
    """A store couldn't be written; what was written before stays."""


def finish(write: ts.WriteFutures, what: str) -> None:
    """Wait until a chunk is on disk; StoreError, naming `what`, if it can't be written."""
    try:
        write.result()
    except (ValueError, OSError, RuntimeError) as error:
        raise StoreError(
            f"{what}: can't be written ({error}). What was written is kept. "
            "Remedy: free or add space, check permissions, then run the same command again"
        ) from error


def read_attributes(path: pathlib.Path) -> dict[str, Json]:
    """Attributes of the group at `path`."""
    return json.loads((path / "zarr.json").read_text("utf-8")).get("attributes", {})


def check_kind(path: pathlib.Path, kind: str, version: int) -> None:
    """Refuse a group that isn't ours, or of another format; Refusal."""
    attributes = read_attributes(path)
    found = attributes.get("kind"), attributes.get("format")
    if found != (kind, version):
        raise Refusal(
            f"{path}: holds {found[0]!r} of format {found[1]!r}, needed is {kind!r} of format {version}; "
            "name another folder, or make it anew with this version"
        )


def read_coordinate(path: pathlib.Path, name: str) -> np.ndarray:
    """Values of a coordinate; strings as an object array."""
    import zarr  # noqa: PLC0415

    values = np.asarray(zarr.open_array(path / name, mode="r"))
    return values.astype(object) if values.dtype.kind in "OT" else values


def chunk_file(path: pathlib.Path, name: str, index: Sequence[int]) -> pathlib.Path:
    """Where the chunk of an array at `index`, one number an axis, is or will be."""
    return (path / name / "c").joinpath(*map(str, index))


def chunks_present(path: pathlib.Path, name: str, leading: int) -> set[tuple[int, ...]]:
    """Indices, along the first `leading` axes, of the chunks whose file exists.

    The other axes have one chunk each. One directory listing per index prefix, no file is opened.
    """
    found: set[tuple[int, ...]] = set()
    queue: collections.deque[tuple[tuple[int, ...], pathlib.Path]]
    queue = collections.deque([((), path / name / "c")])
    while queue:
        index, folder = queue.popleft()
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            numbers = [int(entry.name) for entry in entries if entry.name.isdecimal()]
        if len(index) == leading - 1:
            found |= {(*index, number) for number in numbers if _written(folder / str(number))}
        else:
            queue.extend(((*index, number), folder / str(number)) for number in numbers)
    return found


def _written(chunk: pathlib.Path) -> bool:
    """Whether the file below `chunk` is there; a killed writer may leave its folders or a lock alone."""
    while chunk.is_dir():
        chunk = chunk / "0"
    return chunk.is_file()

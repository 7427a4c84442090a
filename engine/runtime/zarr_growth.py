"""Growth of a Zarr group: other labels and attributes, longer axes, committed in one step.

A label's chunk has two possible names, `c/0` and `c.0`, and the metadata tell which is in use. The new labels
are written under the other one; the group's own metadata, which hold those of all its arrays, are replaced
last. So readers have all old labels or all new ones, whenever the writer is killed, and those who opened the
group before keep what they have. Chunks of large arrays stay where they are: axes grow only at their ends. A
growth costs as much as making the group: some thirty small files.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from isogloss.engine.runtime import atomic_write, disk_faults, objects, temporary, zarr_group
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.place import BucketPath, Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.runtime.zarr_group import METADATA, ArrayMetadata, Coordinate, Group


@contextlib.contextmanager
def locked(path: Place, *, shared: bool = False) -> Iterator[bool]:
    """Block in which no other process grows the group at `path`; the system frees a killed process's lock.

    Processes that grow a group to the same labels write the same files, so that a file system without locks
    matters only to those that want different ones at the same moment. A bucket has no locks: there `relabel`
    lets one growth be claimed.

    Args:
      path: path of the group.
      shared: True for those who don't grow it themselves; several may be in such a block.

    Yields:
      True if there is a lock.
    """
    if isinstance(path, BucketPath):
        yield False
        return
    # The group's own folder is locked: a lock file beside it would stay behind in every copy.
    folder = os.open(path, os.O_RDONLY)
    held = False
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            held = True
        yield held
    finally:
        os.close(folder)


def has_grown(group: Group) -> bool:
    """True if a group was given other labels since it was read, or is being given some in a bucket."""
    now = objects.read(group.path / METADATA) or b""
    if json.loads(now or "null") != group.metadata:
        return True
    return isinstance(group.path, BucketPath) and objects.exists(_claim(group.path, now))


def relabel(
    path: Place,
    attributes: Mapping[str, Json],
    coordinates: Sequence[Coordinate],
    shapes: Mapping[str, Sequence[int]],
    remove: Sequence[Place] = (),
) -> None:
    """Give the group at `path` other labels; its large arrays keep their chunks, except some.

    Args:
      path: path of the group; the caller holds its lock and has read it since.
      attributes: all attributes of the group.
      coordinates: all of its coordinates.
      shapes: shapes of the large arrays by name, no axis shorter than it was.
      remove: chunks that the new labels don't describe; they go first, once nothing else can refuse.

    Raises:
      Refusal: in a bucket, another process grows the group to other labels.
      WriteError: the disk may be full; the group is as it was.
      UnreachableError: the disk or the bucket fails, perhaps for a moment.
    """
    group = zarr_group.open_group(path)
    held, before = group.arrays, group.metadata.get("attributes", {})
    attributes = {**attributes, **{name: before[name] for name in (zarr_group.CREATED,) if name in before}}
    used = held[coordinates[0].name]["chunk_key_encoding"].get("configuration", {}).get("separator", "/")
    other = "." if used == "/" else "/"
    write = functools.partial(_write_arrays, held, coordinates, shapes)
    if isinstance(path, BucketPath):
        # A bucket can't rename: the group is made on this machine, and its objects are put in an order in
        # which the last one makes the growth visible.
        with temporary.Folder() as folder:
            made = pathlib.Path(folder) / path.name
            zarr_group.write_group(made, attributes, coordinates, lambda: write(made), other)
            _put(made, path, remove)
        return
    try:
        with atomic_write.draft(path) as made:
            zarr_group.write_group(made, attributes, coordinates, lambda: write(made), other)
            _move(made, path, remove)
    except OSError as error:
        raise disk_faults.failure(str(path), error, "it is as it was") from error


def _write_arrays(
    held: Mapping[str, ArrayMetadata],
    coordinates: Sequence[Coordinate],
    shapes: Mapping[str, Sequence[int]],
    made: pathlib.Path,
) -> None:
    """Write the metadata of large arrays, of these shapes and otherwise as held, without a chunk."""
    for name, shape in shapes.items():
        labels = zarr_group.labels_of(held[name]["dimension_names"], coordinates)
        its = held[name]["attributes"] | {"coordinates": " ".join(labels)}
        (made / name).mkdir()
        content = json.dumps({**held[name], "shape": shape, "attributes": its})
        (made / name / METADATA).write_text(content, "utf-8")


def _in_order(made: pathlib.Path) -> list[pathlib.Path]:
    """Files of a group in the order of their publication: chunks, arrays' metadata, the group's."""
    files = [file for file in made.rglob("*") if file.is_file()]
    return sorted(files, key=lambda file: (file.name == METADATA, -len(file.parts), file))


def _move(made: pathlib.Path, path: pathlib.Path, remove: Sequence[Place]) -> None:
    for chunk in remove:
        objects.remove(chunk)
    for file in _in_order(made):
        # Synced before the rename, or a loss of power could leave a name in the folder that leads to nothing.
        with file.open("rb") as written:
            os.fsync(written.fileno())
        target = path / file.relative_to(made)
        target.parent.mkdir(exist_ok=True, parents=True)
        os.replace(file, target)


def _put(made: pathlib.Path, path: BucketPath, remove: Sequence[Place]) -> None:
    """Put the objects of a group over those at `path`, claimed by the first of several processes.

    The claim is on the labels that the group has, and holds a hash of those that it will have: a process that
    wants the same goes on, also where another was killed.
    """
    contents = {str(file.relative_to(made)): file.read_bytes() for file in _in_order(made)}
    # The claim's name tells from which labels the group grows, its content to which it grows.
    digest = hashlib.sha256(repr(sorted(contents.items())).encode()).hexdigest().encode()
    before = objects.read(path / METADATA) or b""
    claim = _claim(path, before)
    if not objects.write_new(claim, digest) and objects.read(claim) != digest:
        raise Refusal(
            f"{path}: another process is giving the group other labels. Run the same command again later, or "
            f"remove {claim} if no such process runs any more"
        )
    if objects.read(path / METADATA) == before:  # else another process was faster, and chunks are its own
        for chunk in remove:
            objects.remove(chunk)
        for key, content in contents.items():
            objects.write(path / key, content)
    objects.remove(claim)


def _claim(path: BucketPath, metadata: bytes) -> BucketPath:
    """Object by which one process claims the growth of a group that has this metadata."""
    return path / f".claim-{hashlib.sha256(metadata).hexdigest()[:16]}"

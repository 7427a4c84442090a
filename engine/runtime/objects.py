"""Objects of a store or a grid: listed, read and written whole, in a folder and in a bucket alike.

Nothing else asks a file system or a bucket what a store holds. A bucket has neither folders nor renames: an
object appears whole when its write ends, and a folder exists if a key begins with its name.
"""

import contextlib
import fcntl
import itertools
import os
import pathlib
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import tensorstore as ts

from isogloss.engine.runtime import atomic_write, bucket, disk_faults
from isogloss.engine.runtime.bucket import CONTEXT
from isogloss.engine.runtime.place import BucketPath, Place
from isogloss.engine.runtime.refusal import UnreadableError

Value_co = TypeVar("Value_co", covariant=True)
_ABSENT = b"\x02"  # generation of an object that doesn't exist
_ABSENT_ERRORS = (FileNotFoundError, NotADirectoryError)
_RIGHTS = ". Check its permissions"
_ERRORS = (ValueError, OSError, RuntimeError)  # of TensorStore


@runtime_checkable
class _Future(Protocol[Value_co]):
    """Future of TensorStore."""

    def result(self) -> Value_co:
        """Value, waited for."""
        ...


def spec(place: Place) -> dict[str, object]:
    """TensorStore's description of the objects below a place."""
    if isinstance(place, BucketPath):
        return bucket.spec(place)
    # TensorStore takes UTF-8, whatever the locale's encoding of the path.
    return {"driver": "file", "path": os.fsencode(place).decode("utf-8") + os.sep}


def exists(place: Place) -> bool:
    """True if there is an object."""
    if isinstance(place, BucketPath):
        found = bucket.open_bucket(place).read(place.key, byte_range=slice(0, 0))
        return result(found, place).state == "value"
    with _asked(place, "looked at"):
        try:
            # is_file takes any fault of a disk for "no", since 3.14
            return stat.S_ISREG(place.stat().st_mode)
        except _ABSENT_ERRORS:
            return False


def keys(place: Place) -> list[str]:
    """Paths of all objects below a place, relative to it; a bucket answers with a thousand per request."""
    if isinstance(place, pathlib.Path):
        with _asked(place, "listed"):
            return list(_files_below(place, ""))  # three times as fast as TensorStore's listing
    below = ts.KvStore.open(spec(place), context=CONTEXT).result()
    return [os.fsdecode(key) for key in result(below.list(), place)]


def _files_below(folder: pathlib.Path | str, prefix: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    yield from _files_below(entry.path, f"{prefix}{entry.name}/")
                else:
                    yield prefix + entry.name
    except _ABSENT_ERRORS:
        return


@contextlib.contextmanager
def _asked(path: pathlib.Path, what: str) -> Iterator[None]:
    """Refusal, or UnreachableError if the disk fails, in place of a system's error."""
    try:
        yield
    except OSError as error:
        raise disk_faults.unread(f"{path}: can't be {what}", error, _RIGHTS) from error


def children(place: Place) -> set[str]:
    """Names directly below a place; none if there is no such place."""
    if isinstance(place, BucketPath):
        return {key.split("/")[0] for key in keys(place)}
    with _asked(place, "listed"), contextlib.suppress(*_ABSENT_ERRORS):
        return set(os.listdir(place))  # of half a million names, in half of pathlib's time
    return set()


def read(place: Place) -> bytes | None:
    """Content of an object; None if there is none."""
    return read_all([place])[0]


def read_all(places: Sequence[Place]) -> list[bytes | None]:
    """Content of several objects, None for each that doesn't exist; a bucket is asked for all at once."""
    asked = [
        bucket.open_bucket(place).read(place.key) if isinstance(place, BucketPath) else None
        for place in places
    ]
    return [_content(place, answer) for place, answer in zip(places, asked, strict=True)]


def _content(place: Place, answer: ts.Future | None) -> bytes | None:
    if isinstance(place, pathlib.Path):
        with _asked(place, "read"), contextlib.suppress(*_ABSENT_ERRORS, IsADirectoryError):
            return place.read_bytes()
        return None
    assert answer is not None
    found = result(answer, place)
    return found.value if found.state == "value" else None


def read_ends(places: Sequence[Place], count: int) -> list[tuple[int | None, bytes] | None]:
    """Size of each object, None in a bucket, and its last bytes; None for each that doesn't exist."""
    end = slice(-count, None)
    asked = [
        bucket.open_bucket(place).read(place.key, byte_range=end) if isinstance(place, BucketPath) else None
        for place in places
    ]
    return [_end(place, count, answer) for place, answer in zip(places, asked, strict=True)]


def _end(place: Place, count: int, answer: ts.Future | None) -> tuple[int | None, bytes] | None:
    if isinstance(place, BucketPath):
        assert answer is not None
        found = result(answer, place)
        return (None, found.value) if found.state == "value" else None
    with _asked(place, "read"), contextlib.suppress(*_ABSENT_ERRORS), place.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - count))
        return size, file.read()
    return None


def times(places: Sequence[Place]) -> list[float | None]:
    """Times of the last change of objects and folders; None where there is none, and in a bucket."""
    return [None if isinstance(place, BucketPath) else _time(place) for place in places]


def _time(path: pathlib.Path) -> float | None:
    with _asked(path, "looked at"), contextlib.suppress(*_ABSENT_ERRORS):
        return path.stat().st_mtime
    return None


def write(place: Place, content: bytes) -> None:
    """Write an object, in place of an older one.

    Raises:
      WriteError: it can't be written.
      UnreachableError: the disk or the bucket fails, perhaps for a moment.
    """
    if isinstance(place, BucketPath):
        finish(bucket.open_bucket(place).write(place.key, content), place, str(place))
    else:
        atomic_write.make_folder(place.parent)
        atomic_write.write_whole(place, lambda file: file.write_bytes(content))


def write_new(place: Place, content: bytes) -> bool:
    """True if this call wrote the object, False if there is one; of several writers at most one gets True.

    In a bucket its writer may get False, too, if the answer was lost and the request repeated.

    Raises:
      WriteError: it can't be written.
      UnreachableError: the disk or the bucket fails, perhaps for a moment.
    """
    if isinstance(place, pathlib.Path):
        atomic_write.make_folder(place.parent)
        return atomic_write.write_new(place, content)
    opened = bucket.open_bucket(place)
    for attempt in itertools.count():
        try:
            return bool(opened.write(place.key, content, if_equal=_ABSENT).result().generation)
        except _ERRORS as error:
            # TensorStore first asks for the object, and doesn't repeat that question as it does a write.
            if attempt == bucket.RETRIES or bucket.forbidden(error) or not bucket.unreachable(error):
                raise bucket.failure(str(place), error) from error
            time.sleep(min(0.1 * 2**attempt, 32))
    raise AssertionError


def remove(place: Place) -> None:
    """Remove an object, if there is one.

    Raises:
      WriteError: it can't be removed.
      UnreachableError: the disk or the bucket fails, perhaps for a moment.
    """
    if isinstance(place, BucketPath):
        finish(bucket.open_bucket(place).write(place.key, None), place, str(place))
    else:
        try:
            place.unlink(missing_ok=True)
        except OSError as error:
            raise disk_faults.failure(str(place), error, "it is still there", done="removed") from error


def remove_all(place: Place) -> None:
    """Remove all objects below a path in a bucket, or a folder with all that is in it.

    Raises:
      WriteError: something can't be removed.
      UnreachableError: the disk or the bucket fails, perhaps for a moment.
    """
    if isinstance(place, BucketPath):
        below = ts.KvStore.open(spec(place), context=CONTEXT).result()
        finish(below.delete_range(ts.KvStore.KeyRange()), place, str(place))
        return
    try:
        while True:
            # What another process removes meanwhile ends the walk before Python 3.13.
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(place)
            if not place.exists():
                return
    except OSError as error:
        raise disk_faults.failure(str(place), error, "some of it is still there", done="removed") from error


def empty_draft(place: Place) -> None:
    """Empty the file in which TensorStore writes an object in a folder, if a killed process left one there.

    TensorStore writes over its beginning and renames it: what was longer would end behind the new content.
    """
    if isinstance(place, BucketPath):
        return
    with contextlib.suppress(FileNotFoundError, BlockingIOError, PermissionError):
        with place.with_name(f"{place.name}.__lock").open("r+b") as file:
            # Sees TensorStore's own lock: another process may be writing this very object.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate()


def finish(write: "_Future[object]", place: Place, what: str) -> None:
    """Wait until something below a place is stored.

    Raises:
      WriteError: it can't be written until a person helps; the message begins with `what`.
      UnreachableError: the disk or the bucket fails, perhaps for a moment.
    """
    try:
        write.result()
    except _ERRORS as error:
        if isinstance(place, BucketPath):
            raise bucket.failure(what, error) from error
        raise disk_faults.failure(what, error) from error


def result(reading: "_Future[Value_co]", place: Place) -> Value_co:
    """Value of a future that reads below a place.

    Raises:
      UnreachableError: the bucket doesn't answer.
      UnreadableError: what is stored is damaged, or the disk fails, see `disk_faults.may_pass`.
    """
    try:
        return reading.result()
    except _ERRORS as error:
        if isinstance(place, BucketPath) and bucket.unreachable(error):
            raise bucket.failure(str(place), error) from error
        if isinstance(place, pathlib.Path) and disk_faults.passing(error):
            raise UnreadableError(f"{error}; {disk_faults.AGAIN}") from error
        if isinstance(error, ValueError):  # a checksum error is one
            raise UnreadableError(str(error)) from error
        raise

"""Atomic writes: a draft is made beside its place and renamed into it once it is whole.

A draft has a random name, and beside it a lock file whose lock its writer holds until the end. The lock of a
killed process is free: so the next run recognises abandoned drafts and removes them, whatever containers and
process numbers they came from. Where a lock may not be seen, on another machine, by another mount or on a
file system without locks, a draft counts as abandoned after a day. Costs one directory listing a sweep.
"""

import collections
import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator

from isogloss.engine.runtime.refusal import Refusal, WriteError

_DRAFT = re.compile(r"(\..+~([0-9a-f]{8})~[0-9a-f]{8})(\.[^~]*)?")  # .NAME~WHERE~RANDOM.SUFFIX, hidden
_OLD = 24 * 3600.0  # seconds; the longest draft takes minutes


@contextlib.contextmanager
def draft(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Free path beside `path`, of the same suffix, for a file or folder that is to be renamed to it.

    What is still there when the block ends is removed.
    """
    where = _where(path.parent)
    while True:
        base = f".{path.stem}~{where}~{secrets.token_hex(4)}"
        lock = path.with_name(f"{base}.lock")
        with lock.open("xb") as file:
            try:
                # Before the lock is taken, another process may have taken it and removed the file.
                if _lock(file.fileno()) is not False and os.fstat(file.fileno()).st_nlink:
                    yield path.with_name(base + path.suffix)
                    return
            finally:
                for left in (path.with_name(base + path.suffix), lock):
                    _remove(left)


def write_whole(path: pathlib.Path, write: Callable[[pathlib.Path], object]) -> None:
    """Let `write` make a file beside `path` and rename it there, so that no half file is seen.

    It is on the disk before it has its name, so that a power cut leaves no empty one.

    Raises:
      WriteError: the file can't be written, the disk may be full; `path` is as it was.
    """
    try:
        with draft(path) as made:
            write(made)
            with made.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(made, path)
    except OSError as error:
        raise WriteError(
            f"{path}: can't be written ({error}); what was written before is kept. "
            "Free or add space, check permissions, then run the same command again"
        ) from error


def make_folder(path: pathlib.Path) -> None:
    """Make a folder unless it's there, and remove abandoned drafts from it.

    Raises:
      Refusal: there can't be one, or nothing can be written into it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with draft(path / "trial"):
            _sweep(path)
    except OSError as error:
        raise Refusal(
            f"{path}: must be a folder to write to, but it can't be made or written "
            f"({error.strerror}: {error.filename}); name another, or check what is in its way and its "
            "permissions"
        ) from error


def _sweep(folder: pathlib.Path) -> None:
    drafts: dict[tuple[str, str], list[pathlib.Path]] = collections.defaultdict(list)
    for path in folder.iterdir():
        if found := _DRAFT.fullmatch(path.name):
            drafts[found[1], found[2]].append(path)
    for (base, where), paths in drafts.items():
        lock = folder / f"{base}.lock"
        if _abandoned(lock if lock in paths else paths[0], where == _where(folder)):
            for path in sorted(
                paths, key=lock.__eq__
            ):  # the lock goes last, as long as it's there all is known
                _remove(path)


def _abandoned(path: pathlib.Path, seen: bool) -> bool:
    """Whether a lock file, or a draft without one, is of a writer that has ended.

    Args:
      path: of either.
      seen: whether a lock that its writer holds would be seen here.
    """
    try:
        if path.suffix == ".lock":
            with path.open("r+b") as file:
                free = _lock(file.fileno())
            if free is False:
                return False
            if free and seen:
                return True
        return time.time() - path.stat().st_mtime > _OLD
    except (FileNotFoundError, PermissionError):
        return False  # its writer has just finished, or is somebody else


def _lock(descriptor: int) -> bool | None:
    """Whether this process has the file's lock now; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _where(folder: pathlib.Path) -> str:
    """Name of this kernel since it was started, together with the mounted file system of a folder.

    Processes for which it is the same see each other's locks, in whatever containers they run.
    """
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id")
    kernel = boot.read_text() if boot.is_file() else socket.gethostname()
    return hashlib.sha256(f"{kernel} {folder.stat().st_dev}".encode()).hexdigest()[:8]


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

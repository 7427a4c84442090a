"""Atomic writes: a draft is written beside the final path and renamed to it when it is complete.

A draft has a random name and a lock file, which its writer keeps locked until the end. The system frees the
lock of a killed process, so the next run recognises abandoned drafts and removes them, whatever container or
process number they came from. Where locks may be invisible (another machine, another mount, a file system
without locks), a draft counts as abandoned after a day. A sweep costs one directory listing.
"""

import collections
import contextlib
import errno
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

from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.refusal import Refusal

_DRAFT = re.compile(r"(\..+~([0-9a-f]{8})~[0-9a-f]{8})(\.[^~]*)?")  # .NAME~WHERE~RANDOM.SUFFIX, hidden
_WITHOUT_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # by file system
_OLD = 24 * 3600.0  # seconds; the longest draft takes minutes


@contextlib.contextmanager
def draft(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Unused path beside `path`, with its suffix, for a file or folder that will be renamed to `path`.

    A draft that still exists when the block ends is removed.
    """
    # Beside the final path, because a rename is atomic only within a file system.
    where = _where(path.parent)
    while True:
        base = f".{path.stem}~{where}~{secrets.token_hex(4)}"
        lock = path.with_name(f"{base}.lock")
        with lock.open("xb") as file:
            try:
                # A sweep by another process may have locked and removed the file before we locked it.
                if _lock(file.fileno()) is not False and os.fstat(file.fileno()).st_nlink:
                    yield path.with_name(base + path.suffix)
                    return
            finally:  # the lock goes last and while it is held: until then it marks the draft as alive
                for left in (path.with_name(base + path.suffix), lock):
                    _remove(left)


def write_whole(path: pathlib.Path, write: Callable[[pathlib.Path], object]) -> None:
    """Let `write` make a file beside `path`, then rename it to `path`: nobody sees an incomplete file.

    The content is on the disk before the rename, so a power cut leaves no empty file.

    Raises:
      WriteError: the file can't be written, perhaps because the disk is full; `path` is unchanged.
      UnreachableError: the disk fails, perhaps for a moment; `path` is unchanged.
    """
    try:
        with draft(path) as made:
            write(made)
            # A rename may reach the disk before the content does.
            with made.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(made, path)
    except OSError as error:
        raise disk_faults.failure(str(path), error) from error


def write_whole_by_library(path: pathlib.Path, write: Callable[[pathlib.Path], object]) -> None:
    """As `write_whole`, for a library that makes drafts of its own beside its file, as safetensors does.

    They are in a folder that is a draft, so that the next run removes what a killed one left.
    """

    def within(file: pathlib.Path) -> None:
        with draft(file.with_name("own")) as folder:
            folder.mkdir()
            write(folder / path.name)
            os.replace(folder / path.name, file)

    write_whole(path, within)


def write_new(path: pathlib.Path, content: bytes) -> bool:
    """True if this call made the file, False if there is one; of several writers one gets True.

    The file is complete from its first moment, but on disks without hard links it is empty for an instant.

    Raises:
      WriteError: the file can't be written.
      UnreachableError: the disk fails, perhaps for a moment.
    """
    try:
        with draft(path) as made:
            made.write_bytes(content)
            try:
                os.link(made, path)
            except OSError as error:
                if error.errno not in _WITHOUT_LINKS:
                    raise
                with path.open("xb") as file:
                    file.write(content)
    except FileExistsError:
        return False
    except OSError as error:
        raise disk_faults.failure(str(path), error) from error
    return True


def make_folder(path: pathlib.Path) -> None:
    """Make a folder unless it exists, and remove abandoned drafts from it.

    Raises:
      Refusal: the folder can't be made or written to.
      UnreachableError: the disk fails, perhaps for a moment.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with draft(path / "trial"):  # fails where the folder can't be written to
            _sweep(path)
    except OSError as error:
        # Folders of the kernel, such as /proc/self, answer so to whoever makes a file in them.
        if error.errno != errno.ENOENT and not disk_faults.lasting(error):
            raise disk_faults.failure(str(path), error) from error
        raise Refusal(
            f"{path}: must be a writable folder, but can't be made or written to "
            f"({error.strerror}: {error.filename}); name another folder, or check its permissions"
        ) from error


def _sweep(folder: pathlib.Path) -> None:
    drafts: dict[tuple[str, str], list[pathlib.Path]] = collections.defaultdict(list)
    for path in folder.iterdir():
        if found := _DRAFT.fullmatch(path.name):
            drafts[found[1], found[2]].append(path)
    for (base, where), paths in drafts.items():
        # Of a draft without its lock file only the age tells.
        lock = folder / f"{base}.lock"
        if _abandoned(lock if lock in paths else paths[0], where == _where(folder)):
            for path in sorted(paths, key=lock.__eq__):  # the lock last: it marks the others as abandoned
                _remove(path)


def _abandoned(path: pathlib.Path, seen: bool) -> bool:
    """True if the writer of a lock file, or of a draft without one, has ended.

    Args:
      path: lock file or draft.
      seen: True if this process would see a lock that the writer holds.
    """
    try:
        if path.suffix == ".lock":
            with path.open("r+b") as file:
                free = _lock(file.fileno())
            if free is False:
                return False
            if free and seen:
                return True
        # A free lock proves nothing where the writer's lock wouldn't be seen.
        return time.time() - path.stat().st_mtime > _OLD
    except (FileNotFoundError, PermissionError):
        return False  # the writer has just finished, or is another user


def _lock(descriptor: int) -> bool | None:
    """True if this process now holds the file's lock; None where the file system has no locks."""
    try:
        # flock, not fcntl's record locks: those end when any handle of the file in this process is closed.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _where(folder: pathlib.Path) -> str:
    """Hash of this boot of the kernel and of the file system that holds a folder.

    Processes with the same hash see each other's locks, whatever containers they run in.
    """
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id")
    # Host names and process numbers recur when a container is restarted; the id of a boot doesn't.
    kernel = boot.read_text() if boot.is_file() else socket.gethostname()
    return hashlib.sha256(f"{kernel} {folder.stat().st_dev}".encode()).hexdigest()[:8]


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)  # another process may be sweeping the same draft
    else:
        path.unlink(missing_ok=True)

"""Drafts: what a process is still making and renames into place once it is whole.

A draft's name says which process of which machine makes it. One that was killed leaves its draft behind; the
next run on that machine finds that the process is gone and removes it. Drafts of other machines are left
alone. Costs one directory listing a sweep.
"""

import os
import pathlib
import socket
from collections.abc import Callable

from isogloss.engine.runtime.refusal import Refusal


def name(what: str) -> str:
    """Name of this process's draft of `what`."""
    return f"{what}~{socket.gethostname()}~{os.getpid()}"


def abandoned(named: str) -> bool:
    """Whether `named`, made by `name`, is the draft of a process of this machine that has ended."""
    _, host, pid = named.rsplit("~", 2)
    return host == socket.gethostname() and pid.isdecimal() and not _alive(int(pid))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's process
    return True


def write_whole(path: pathlib.Path, write: Callable[[pathlib.Path], object]) -> None:
    """Let `write` make a file beside `path` and rename it there, so that no half file is seen.

    It is on the disk before it has its name, so that a power cut leaves no empty one.

    Raises:
      OSError: the file can't be written, the disk may be full; `path` is as it was.
    """
    draft = _beside(path)
    try:
        write(draft)
        _sync(draft)
        os.replace(draft, path)
    except OSError as error:
        raise OSError(
            f"{path}: can't be written ({error}); what was written before is kept. "
            "Free or add space, check permissions, then run the same command again"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def make_folder(path: pathlib.Path) -> None:
    """Make a folder unless it's there, without drafts of ended processes.

    Raises:
      Refusal: there can't be one, or nothing can be written into it.
    """
    trial = _beside(path / "trial.txt")
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
        for old in path.glob(".*~*~*.*"):
            if abandoned(old.stem):
                old.unlink(missing_ok=True)
    except OSError as error:
        raise Refusal(
            f"{path}: must be a folder to write to, but it can't be made or written "
            f"({error.strerror}: {error.filename}); name another, or check what is in its way and its "
            "permissions"
        ) from error


def _sync(path: pathlib.Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _beside(path: pathlib.Path) -> pathlib.Path:
    """Hidden, of the same suffix, because some writers go by it."""
    return path.with_name(f".{name(path.stem)}{path.suffix}")

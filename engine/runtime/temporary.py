"""Temporary folders, and processes of a job's own, that end with the job even if a signal ends it at once.

A stopped job doesn't come back to its `with` blocks. So `end` asks the processes to end, and leaves the
removal of what is registered here to a process that outlives the job: a folder of many files takes longer
than a person waits. Nothing helps against SIGKILL.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

from isogloss.engine.runtime.place import Place

_PATIENCE = 1.2  # seconds for processes to end by themselves
_BY_PYTHON = """
import sys
from isogloss.engine.runtime import objects, place
objects.remove_all(place.parse(sys.argv[1]))
"""
_lock = threading.Lock()  # `end` keeps it, so that the main thread starts nothing more
_places: set[Place] = set()
_processes: set[subprocess.Popen[str]] = set()


class Folder(tempfile.TemporaryDirectory[str]):
    """Temporary folder with all that is in it."""

    def __init__(self, prefix: str | None = None) -> None:
        """Make the folder."""
        with _lock:
            super().__init__(prefix=prefix)
            _places.add(pathlib.Path(self.name))

    def cleanup(self) -> None:
        """Remove the folder."""
        super().cleanup()
        with _lock:
            _places.discard(pathlib.Path(self.name))


@contextlib.contextmanager
def removed_at_stop(place: Place) -> Iterator[None]:
    """Block in which a signal that ends the job also removes all that is at a place."""
    with _lock:
        _places.add(place)
    try:
        yield
    finally:
        with _lock:
            _places.discard(place)


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Result of a command and what it wrote; a signal that ends the job ends it, too."""
    with _lock:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        _processes.add(process)
    try:
        out, err = process.communicate()
    except BaseException:
        _signal(process, signal.SIGKILL)
        process.wait()
        raise
    finally:
        with _lock:
            _processes.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def end() -> None:
    """End the processes, and start the removal of the places; for the last moment of a job."""
    _lock.acquire()
    for process in _processes:
        _signal(process, signal.SIGTERM)
    latest = time.monotonic() + _PATIENCE
    while time.monotonic() < latest and any(map(_runs, _processes)):
        time.sleep(0.02)
    for process in _processes:
        _signal(process, signal.SIGKILL)
    for place in _places:
        by_shell = ["rm", "-rf", "--", str(place)]
        command = (
            by_shell if isinstance(place, pathlib.Path) else [sys.executable, "-c", _BY_PYTHON, str(place)]
        )
        nowhere = subprocess.DEVNULL
        with contextlib.suppress(OSError):  # the others are still to be removed
            subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)


def _signal(process: subprocess.Popen[str], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _runs(process: subprocess.Popen[str]) -> bool:
    """True until the process has ended; it is the main thread that waits for it."""
    look = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        return process.returncode is None and os.waitid(os.P_PID, process.pid, look) is None
    except ChildProcessError:
        return False

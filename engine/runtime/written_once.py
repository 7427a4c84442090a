"""Outputs that are written once, however many processes find that all parts of a job are done.

A mark beside the parts says what the outputs were made of. One process at a time writes, by a lock that the
system frees when a process is killed; the others wait, and then find the mark. The mark is removed before
anything is written and comes back last, so outputs of a killed process are never taken for whole ones. Where
the file system has no locks, several processes may write the same outputs, each file whole.
"""

import contextlib
import fcntl
import json
import logging
import os
import pathlib
from collections.abc import Callable, Iterator

from isogloss.engine.runtime import atomic_write, json_values, version
from isogloss.engine.runtime.json_values import Json

_LOG = logging.getLogger(__name__)


def write(out: pathlib.Path, job: str, made_of: Json, outputs: Callable[[], Json]) -> tuple[Json, bool]:
    """Record that `outputs` returned of the files it wrote, and True if it was called now.

    Args:
      out: folder of the outputs; it and its folder `parts` are made, and lose drafts of killed processes.
      job: name of the job; its mark is OUT/parts/<job>.json.
      made_of: everything that the outputs depend on, beside version and commit of this code. They are made
        again if any of it has changed, or if a file or folder is gone that lay in `out`, at any depth outside
        Zarr groups, when they were made.
      outputs: function that writes them.
    """
    mark = _mark(out, job)
    key = json_values.sha256([version.isogloss_version(), version.isogloss_commit(), made_of])
    for folder in (out, mark.parent):
        atomic_write.make_folder(folder)
    with _alone(out / "parts" / f".{job}.lock"):
        held = _held(mark)
        # A user's own files beside the outputs don't matter; an output that was deleted is made again.
        if held.get("made_of") == key and lost(out, job) == []:
            return held.get("facts"), False
        # From here until the mark is back, what lies in `out` may be half of two runs.
        mark.unlink(missing_ok=True)
        facts = outputs()
        text = json.dumps({"made_of": key, "there": sorted(_names(out)), "facts": facts}, indent=1) + "\n"
        atomic_write.write_whole(mark, lambda file: file.write_text(text, "utf-8"))
    return facts, True


def lost(out: pathlib.Path, job: str) -> list[str] | None:
    """Names of what lay in `out` when a job's outputs were made and is gone; None if they aren't whole."""
    there = _held(_mark(out, job)).get("there")
    return sorted({str(name) for name in there} - _names(out)) if isinstance(there, list) else None


def _mark(out: pathlib.Path, job: str) -> pathlib.Path:
    return out / "parts" / f"{job}.json"


def _held(mark: pathlib.Path) -> dict[str, Json]:
    return json_values.json_object(mark, "delete that file") if mark.is_file() else {}


def _names(out: pathlib.Path) -> set[str]:
    """Files and folders in `out` at any depth, but hidden ones and what is in `parts` and in Zarr groups."""
    names = set()
    for folder, folders, files in os.walk(out):
        place = pathlib.Path(folder).relative_to(out)
        names |= {str(place / name) for name in (*folders, *files) if not name.startswith(".")}
        folders[:] = [name for name in folders if name != "parts" and not name.startswith(".")]
        if "zarr.json" in files:
            folders.clear()
    return names


@contextlib.contextmanager
def _alone(lock: pathlib.Path) -> Iterator[None]:
    """Block that one process at a time is in; the others wait."""
    with lock.open("a") as file:
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _LOG.info("%s: another process writes the outputs; waiting for its end", lock.parents[1])
                fcntl.flock(file, fcntl.LOCK_EX)
        yield

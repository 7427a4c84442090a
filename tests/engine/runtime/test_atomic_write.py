"""engine.runtime.atomic_write: whole files, abandoned drafts, folders that can't be written."""

import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from processes import PATIENCE, start

from isogloss.engine.runtime import atomic_write

WRITER = textwrap.dedent("""
    import pathlib, sys
    from isogloss.engine.runtime import atomic_write

    def write(path):
        path.write_text("half")
        print(path, flush=True)
        sys.stdin.readline()

    atomic_write.write_whole(pathlib.Path(sys.argv[1]), write)
""")


@pytest.fixture
def writer(tmp_path):
    """Process in the middle of writing report.html, and its draft."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "report.html")]
    process = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, pathlib.Path(process.stdout.readline().strip())


def names(folder):
    return {path.name for path in folder.iterdir()}


def age(path, hours):
    os.utime(path, (time.time() - 3600 * hours,) * 2)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def full(file):
        file.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"table\.csv: can't be written .*No space.* Free or add space"):
        atomic_write.write_whole(path, full)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_draft_keeps_the_suffix_and_is_hidden(tmp_path):
    seen = []
    atomic_write.write_whole(tmp_path / "a.b.png", lambda file: (seen.append(file), file.write_text("whole")))
    assert seen[0].suffix == ".png"
    assert seen[0].name.startswith(".")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.b.png", "whole")]


def test_two_drafts_of_one_process_have_two_names(tmp_path):
    with atomic_write.draft(tmp_path / "a.zarr") as one, atomic_write.draft(tmp_path / "a.zarr") as other:
        assert one != other


def test_a_live_writer_of_another_pid_namespace_keeps_its_draft(writer, tmp_path, monkeypatch):
    def unknown(*_):
        raise ProcessLookupError

    process, draft = writer
    monkeypatch.setattr(os, "kill", unknown)  # as for a number of another namespace
    atomic_write.make_folder(tmp_path)
    assert draft.read_text() == "half"
    process.communicate("go\n", timeout=PATIENCE)
    assert names(tmp_path) == {"report.html"}


def test_a_killed_writer_abandons_its_draft(writer, tmp_path):
    process, draft = writer
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=PATIENCE)
    assert draft.exists()
    atomic_write.make_folder(tmp_path)
    assert not names(tmp_path)


def test_drafts_whose_locks_are_not_seen_go_after_a_day(tmp_path):
    kept = {"report.html", ".a~b~c.d", ".report~00000000~00ff00ff.html", ".report~00000000~00ff00ff.lock"}
    gone = {".a~00000000~11ff00ff.npy", ".a~00000000~11ff00ff.lock", ".b~00000000~22ff00ff.npy"}
    for name in kept | gone:
        (tmp_path / name).write_text("")
        age(tmp_path / name, 25 if name in gone else 1)
    atomic_write.make_folder(tmp_path)
    assert names(tmp_path) == kept


def test_a_file_system_without_locks_is_written_and_swept_by_age(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with atomic_write.draft(tmp_path / "a.npy") as draft:
        draft.write_text("half")
        atomic_write.make_folder(tmp_path)
        assert draft.exists()
        age(next(tmp_path.glob("*.lock")), 25)
        atomic_write.make_folder(tmp_path)
        assert not draft.exists()
    atomic_write.write_whole(tmp_path / "a.npy", lambda file: file.write_text("whole"))
    assert names(tmp_path) == {"a.npy"}


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path, reason in (
        (tmp_path / "file", "File exists"),
        (tmp_path / "file" / "x" / "y", "Not a directory"),
    ):
        with pytest.raises(ValueError, match=f"{path}: must be a writable folder.*{reason}.*name another"):
            atomic_write.make_folder(path)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that even root can't write")
def test_a_folder_that_cannot_be_written_is_refused():
    with pytest.raises(ValueError, match=r"/proc/self: must be a writable folder"):
        atomic_write.make_folder(pathlib.Path("/proc/self"))


def test_drafts_that_a_library_makes_beside_its_file_are_removed_with_ours(tmp_path):
    def write(file, *, ends):
        (file.parent / ".tmpABC").write_bytes(b"half")
        if not ends:
            raise KeyboardInterrupt
        os.replace(file.parent / ".tmpABC", file)

    with pytest.raises(KeyboardInterrupt):
        atomic_write.write_whole_by_library(tmp_path / "a", lambda file: write(file, ends=False))
    assert list(tmp_path.iterdir()) == []
    atomic_write.write_whole_by_library(tmp_path / "a", lambda file: write(file, ends=True))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"half"}

"""engine.draft: whole files, drafts of ended processes, folders that can't be written."""

import os
import pathlib
import socket
import subprocess
import sys

import pytest

from isogloss.engine.runtime import atomic_write


@pytest.fixture(scope="module")
def ended():
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


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


def test_only_ended_processes_of_this_machine_abandon_drafts(ended):
    here = socket.gethostname()
    assert atomic_write.abandoned(f"en.zarr~{here}~{ended}")
    assert not atomic_write.abandoned(atomic_write.name("en.zarr"))
    assert not atomic_write.abandoned(f"en.zarr~{here}~1")  # may be somebody else's process
    assert not atomic_write.abandoned(f"en.zarr~{here}.else~{ended}")
    assert not atomic_write.abandoned(f"en~{here}~zarr")


def test_a_folder_is_swept(tmp_path, ended):
    here = socket.gethostname()
    kept = {
        "report.html",
        f".report~elsewhere~{ended}.html",
        f".report~{here}~{os.getpid()}.html",
        ".a~b~c.d",
    }
    for name in (*kept, f".report~{here}~{ended}.html", f".en-fr.00ff~{here}~{ended}.npy"):
        (tmp_path / name).write_text("")
    atomic_write.make_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path, reason in (
        (tmp_path / "file", "File exists"),
        (tmp_path / "file" / "x" / "y", "Not a directory"),
    ):
        with pytest.raises(ValueError, match=f"{path}: must be a folder to write to.*{reason}.*name another"):
            atomic_write.make_folder(path)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that even root can't write")
def test_a_folder_that_cannot_be_written_is_refused():
    with pytest.raises(ValueError, match=r"/proc/self: must be a folder to write to"):
        atomic_write.make_folder(pathlib.Path("/proc/self"))

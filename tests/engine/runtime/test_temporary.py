"""Temporary folders and processes of a job that a signal ends."""

import os
import pathlib
import shutil
import signal
import sys

import pytest
from processes import PATIENCE, awaited, ended, piped

from isogloss.engine.runtime import objects, place, temporary

JOB = """
import pathlib, sys
from isogloss.engine.runtime import place, temporary
from isogloss.jobs import stopping

stopping.watch()
child = "import os, pathlib, time; pathlib.Path(%r).write_text(str(os.getpid())); time.sleep(600)"
other = place.parse(sys.argv[1]) or pathlib.Path(sys.argv[1])
with temporary.Folder("mine-") as folder, temporary.removed_at_stop(other):
    file = pathlib.Path(folder) / "pid"
    print(file, flush=True)
    temporary.run([sys.executable, "-c", child % str(file)])
    print("the main thread went on", flush=True)
"""


def test_a_job_ends_whose_reader_has_ended_and_whose_places_cannot_be_removed(tmp_path):
    """As in `job | tee log`, of which the terminal ends both; without a PATH nobody finds rm."""
    job = piped([sys.executable, "-c", JOB, str(tmp_path / "other")], env=os.environ | {"PATH": ""})
    file = pathlib.Path(job.stdout.readline().strip())
    child = int(awaited(lambda: file.is_file() and file.read_text()))
    job.stdout.close()
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=PATIENCE) == 143
    awaited(lambda: ended(child))
    shutil.rmtree(file.parent)


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_nothing_is_left_by_a_job_that_a_signal_ends(tmp_path, request, where):
    other = tmp_path / "other"
    if where == "bucket":
        other = place.parse(f"{request.getfixturevalue('s3').bucket()}/other")
    objects.write(other / "some" / "file", b"content")
    job = piped([sys.executable, "-c", JOB, str(other)])
    file = pathlib.Path(job.stdout.readline().strip())
    child = int(awaited(lambda: file.is_file() and file.read_text()))
    job.send_signal(signal.SIGTERM)
    out, err = job.communicate(timeout=PATIENCE)
    assert (job.returncode, out) == (143, '{"interrupted": true}\n')
    assert "stopped: " in err
    awaited(lambda: not file.parent.exists() and not objects.keys(other))
    awaited(lambda: ended(child))


def test_a_command_gives_what_it_wrote():
    done = temporary.run(
        [sys.executable, "-c", "import sys; print(1); print(2, file=sys.stderr); sys.exit(3)"]
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "1\n", "2\n")


def test_a_folder_is_removed_after_its_block():
    with temporary.Folder("mine-") as name:
        (pathlib.Path(name) / "file").touch()
    assert not pathlib.Path(name).exists()

"""Outputs are written by one of several processes, and again after one that was killed."""

import json
import signal
import subprocess
import sys
import threading

import pytest
from processes import PATIENCE, start

from isogloss.engine.runtime import written_once

KILLED = """
import pathlib, sys, time
from isogloss.engine.runtime import written_once

def outputs():
    (pathlib.Path(sys.argv[1]) / "table.csv").write_text("half")
    print("writing", flush=True)
    time.sleep(60)

written_once.write(pathlib.Path(sys.argv[1]), "job", "new", outputs)
"""

MARKING = """
import pathlib, sys, time
from isogloss.engine.runtime import atomic_write

with atomic_write.draft(pathlib.Path(sys.argv[1], "parts", "job.json")) as mark:
    mark.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def out(tmp_path):
    (tmp_path / "parts").mkdir()
    return tmp_path


@pytest.fixture
def write(out):
    """Function that writes a table made of something; what `written_once.write` says."""

    def write(made_of):
        def outputs():
            (out / "table.csv").write_text(json.dumps(made_of))
            (out / "sentences" / "audio").mkdir(parents=True, exist_ok=True)
            (out / "sentences" / "audio" / "s1.wav").touch()
            return {"rows": 3}

        return written_once.write(out, "job", made_of, outputs)

    return write


def test_once_for_the_same_and_again_for_other_contents(out, write):
    assert write(["a", 1]) == ({"rows": 3}, True)
    assert write(["a", 1]) == ({"rows": 3}, False)
    assert write(["a", 2]) == ({"rows": 3}, True)
    assert (out / "table.csv").read_text() == '["a", 2]'
    assert write(["a", 1])[1]
    assert (out / "table.csv").read_text() == '["a", 1]'


def test_again_if_an_output_was_removed(out, write):
    write("a")
    (out / "own.txt").write_text("a file of the user's")
    assert not write("a")[1]
    (out / "parts" / "pair.parquet").touch()
    assert not write("a")[1]
    (out / "parts" / "pair.parquet").unlink()
    assert not write("a")[1], "parts are the job's own affair"
    (out / "ranks.zarr" / "c").mkdir(parents=True)
    (out / "ranks.zarr" / "zarr.json").touch()
    (out / "ranks.zarr" / "c" / "0").touch()
    write("b")
    assert write("a")[1]
    (out / "ranks.zarr" / "c" / "0").unlink()
    assert not write("a")[1], "a store may hold a million chunks; what is in it is not listed"
    for output in ("table.csv", "sentences/audio/s1.wav"):
        (out / output).unlink()
        assert written_once.lost(out, "job") == [output]
        assert write("a")[1]
        assert not write("a")[1]


def test_a_failure_leaves_no_mark(out, write):
    write("a")

    def outputs():
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        written_once.write(out, "job", "b", outputs)
    assert write("a")[1]


def test_whoever_comes_second_waits_and_writes_nothing(out):
    begun, go_on = threading.Event(), threading.Event()
    calls, results = [], []

    def outputs():
        calls.append(len(calls))
        begun.set()
        assert go_on.wait(PATIENCE)
        return calls[-1]

    def run():
        results.append(written_once.write(out, "job", "same", outputs))

    threads = [threading.Thread(target=run) for _ in range(2)]
    threads[0].start()
    assert begun.wait(PATIENCE)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert calls == [0]
    assert sorted(results) == [(0, False), (0, True)]


def test_what_a_killed_process_left_is_written_again(out, write):
    write("old")
    command = [sys.executable, "-c", KILLED, str(out)]
    process = start(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    waiting = []
    # The second one is at the lock while the first is killed.
    thread = threading.Thread(target=lambda: waiting.append(write("new")))
    thread.start()
    process.send_signal(signal.SIGKILL)
    thread.join(PATIENCE)
    assert waiting == [({"rows": 3}, True)]
    assert (out / "table.csv").read_text() == '"new"'
    (out / "table.csv").write_text("half")
    assert write("old")[1]  # the mark of the first run is gone
    assert (out / "table.csv").read_text() == '"old"'


def test_a_process_killed_while_it_writes_the_mark_leaves_no_draft(out, write):
    process = start([sys.executable, "-c", MARKING, str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE)
    assert len(list((out / "parts").glob(".job~*"))) == 2  # the draft and its lock
    write("a")
    assert sorted(path.name for path in (out / "parts").iterdir()) == [".job.lock", "job.json"]

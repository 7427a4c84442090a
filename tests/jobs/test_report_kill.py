"""jobs.report, killed with SIGKILL at random moments as a real process, and run again.

A moment is "so many parts are on disk" or "the table is there", and a little later.
"""

import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from isogloss.engine.retrieval import grid_store

LANGUAGES = tuple(f"l{i}" for i in range(8))
STATES = ("0", "1", "2", "3", "final")
TABLES = ("retrieval.parquet", "retrieval.csv")


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """28 pairs at 5 states, small integers so that ties are common."""
    rng = np.random.default_rng(3)
    sentences = tuple(map(str, range(40)))
    pairs = grid_store.parse_pairs((), LANGUAGES)
    plan = grid_store.Plan(
        pairs=pairs,
        states=STATES,
        sentences=sentences,
        measures=("seqsim", "dtw"),
        common=(len(sentences),) * len(pairs),
        identity={},
        flags={},
    )
    made = grid_store.create_or_open(tmp_path_factory.mktemp("grid") / "grid.zarr", plan)
    for pair in range(len(pairs)):
        for state in range(len(STATES)):
            scores = rng.integers(0, 9, (2, 40, 40)).astype(np.float32)
            scores[0] += 5 * np.eye(40, dtype=np.float32)
            made.write(pair, state, {"seqsim": scores[0], "dtw": scores[1]})
    return made


def command(grid, out):
    return [sys.executable, "-m", "isogloss.jobs.report", f"--grid={grid.path}", f"--out={out}"]


def run(grid, out):
    done = subprocess.run(command(grid, out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kill_after(grid, out, pattern, count, delay):
    """Start the job; kill it `delay` seconds after `count` files of `pattern` are there."""
    process = subprocess.Popen(command(grid, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(out.glob(pattern))) < count:
        time.sleep(0.0005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait()


def test_killed_at_random_moments(tmp_path, grid):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(grid, whole)["done"] == len(grid.pairs)
    rng = random.Random(5)
    moments = [
        ("parts/[!.]*.npy", 1),
        ("parts/[!.]*.npy", 9),
        ("parts/[!.]*.npy", 20),
        ("retrieval.csv", 1),
        ("*.png", 2),
    ]
    before = {}
    for pattern, count in moments:
        assert kill_after(grid, out, pattern, count, rng.uniform(0, 0.01)) == -signal.SIGKILL
        after = {path: path.stat().st_mtime_ns for path in out.glob("parts/[!.]*.npy")}
        assert before.items() <= after.items(), "something done was lost or done again"
        before = after
    (out / "report.html").unlink(missing_ok=True)
    done = run(grid, out)
    assert (done["done"], done["skipped"]) == (0, len(grid.pairs))
    for name in (*TABLES, "report.html"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    names = [sorted(str(path.relative_to(root)) for path in root.rglob("*")) for root in (out, whole)]
    assert names[0] == names[1]  # no draft of a killed process, neither

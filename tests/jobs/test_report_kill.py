"""jobs.report, killed with SIGKILL at random moments as a real process, and run again.

A moment is "so many parts are on disk" or "the table is there", and a little later.
"""

import random

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


MOMENTS = (
    ("parts/[!.]*.npy", 1),
    ("parts/[!.]*.npy", 9),
    ("parts/[!.]*.npy", 20),
    ("retrieval.csv", 1),
    ("*.png", 2),
)


@pytest.mark.parametrize("moments", [MOMENTS[1:2], pytest.param(MOMENTS, marks=pytest.mark.deep)])
def test_killed_at_random_moments(tmp_path, grid, job, files, written, moments):
    out, before = tmp_path / "out", {}
    report = job("report", f"--grid={grid.path}", f"--out={out}")
    assert report.summary()["done"] == len(grid.pairs)
    whole = out.rename(tmp_path / "whole")
    rng = random.Random(5)
    for pattern, count in moments:
        ready = lambda pattern=pattern, count=count: len(written(out, pattern)) >= count  # noqa: E731
        assert report.killed(ready, rng.uniform(0, 0.01))
        after = written(out, "parts/[!.]*.npy")
        assert before.items() <= after.items(), "something done was lost or done again"
        before = after
    (out / "report.html").unlink(missing_ok=True)
    done = report.summary()
    assert (done["done"] + done["skipped"], done["skipped"]) == (len(grid.pairs), len(before))
    made, expected = files(out), files(whole)
    for name in (*TABLES, "report.html"):
        assert made[name] == expected[name]
    assert made.keys() == expected.keys()  # no draft of a killed process, neither

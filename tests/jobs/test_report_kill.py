"""jobs.report, killed with SIGKILL at random moments as a real process, and run again.

A moment is "so many parts are on disk" or "the table is there", and a little later.
"""

import itertools

import numpy as np
import pytest

from small_grids import made_grid

TABLES = ("retrieval.parquet", "retrieval.csv")


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """10 pairs at 5 states, small integers so that ties are common."""
    rng = np.random.default_rng(3)
    pairs = itertools.combinations([f"l{i}" for i in range(5)], 2)
    states = ("0", "1", "2", "3", "final")
    path, sentences = tmp_path_factory.mktemp("grid") / "grid.zarr", [*map(str, range(40))]
    made = made_grid(path, [*pairs], sentences, states=states, measures=("seqsim",))
    for pair, state in itertools.product(range(10), range(5)):
        scores = rng.integers(0, 9, (40, 40)) + 5 * np.eye(40)
        made.write(pair, state, {"seqsim": scores.astype(np.float32)})
    return made


MOMENTS = (
    ("parts/[!.]*.npz", 1),
    ("parts/[!.]*.npz", 4),
    ("parts/[!.]*.npz", 8),
    ("retrieval.csv", 1),
    ("*.png", 2),
)


@pytest.mark.parametrize("moments", [MOMENTS[1:2], pytest.param(MOMENTS, marks=pytest.mark.deep)])
def test_killed_at_random_moments(tmp_path, grid, job, killed_and_resumed, moments):
    report = job("report", f"--grid={grid.path}", f"--out={tmp_path}/out")
    undisturbed, last, before, differing = killed_and_resumed(
        report, tmp_path / "out", moments, "parts/[!.]*.npz"
    )
    assert undisturbed["done"] == len(grid.pairs)
    assert (last["done"] + last["skipped"], last["skipped"]) == (len(grid.pairs), len(before))
    assert not differing.intersection((*TABLES, "report.html", "maps.html"))

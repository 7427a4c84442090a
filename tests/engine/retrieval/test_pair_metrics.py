"""Figures of a pair: what is wrong with a chunk is told apart from a fault of the program."""

import numpy as np
import pytest

from isogloss.engine.retrieval import metrics, pair_metrics
from small_grids import made_grid


@pytest.fixture
def grid(tmp_path):
    made = made_grid(tmp_path / "grid.zarr", [("en", "fr")], "abc", states=("6",), measures=("seqsim",))
    made.write(0, 0, {"seqsim": np.eye(3, dtype=np.float32)})
    return made


def test_a_fault_of_the_program_is_not_called_a_damaged_chunk(grid, monkeypatch):
    def fail(*_):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(metrics, "between", fail)
    with pytest.raises(ValueError, match=r"^operands could not be broadcast together$"):
        pair_metrics.score(grid, 0, pair_metrics.Statistics())


def test_scores_with_a_gap_are_a_damaged_chunk(grid):
    scores = np.eye(3, dtype=np.float32)
    scores[0, 1] = np.nan
    grid.write(0, 0, {"seqsim": scores})
    (broken,) = pair_metrics.score(grid, 0, pair_metrics.Statistics()).broken
    assert broken.startswith("en-fr seqsim state 6: scores between common sentences must be numbers")
    assert broken.endswith("delete that chunk and run the grid job again")

"""Retrieval figures of any score matrix, for notebooks: no grid, no report.

The figures are those of the report, from the same ranks: a tie counts against the right answer; intervals
come from a bootstrap over sentences, except where every rank is 1, or all sentences or none count.
"""

import itertools

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from isogloss.engine.grid.measures import MEASURES
from isogloss.engine.retrieval import derived, metrics
from isogloss.engine.runtime.refusal import Refusal
from isogloss.kernels import bootstrap

_NAMED = {*MEASURES, *derived.DERIVED}
_SHOWN = ("recall_at_1", "recall_at_5", "mrr", "mutual_nn", "ci_low", "ci_high")


def retrieval_figures(
    scores: np.ndarray | xr.DataArray | xr.Dataset, *, cost: bool | None = None
) -> pd.DataFrame:
    """Retrieval figures of a score matrix, one row per direction: first rows, then columns are the queries.

    Row i and column i must be the same sentence. A row or a column of only NaN is a sentence that one side
    lacks; it is left out. Further axes before these two, such as `state` in what `compare` gives, become
    levels of the index. Columns: n (sentences), recall_at_1, recall_at_5, mrr, mutual_nn (share of sentences
    that are each other's nearest), chance, and the ends ci_low, ci_high of the 95% interval of recall_at_1.
    The ends of the others' intervals are called NAME_low and NAME_high. All are percentile bootstraps over
    sentences; see `metrics.interval` for shares of which all or no sentences count. Where every rank is 1,
    mrr_low is ci_low: the mean of 1 / rank is never below R@1.

    Args:
      scores: the last two axes are queries and candidates.
      cost: True if smaller is better; by default larger is. Must be given where a labelled array has the name
        of a cost, such as "dtw": xarray keeps that name when a user turns costs into similarities.

    Raises:
      Refusal: the matrix isn't square, has no sentence, has NaN between sentences of both sides, or is a
        whole Dataset; `cost` isn't given of what has the name of a cost.
    """
    array = _labelled(scores)
    if cost is None and array.name in _NAMED and derived.record(str(array.name)).cost:
        raise Refusal(
            f"scores are called {array.name}, a cost, of which smaller is closer. Remedy: say cost=True, or "
            "cost=False if you have turned them into similarities"
        )
    # Leading axes, such as states, become an index, so that one table holds all matrices.
    *leading, a, b = map(str, array.dims)
    labels = [array[axis].values.tolist() for axis in leading]
    matrices = np.asarray(array.values, np.float64).reshape(-1, *array.shape[-2:])
    rows = []
    for key, matrix in zip(itertools.product(*labels), matrices, strict=True):
        for arrow, figures in zip((f"{a}->{b}", f"{b}->{a}"), _figures(matrix, cost=bool(cost)), strict=True):
            rows.append(dict(zip(leading, key, strict=True)) | {"direction": arrow} | figures)
    table = pd.DataFrame(rows).set_index([*leading, "direction"])
    table.insert(table.columns.tolist().index("ci_low"), "chance", metrics.chance(table["n"].to_numpy()))
    return table


def _figures(matrix: Float[np.ndarray, "Q Q"], *, cost: bool) -> list[dict[str, int | float]]:
    """Figures of both directions by column; a Refusal if no sentence has all scores."""
    known = ~np.isnan(matrix)
    n = int((known.any(0) & known.any(1)).sum())
    if not n:
        raise Refusal("scores hold no sentence that both sides have: all are NaN")
    ranks = metrics.gold_ranks(matrix, n, cost=cost)
    both = []
    for values, ends in zip(metrics.figures(ranks[None, None])[0, 0], _ends(ranks), strict=True):
        found = dict(zip(metrics.FIGURES, values.tolist(), strict=True))
        both.append({"n": n, **{name: found[name] for name in _SHOWN}, **ends})
    return both


def _ends(ranks: Int[np.ndarray, "2 n"]) -> list[dict[str, float]]:
    """Ends of the intervals of all figures but recall_at_1, by column, for both directions."""
    n = ranks.shape[1]
    mutual = np.broadcast_to((ranks == 1).all(0), ranks.shape)
    low, high = bootstrap.ends((bootstrap.resamples(n) @ (1 / ranks.T)) / n)
    # Resamples of ranks that are all 1 are equal. 1 / rank is never below a hit, so R@1's low end holds, too.
    low = np.where((ranks == 1).all(1), 1 - metrics.outside(n), low)
    intervals = {
        "recall_at_5": metrics.interval(ranks <= 5),
        "mrr": (low, high),
        "mutual_nn": metrics.interval(mutual),
    }
    return [
        {
            f"{name}_{end}": float(values[direction])
            for name, interval in intervals.items()
            for end, values in zip(("low", "high"), interval, strict=True)
        }
        for direction in range(2)
    ]


def _labelled(scores: np.ndarray | xr.DataArray | xr.Dataset) -> xr.DataArray:
    """Scores whose last two axes are a square matrix, with names of axes; Refusal of all else."""
    if isinstance(scores, xr.Dataset):
        names = ", ".join(map(str, scores.data_vars))
        raise Refusal(
            f"scores must be one array. Remedy: give one of the dataset's, scores[NAME], of {names}"
        )
    array = scores if isinstance(scores, xr.DataArray) else xr.DataArray(np.asarray(scores))
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or not array.size:
        raise Refusal(f"scores must be a square matrix, queries by candidates, got the shape {array.shape}")
    if not isinstance(scores, xr.DataArray):
        array = array.rename({array.dims[-2]: "a", array.dims[-1]: "b"})
    _check_order(array)
    return array


def _check_order(array: xr.DataArray) -> None:
    """Refuse labels of the same sentences in another order, where the diagonal would mean nothing."""
    rows, columns = (array[axis].values.tolist() for axis in array.dims[-2:])
    if rows != columns and set(rows) == set(columns):
        raise Refusal("rows and columns hold the same sentences in another order; sort them alike")

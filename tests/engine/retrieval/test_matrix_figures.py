"""`retrieval_figures` by hand, and beside the report's functions."""

import numpy as np
import pytest
import xarray as xr

from isogloss.engine import retrieval_figures
from isogloss.engine.retrieval import metrics
from isogloss.kernels import bootstrap

nan = np.nan
COLUMNS = ["n", "recall_at_1", "recall_at_5", "mrr", "mutual_nn", "chance", "ci_low", "ci_high"]
OTHERS = ("recall_at_5", "mrr", "mutual_nn")


def test_figures_by_hand():
    found = retrieval_figures(np.array([[5, 5, 1], [0, 4, 9], [2, 3, 9]]))
    assert list(found.columns) == [*COLUMNS, *(f"{name}_{end}" for name in OTHERS for end in ("low", "high"))]
    assert list(found.index) == ["a->b", "b->a"]
    assert found.index.name == "direction"
    # Rows: ranks 2, 2, 1. Columns: 1, 2, 2, see test_metrics.
    assert found["recall_at_1"].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert found["mrr"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert found["mutual_nn"].tolist() == [0, 0]
    assert found["recall_at_5"].tolist() == [1, 1]
    assert found["n"].tolist() == [3, 3]
    assert found["chance"].tolist() == pytest.approx([1 / 3] * 2)


def test_intervals_are_those_of_the_report():
    scores = np.random.default_rng(0).standard_normal((40, 40)) + 2 * np.eye(40)
    found = retrieval_figures(scores)
    low, high = metrics.interval(metrics.gold_ranks(scores, 40, cost=False) == 1)
    assert found["ci_low"].tolist() == low.tolist()
    assert found["ci_high"].tolist() == high.tolist()
    assert (found["ci_low"] < found["recall_at_1"]).all()


def test_intervals_of_the_other_figures_are_quantiles_of_resamples():
    scores = np.random.default_rng(0).standard_normal((40, 40)) + 1.5 * np.eye(40)
    found, ranks = retrieval_figures(scores), metrics.gold_ranks(scores, 40, cost=False)
    mutual = [float(rank == back == 1) for rank, back in ranks.T]
    drawn = np.random.default_rng(bootstrap.SEED).integers(40, size=(bootstrap.RESAMPLES, 40))
    for direction, row in enumerate(found.to_dict("records")):
        of = {"recall_at_5": ranks[direction] <= 5, "mrr": 1 / ranks[direction], "mutual_nn": mutual}
        for name in OTHERS:
            means = np.asarray(of[name], float)[drawn].mean(1)
            ends = np.quantile(means, [0.025, 0.975], method="inverted_cdf")
            assert [row[f"{name}_low"], row[f"{name}_high"]] == pytest.approx(ends, abs=1e-12)
            assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]


def test_a_share_of_all_or_none_has_no_interval_of_width_0():
    found = retrieval_figures(np.eye(40))
    assert found["recall_at_5_low"].tolist() == found["mutual_nn_low"].tolist() == found["ci_low"].tolist()
    assert (found["ci_low"] < 0.95).all()
    assert found["mrr_low"].tolist() == found["ci_low"].tolist()
    assert found["mrr_high"].tolist() == [1, 1]


def test_mrr_takes_the_low_end_of_recall_at_1_only_where_every_rank_is_1():
    scores = np.eye(40)
    scores[0, :2] = 3, 2  # row 0 finds its column; column 1 finds row 0 before its own
    rows, columns = retrieval_figures(scores).to_dict("records")
    assert (rows["mrr"], columns["mrr"]) == (1, 79 / 80)
    assert rows["mrr_low"] == rows["ci_low"] == 1 - metrics.outside(40)
    ranks = np.array([1, 2, *[1] * 38])
    drawn = (bootstrap.resamples(40) @ (1 / ranks)) / 40
    assert columns["mrr_low"] == np.quantile(drawn, 0.025, method="inverted_cdf")
    second = retrieval_figures(np.roll(np.eye(40), 1, axis=1) + np.eye(40) / 2)
    assert second["mrr_low"].tolist() == second["mrr_high"].tolist() == [0.5, 0.5]


def test_a_cost_is_named_as_one():
    costs = np.array([[0, 1], [2, 1]])
    assert retrieval_figures(costs, cost=True)["recall_at_1"].tolist() == [1, 0.5]
    assert retrieval_figures(costs)["recall_at_1"].tolist() == [0, 0]
    named = xr.DataArray(costs, dims=("query", "candidate"), name="dtw")
    with pytest.raises(ValueError, match="called dtw_sum, a cost"):
        retrieval_figures(named.rename("dtw_sum"))
    # xarray keeps the name of costs that are turned into similarities, so it can't decide.
    assert (-named).name == "dtw"
    for scores in (named, -named):
        with pytest.raises(ValueError, match=r"called dtw, a cost.*cost=True, or cost=False"):
            retrieval_figures(scores)
    assert retrieval_figures(-named, cost=False)["recall_at_1"].tolist() == [1, 0.5]
    assert retrieval_figures(named, cost=True)["recall_at_1"].to_dict() == {
        "query->candidate": 1,
        "candidate->query": 0.5,
    }
    assert retrieval_figures(named.rename("mine"))["recall_at_1"].tolist() == [0, 0]
    assert retrieval_figures(named, cost=False)["recall_at_1"].tolist() == [0, 0]


def test_sentences_that_a_side_lacks_take_no_part():
    scores = np.array([[4, 9, 5, nan], [nan] * 4, [1, 9, 6, nan], [8, 8, 8, nan]])
    found = retrieval_figures(scores)
    assert found["n"].tolist() == [2, 2]
    assert found["recall_at_1"].tolist() == [0.5, 1]


def test_axes_before_the_matrix_become_levels():
    first = np.array([[1, 0], [0, 1.0]])
    scores = xr.DataArray(
        np.stack([first, 1 - first]),
        dims=("state", "a", "b"),
        coords={"state": ["0", "final"]},
        name="seqsim",
    )
    found = retrieval_figures(scores)
    assert found.index.names == ["state", "direction"]
    assert found.loc[("0", "b->a"), "recall_at_1"] == 1
    assert found.loc["final", "recall_at_1"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (xr.Dataset({"seqsim": ("a", [1.0])}), r"one array.*scores\[NAME\], of seqsim"),
        (np.ones((2, 3)), r"square matrix.*\(2, 3\)"),
        (np.ones(3), r"square matrix.*\(3,\)"),
        (np.full((2, 2), nan), "no sentence that both sides have"),
        (np.ones((0, 0)), r"square matrix.*\(0, 0\)"),
        (np.array([[1, nan], [3, 4]]), "must be numbers, there are NaN"),
        (
            xr.DataArray(np.ones((2, 2)), coords={"a": ["x", "y"], "b": ["y", "x"]}, dims=("a", "b")),
            "the same sentences in another order",
        ),
    ],
)
def test_what_is_no_score_matrix_is_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        retrieval_figures(scores)

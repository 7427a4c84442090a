"""Retrieval figures against hand-computed matrices, plain loops and the binomial law."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st
from statsmodels.stats import proportion

from isogloss.engine.retrieval import metrics
from isogloss.kernels import bootstrap

nan = np.nan


def ranks_by_loops(scores, cost):
    """Straight from the definition: candidates at least as good as the right one."""
    forward, backward = [], []
    n = len(scores)
    for i in range(n):
        better = [s <= scores[i][i] if cost else s >= scores[i][i] for s in scores[i]]
        forward.append(sum(better))
        column = [scores[j][i] for j in range(n)]
        better = [s <= scores[i][i] if cost else s >= scores[i][i] for s in column]
        backward.append(sum(better))
    return [forward, backward]


def test_ranks_by_hand_a_tie_counts_against_us():
    scores = np.array([[5, 5, 1], [0, 4, 9], [2, 3, 9]], np.float32)
    # Rows: 5 ties with 5 -> 2; 4 loses to 9 -> 2; 9 wins -> 1.
    # Columns: 5 wins -> 1; 4 loses to 5 -> 2; 9 ties with 9 -> 2.
    ranks = metrics.gold_ranks(scores, 3, cost=False)
    assert ranks.tolist() == [[2, 2, 1], [1, 2, 2]]


def test_a_cost_prefers_the_smaller():
    costs = np.array([[1, 1, 7], [3, 2, 9], [0, 5, 0]], np.float32)
    ranks = metrics.gold_ranks(costs, 3, cost=True)
    assert ranks.tolist() == [[2, 1, 2], [2, 2, 1]]


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 2), min_size=n, max_size=n), min_size=n, max_size=n)
    ),
    st.booleans(),
)
def test_ranks_equal_plain_loops_on_ties(scores, cost):
    ranks = metrics.gold_ranks(np.array(scores, np.float32), len(scores), cost=cost)
    assert ranks.tolist() == ranks_by_loops(scores, cost)


def test_only_sentences_of_both_languages_take_part():
    # a lacks sentence 1 (row), b lacks sentence 3 (column): 0 and 2 remain.
    scores = np.array([[4, 9, 5, nan], [nan, nan, nan, nan], [1, 9, 6, nan], [8, 8, 8, nan]], np.float32)
    ranks = metrics.gold_ranks(scores, 2, cost=False)
    assert ranks.tolist() == [[2, 1], [1, 1]]


@pytest.mark.parametrize("n", [1, 3])
def test_another_number_of_sentences_is_refused(n):
    scores = np.array([[1, 2, nan], [3, 4, nan], [nan, nan, nan]], np.float32)
    with pytest.raises(ValueError, match=f"must have {n} sentences.*scores are of 2"):
        metrics.gold_ranks(scores, n, cost=False)


def test_a_gap_between_common_sentences_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        metrics.gold_ranks(np.array([[1, nan], [3, 4]], np.float32), 2, cost=False)


def test_figures_by_hand():
    ranks = np.array([[1, 2, 6, 1], [1, 1, 4, 2]])[None, None]
    forward, backward = metrics.figures(ranks)[0, 0]
    assert forward[:4] == pytest.approx([2 / 4, 3 / 4, (1 + 1 / 2 + 1 / 6 + 1) / 4, 1 / 4])
    assert backward[:4] == pytest.approx([2 / 4, 1, (1 + 1 + 1 / 4 + 1 / 2) / 4, 1 / 4])


def test_interval_equals_a_plain_loop():
    rng = np.random.default_rng(1)
    hits = rng.random((3, 11)) < np.array([[0.2], [0.5], [0.9]])
    low, high = metrics.interval(hits)
    drawn = np.random.default_rng(bootstrap.SEED).integers(11, size=(bootstrap.RESAMPLES, 11))
    for row in range(3):
        means = sorted(np.mean([hits[row, i] for i in resample]) for resample in drawn)
        assert low[row] == pytest.approx(means[50 - 1])  # the 2.5% point of 2000
        assert high[row] == pytest.approx(means[1950 - 1])


@pytest.mark.parametrize("n", [4, 60])
def test_interval_is_wilsons_where_nothing_varies(n):
    low, high = metrics.interval(np.array([[True] * n, [False] * n]))
    for row, count in enumerate((n, 0)):
        expected = proportion.proportion_confint(count, n, method="wilson")
        assert (low[row], high[row]) == pytest.approx(expected, abs=1e-12)


def test_p_is_the_share_of_guesses_that_hit_as_often():
    rng, n = np.random.default_rng(0), 6
    hits = [(metrics.ranks(rng.random((n, n)))[0] == 1).sum() for _ in range(4000)]
    for found in range(4):
        ranks = np.where(np.arange(n) < found, 1, 2)
        p = metrics.figures(np.stack([ranks, ranks])[None, None])[0, 0, 0, metrics.FIGURES.index("p")]
        assert p == pytest.approx(np.mean(np.array(hits) >= found), abs=0.025)


@pytest.mark.parametrize("candidates", [2, 3, 7])
def test_recall_at_another_size_equals_all_draws_of_candidates(candidates):
    scores = np.random.default_rng(1).integers(0, 4, (7, 7)).astype(float)
    ranks = metrics.ranks(scores)[0]
    shares = []
    for i in range(7):
        others = [j for j in range(7) if j != i]
        draws = list(itertools.combinations(others, candidates - 1))
        shares.append(np.mean([all(scores[i, j] < scores[i, i] for j in draw) for draw in draws]))
    assert metrics.recall_of(ranks[None], candidates)[0] == pytest.approx(np.mean(shares))
    assert np.isnan(metrics.recall_of(ranks[None], 8)[0])


def test_mean_of_what_is_known():
    assert metrics.known_mean(np.array([[1, nan, 3], [nan, nan, nan]])).tolist()[0] == 2
    assert np.isnan(metrics.known_mean(np.array([nan])))


def results():
    values = np.full((2, 3, 1, 2, len(metrics.ALL_FIGURES)), nan)
    values[0, :, 0, :, 0] = [[0.1, 0.2], [0.5, 0.5], [0.4, 0.6]]
    values[1, 0, 0, :, 0] = [0.9, 0.8]
    return metrics.Results(
        pairs=(("en", "fr"), ("es", "en")),
        states=("0", "1", "final"),
        measures=("dtw",),
        n=np.array([9, 9]),
        computed=~np.isnan(values[..., 0, 0]),
        values=values,
    )


def test_chance_is_that_of_one_guess():
    np.testing.assert_array_equal(metrics.chance(np.array([1, 4, 0])), [1, 0.25, nan])
    some = dataclasses.replace(results(), n=np.array([6, 0]))
    assert some.chance == 1 / 6
    assert np.isnan(dataclasses.replace(some, n=np.array([0, 0])).chance)


def test_matrix_puts_queries_in_rows():
    matrix = results().matrix("recall_at_1", "dtw", 0)
    assert results().languages == ("en", "fr", "es")
    expected = [[nan, 0.1, 0.8], [0.2, nan, nan], [0.9, nan, nan]]
    np.testing.assert_array_equal(matrix, expected)


def test_best_state_is_the_first_of_the_best_means():
    assert results().best_state("dtw") == 0  # the only state where the second pair is known: 0.5
    assert results().best_state_of_pair(0, "dtw") == 1  # 0.5, before the 0.5 of "final"
    assert results().best_state_of_pair(1, "dtw") == 0

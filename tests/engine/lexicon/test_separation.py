"""AUC against SciPy, its interval against resampled lists of pairs, Cohen's d against its formula."""

import numpy as np
import pytest
from scipy import stats

from isogloss.engine.lexicon import separation
from isogloss.kernels import bootstrap


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_mann_whitneys_u_also_with_ties_and_weights(seed):
    rng = np.random.default_rng(seed)
    scores, others = rng.integers(0, 5, 7).astype(float), rng.integers(0, 4, 11).astype(float)
    weights, other_weights = rng.integers(0, 3, (6, 7)), rng.integers(0, 3, (6, 11))
    found = separation.auc(scores, others, weights.astype(float), other_weights.astype(float))
    for value, x, y in zip(found, weights, other_weights, strict=True):
        left, right = np.repeat(scores, x), np.repeat(others, y)
        u = stats.mannwhitneyu(left, right).statistic
        assert value == pytest.approx(u / (len(left) * len(right)))


def test_nothing_has_no_auc():
    none = np.zeros(0)
    assert np.isnan(separation.auc(none, np.ones(3), np.zeros((1, 0)), np.ones((1, 3)))).all()
    assert np.isnan(separation.auc(np.ones(3), none, np.ones((1, 3)), np.zeros((1, 0)))).all()
    assert np.isnan(separation.auc(np.ones(1), np.ones(1), np.zeros((1, 1)), np.ones((1, 1)))).all()


def test_interval_is_that_of_resampled_words(monkeypatch):
    """Words of both sides are drawn apart, and a pair is there as often as both of its words together."""
    monkeypatch.setattr(separation, "_BLOCK", 5000)  # several blocks
    rng = np.random.default_rng(0)
    similarity = rng.integers(0, 9, (12, 12)) / 4 + 2 * np.eye(12)
    pairs = np.stack([np.arange(12)] * 2, 1)
    other_pairs = np.argwhere(~np.eye(12, dtype=bool))[::3]
    times = rng.integers(1, 4, len(other_pairs))
    arguments = (similarity[*pairs.T], similarity[*other_pairs.T], pairs, other_pairs, times)
    found = separation.interval(*arguments, (12, 12))
    a, b = bootstrap.resamples(12, 0), bootstrap.resamples(12, 1)
    assert (a != b).any()
    expected = []
    for x, y in zip(a.astype(int), b.astype(int), strict=True):
        mine = np.repeat(similarity[*pairs.T], [x[i] * y[j] for i, j in pairs])
        others = np.repeat(
            similarity[*other_pairs.T],
            [x[i] * y[j] * t for (i, j), t in zip(other_pairs, times, strict=True)],
        )
        wins = (mine[:, None] > others).sum() + (mine[:, None] == others).sum() / 2
        expected.append(wins / (len(mine) * len(others)) if len(mine) and len(others) else np.nan)
    expected = np.sort([value for value in expected if not np.isnan(value)])
    assert found == pytest.approx(np.quantile(expected, [0.025, 0.975], method="inverted_cdf"))


def test_a_class_that_most_resamples_lack_has_no_interval():
    pairs = np.zeros((1, 2), int)
    others = np.argwhere(np.ones((9, 9)))
    found = separation.interval(
        np.ones(1), np.zeros(len(others)), pairs, others, np.ones(len(others), int), (9, 9)
    )
    assert np.isnan(found).all()


def test_cohens_d_by_its_formula():
    rng = np.random.default_rng(1)
    scores, others, times = rng.random(9), rng.random(6), rng.integers(1, 4, 6)
    repeated = np.repeat(others, times)
    scale = np.sqrt((np.var(scores, ddof=1) + np.var(repeated, ddof=1)) / 2)
    assert separation.cohens_d(scores, others, times) == pytest.approx(
        (scores.mean() - repeated.mean()) / scale
    )
    assert np.isnan(separation.cohens_d(scores[:1], others, times))
    assert np.isnan(separation.cohens_d(np.ones(3), np.ones(3), np.ones(3, int)))

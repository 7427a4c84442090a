"""Challenge sets against plain loops and enumeration."""

import dataclasses
import itertools

import numpy as np
import pytest

from isogloss.engine.control import agreement, challenge
from isogloss.engine.retrieval import metrics
from isogloss.kernels import bootstrap


def scored(n, seed=0):
    """Small whole numbers, which tie."""
    return np.random.default_rng(seed).integers(0, 6, (n, n)).astype(float) + 2 * np.eye(n)


def recall(scores, queries, candidates):
    """R@1 by plain loops; a tie counts against the right answer."""
    found = [all(scores[q, q] > scores[q, c] for c in candidates if c != q) for q in queries]
    return sum(found) / len(found)


def one_of(found, kept, form):
    return challenge.figures([found], kept, form)[0]


@pytest.mark.parametrize("seed", range(4))
def test_both_forms_against_plain_loops(seed):
    n = 12
    scores = scored(n, seed)
    kept = np.random.default_rng(seed).random(n) < 0.6
    inside = np.flatnonzero(kept).tolist()
    for matrix, found in zip((scores, scores.T), challenge.answers(scores), strict=True):
        queries, both = (one_of(found, kept, form) for form in challenge.FORMS)
        assert queries.recall == recall(matrix, inside, range(n))
        assert both.recall == recall(matrix, inside, inside)
        assert queries.expected == pytest.approx(recall(matrix, range(n), range(n)))
        assert queries.difference == pytest.approx(queries.recall - queries.expected)


def test_expected_is_the_mean_over_all_subsets():
    """E_m of the full set is the mean R@1 over all choices of m of 7 sentences."""
    scores = scored(7)
    found, _ = challenge.answers(scores)
    for m in range(1, 8):
        kept = np.arange(7) < m
        every = [recall(scores, chosen, chosen) for chosen in itertools.combinations(range(7), m)]
        assert one_of(found, kept, "both").expected == pytest.approx(np.mean(every))
        assert metrics.recall_of(found.ranks[None], m)[0] == pytest.approx(np.mean(every))


def test_the_band_is_that_of_enumerated_removals(monkeypatch):
    monkeypatch.setattr(challenge, "DRAWS", 20_000)
    challenge.random_subsets.cache_clear()
    scores = scored(8, 3)
    found, _ = challenge.answers(scores)
    kept = np.arange(8) < 5
    for form in challenge.FORMS:
        every = [
            recall(scores, chosen, chosen if form == "both" else range(8))
            for chosen in itertools.combinations(range(8), 5)
        ]
        made = one_of(found, kept, form)
        low, high = np.quantile(every, [0.025, 0.975], method="inverted_cdf")
        assert (made.random_low, made.random_high) == pytest.approx((low, high))
    challenge.random_subsets.cache_clear()


def test_intervals_of_differences_resample_sentences():
    n = 30
    found, _ = challenge.answers(scored(n, 5))
    kept = np.arange(n) % 3 > 0
    hits = challenge.hits_of(found, kept, "both")
    chances = metrics.chances_of(found.ranks, int(kept.sum()))
    drawn = []
    for counts in bootstrap.resamples(n).astype(int):
        draw = np.repeat(np.arange(n), counts)
        drawn.append(hits[draw][kept[draw]].mean() - chances[draw].mean())
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")
    made = one_of(found, kept, "both")
    assert (made.difference_low, made.difference_high) == pytest.approx((low, high), abs=1e-6)
    assert made.difference_low <= made.difference <= made.difference_high


def test_nothing_kept_is_unknown_and_all_kept_is_the_full_set():
    found, _ = challenge.answers(scored(9, 1))
    for form in challenge.FORMS:
        assert np.isnan(one_of(found, np.zeros(9, bool), form).recall)
        whole = one_of(found, np.ones(9, bool), form)
        assert whole.recall == whole.expected == whole.random_low == whole.random_high
        assert whole.difference == 0


@pytest.mark.parametrize("form", challenge.FORMS)
def test_several_matrices_have_the_figures_of_each_alone(form):
    found = [challenge.answers(scored(30, seed))[0] for seed in range(4)]
    kept = np.arange(30) % 4 > 0
    for one, among in zip(found, challenge.figures(found, kept, form), strict=True):
        np.testing.assert_allclose(
            dataclasses.astuple(among), dataclasses.astuple(one_of(one, kept, form)), rtol=1e-12, atol=1e-15
        )


def test_kappa_by_its_table():
    a = np.array([1] * 25 + [0] * 25, bool)
    b = np.array([1] * 20 + [0] * 5 + [1] * 10 + [0] * 15, bool)
    assert agreement.kappa(a, b) == pytest.approx(0.4)  # 35 of 50 agree, 25 by chance
    assert agreement.kappa(a, a) == 1
    assert agreement.kappa(a, ~a) == -1
    assert np.isnan(agreement.kappa(a & False, a & False))
    assert np.isnan(agreement.kappa(a[:0], a[:0]))

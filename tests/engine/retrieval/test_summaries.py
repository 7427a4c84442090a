"""The winner's curse and the two intervals of a mean, against plain loops and planted truth."""

import numpy as np
import pytest

from isogloss.engine.retrieval import summaries
from isogloss.kernels import bootstrap


def test_a_state_chosen_from_noise_is_judged_at_chance():
    rng = np.random.default_rng(0)
    hits = rng.random((30, 1, 2, 60)) < 0.2
    best = hits.mean((2, 3)).max()
    honest = summaries.held_out(hits).mean()
    assert best > 0.27
    assert honest == pytest.approx(hits.mean(), abs=0.05)


def test_held_out_equals_loops_over_the_halves():
    hits = np.random.default_rng(1).random((4, 2, 2, 11)) < 0.5
    expected = np.zeros((2, 2))
    halves = summaries._halves(11)
    assert (halves[::2] ^ halves[1::2]).all()
    for half in halves:
        for v in range(2):
            best = np.argmax([hits[s, v][:, half].sum() for s in range(4)])
            expected[v] += hits[best, v][:, ~half].mean(1) / len(halves)
    np.testing.assert_allclose(summaries.held_out(hits), expected, atol=1e-6)


def test_held_out_of_one_sentence_is_unknown():
    assert np.isnan(summaries.held_out(np.ones((2, 1, 2, 1), bool))).all()


def test_means_equal_loops_over_sentences_and_over_languages():
    rng = np.random.default_rng(2)
    pairs = (("a", "b"), ("a", "c"), ("b", "c"))
    ids = [np.arange(8), np.array([0, 2, 3, 7]), np.array([1, 2, 5, 6, 7])]
    hits = [rng.random((2, 1, 2, len(each))) < 0.5 for each in ids]
    mean, sentences, languages = summaries.means(zip(pairs, ids, hits, strict=True), 8)
    each = np.array([pair.mean((2, 3)) for pair in hits])
    np.testing.assert_allclose(mean, each.mean(0))
    by_sentence, by_language = [], []
    for counts in bootstrap.resamples(8):
        shares = [
            (pair.mean(2) * counts[which]).sum(-1) / max(counts[which].sum(), 1)
            for pair, which in zip(hits, ids, strict=True)
        ]
        by_sentence.append(np.mean(shares, axis=0))
    for counts in bootstrap.resamples(3):
        weights = np.array([counts["abc".index(a)] * counts["abc".index(b)] for a, b in pairs])
        weights = weights if weights.sum() else np.ones(3)
        by_language.append((weights[:, None, None] * each).sum(0) / weights.sum())
    for found, drawn in ((sentences, by_sentence), (languages, by_language)):
        ordered = np.sort(drawn, axis=0)
        np.testing.assert_allclose(found, [ordered[49], ordered[1949]], atol=1e-6)

"""Corrections, hubness and DALI against plain loops and SciPy, and on matrices with planted hubs."""

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import proportion

from isogloss.engine.retrieval import corrections, dali


def matrix(n, seed=0, m=None):
    return np.random.default_rng(seed).standard_normal((n, m or n))


def nearest(scores, k):
    return sum(sorted(scores, reverse=True)[:k]) / min(k, len(scores))


@pytest.mark.parametrize(("n", "k"), [(5, 3), (4, 10)])
def test_csls_equals_plain_loops(n, k):
    scores = matrix(n)
    rows, columns = [nearest(row, k) for row in scores], [nearest(column, k) for column in scores.T]
    expected = [[2 * scores[i, j] - rows[i] - columns[j] for j in range(n)] for i in range(n)]
    np.testing.assert_allclose(corrections.csls(scores, k), expected, rtol=1e-12)
    np.testing.assert_allclose(corrections.csls(scores.T, k), np.transpose(expected), rtol=1e-12)


def test_inductive_csls_takes_its_means_from_others():
    scores, rows, columns = matrix(3, 1), matrix(3, 2, m=5), matrix(4, 3, m=3)
    expected = [
        [2 * scores[i, j] - nearest(rows[i], 2) - nearest(columns[:, j], 2) for j in range(3)]
        for i in range(3)
    ]
    np.testing.assert_allclose(corrections.csls_from(scores, rows, columns, 2), expected, rtol=1e-12)


def test_inductive_centring_takes_its_means_from_others():
    scores, rows, columns = matrix(3, 1), matrix(3, 2, m=5), matrix(4, 3, m=3)
    expected = [
        [scores[i, j] - sum(rows[i]) / 5 - sum(columns[:, j]) / 4 for j in range(3)] for i in range(3)
    ]
    np.testing.assert_allclose(corrections.centred_from(scores, rows, columns), expected, rtol=1e-12)


def test_halves_compare_all_forms_on_the_same_candidates():
    n = 40
    scores = matrix(n, 4) + 6 * np.eye(n)
    found = corrections.in_halves(scores)
    low, high = proportion.proportion_confint(n, n, method="wilson")
    np.testing.assert_allclose(found, np.broadcast_to([1, low, high], (2, len(corrections.FORMS), 3)))
    hub = matrix(n, 4) + 4 * np.eye(n)
    hub[:, 3] += 4.5  # of every query; known from the other half as well
    found = corrections.in_halves(hub)
    plain, _, csls, _, centred = found[0]
    assert csls[0] > plain[0] + 0.2
    assert centred[0] > plain[0] + 0.2
    assert (found[..., 1] <= found[..., 0]).all()
    assert (found[..., 0] <= found[..., 2]).all()
    np.testing.assert_array_equal(found[::-1], corrections.in_halves(hub.T))


def test_centred_has_no_means_left():
    centred = corrections.correct(matrix(6) + np.arange(6), "centred")
    np.testing.assert_allclose([centred.mean(0), centred.mean(1)], 0, atol=1e-12)


def test_no_correction_returns_the_scores():
    scores = matrix(3)
    assert corrections.correct(scores, "none") is scores


def test_occurrences_and_their_skewness():
    scores = matrix(9)
    expected = [sum(j == max(range(9), key=row.__getitem__) for row in scores) for j in range(9)]
    found = corrections.occurrences(scores)
    assert found.tolist() == expected
    assert corrections.hubness(found) == pytest.approx(stats.skew(expected))


def test_a_planted_hub_is_found_and_corrected():
    n = 50
    scores = matrix(n, 5) + 5 * np.eye(n)
    scores[:, 7] += 6
    first = corrections.occurrences(scores)
    assert first.argmax() == 7
    assert first[7] > n / 2
    corrected = corrections.occurrences(corrections.csls(scores))
    assert corrections.hubness(corrected) < 0.5 * corrections.hubness(first)


def test_up_to_three_hubs_are_named_with_their_queries():
    queries = np.array([1, 0, 4, 1, 2, 4, 0, 1])  # of a tie the first comes first
    assert corrections.hubs(queries).tolist() == [[2, 4], [5, 4], [4, 2]]
    nothing = list(corrections.NO_HUB)
    assert corrections.hubs(np.array([1, 1, 3])).tolist() == [[2, 3], nothing, nothing]
    assert corrections.hubs(np.array([1])).tolist() == [[0, 1], nothing, nothing]


def test_dali_equals_plain_loops_with_and_without_own_matrices():
    n = 7
    scores, own = matrix(n, 15) + 2.5 * np.eye(n), (matrix(n, 7) - 0.3, matrix(n, 8) - 0.3)

    def beats(group, others):
        matched = min(scores[i, i] for i in group)
        return matched > max(each[i, j] for each in others for i, j in itertools.permutations(group, 2))

    groups = dali.groups(n)
    assert groups.shape == (dali.GROUPS, dali.GROUP)
    assert all(len(set(group)) == dali.GROUP for group in groups.tolist())
    for others in ((scores,), (scores, *own)):
        expected = np.mean([beats(group, others) for group in groups])
        assert dali.dali(scores, others[1:]) == expected
    assert 0 < dali.dali(scores, own) < dali.dali(scores) < 1


def test_dali_of_too_few_sentences_is_unknown():
    assert np.isnan(dali.dali(matrix(3)))

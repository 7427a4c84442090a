"""Weights of factors against statsmodels with dummies, iterated means, refits and planted truth."""

import numpy as np
import pytest

from isogloss.engine.control import permutation, regression

N = 24


def made(rng, n=N):
    return rng.standard_normal((n, n)) + rng.standard_normal((n, 1)) + rng.standard_normal(n)


def iterated(matrix, rounds=300):
    """Means of rows, then of columns, removed again and again from the cells off the diagonal."""
    off = ~np.eye(len(matrix), dtype=bool)
    x = np.where(off, matrix, np.nan)
    for _ in range(rounds):
        x = x - np.nanmean(x, 1, keepdims=True)
        x = x - np.nanmean(x, 0, keepdims=True)
    return x


@pytest.fixture
def problem():
    rng = np.random.default_rng(3)
    factors = [made(rng) for _ in range(3)]
    factors[1] += 0.5 * factors[0]
    scores = [made(rng) + 0.4 * factors[0] + 0.2 * factors[2], made(rng)]
    return scores, factors


def test_centred_is_where_iterated_means_converge():
    matrix = made(np.random.default_rng(0), 9)
    off = ~np.eye(9, dtype=bool)
    np.testing.assert_allclose(regression.centred(matrix)[off], iterated(matrix)[off], atol=1e-12)
    assert not regression.centred(matrix).diagonal().any()


def test_translations_are_never_fitted(problem):
    scores, factors = problem
    moved = [each + 100 * np.eye(N) for each in scores]
    expected, found = (regression.fit(each, factors) for each in (scores, moved))
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-12)


def test_statsmodels_with_dummies(problem):
    api = pytest.importorskip("statsmodels.api")
    influence = pytest.importorskip("statsmodels.stats.outliers_influence")
    scores, factors = problem
    off = ~np.eye(N, dtype=bool)
    rows, columns = (np.eye(N)[where] for where in np.nonzero(off))
    design = np.column_stack([*(each[off] for each in factors), rows, columns[:, 1:]])
    found = regression.fit(scores, factors)
    for s, score in enumerate(scores):
        slopes = api.OLS(score[off], design).fit().params[:3]
        np.testing.assert_allclose(found.slopes[s], slopes, rtol=1e-9)
        scaled = [iterated(each)[off] for each in (*factors, score)]
        scaled = [each / each.std() for each in scaled]
        model = api.OLS(scaled[3], np.column_stack(scaled[:3])).fit()
        np.testing.assert_allclose(found.weights[s], model.params, rtol=1e-8)
        assert found.r_squared[s] == pytest.approx(model.rsquared)
    vif = [influence.variance_inflation_factor(np.column_stack(scaled[:3]), k) for k in range(3)]
    np.testing.assert_allclose(found.vif, vif, rtol=1e-8)


def test_jackknife_is_that_of_refits(problem):
    scores, factors = problem
    found = regression.fit(scores, factors)
    for k in range(N):
        kept = np.delete(np.arange(N), k)
        again = [[each[np.ix_(kept, kept)] for each in side] for side in (scores, factors)]
        np.testing.assert_allclose(found.left_out[k], regression.fit(*again).weights, rtol=1e-9)
    error, (low, high), p = regression.jackknife(found.weights, found.left_out)
    pseudo = N * found.weights - (N - 1) * found.left_out  # its textbook form, by pseudo-values
    np.testing.assert_allclose(error, pseudo.std(0, ddof=1) / np.sqrt(N), rtol=1e-9)
    assert ((low < found.weights) & (found.weights < high)).all()
    assert p[0, 0] < 1e-3 < p[1, 0]


def test_planted_weights_come_back_within_a_hundredth():
    rng = np.random.default_rng(1)
    sound, meaning, length = (rng.standard_normal((80, 80)) for _ in range(3))
    hubs = 3 * rng.standard_normal((80, 1)) + 2 * rng.standard_normal(80)
    scale = [regression.centred(each).std() for each in (sound, meaning, length)]
    parts = [
        weight * each / s
        for weight, each, s in zip((0.5, 0.3, 0.2), (sound, meaning, length), scale, strict=True)
    ]
    found = regression.fit([sum(parts) + hubs], [sound, meaning, length])
    spread = regression.centred(sum(parts)).std()
    np.testing.assert_allclose(found.weights[0] * spread, [0.5, 0.3, 0.2], rtol=0.01)
    assert found.r_squared[0] == pytest.approx(1)


def test_too_little_to_fit_is_unknown():
    rng = np.random.default_rng(2)
    few = made(rng, regression.LEAST - 1)
    assert np.isnan(regression.fit([few], [few.T]).weights).all()
    flat = np.tile(rng.standard_normal(N), (N, 1))  # nothing but a mean of each column
    scores, factors = [made(rng)], [made(rng), flat]
    assert np.isnan(regression.fit(scores, factors).weights).all()
    assert np.isnan(regression.fit(scores, [factors[0], 2 * factors[0]]).weights).all()


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1000.1])
def test_a_constant_has_neither_weight_nor_p(value):
    """Whatever rounding leaves of it; another score beside it is fitted as ever."""
    rng = np.random.default_rng(4)
    constant, score, factors = np.full((N, N), value), made(rng), [made(rng), made(rng)]
    alone, found = (regression.fit(scores, factors) for scores in ([score], [constant, score]))
    for ours, theirs in ((found.weights, alone.weights), (found.slopes, alone.slopes)):
        assert np.isnan(ours[0]).all()
        np.testing.assert_array_equal(ours[1], theirs[0])
    assert np.isnan(found.left_out[:, 0]).all()
    p = permutation.qap([constant, score], factors, 20)
    assert np.isnan(p[0]).all()
    np.testing.assert_array_equal(p[1], permutation.qap([score], factors, 20)[0])
    assert np.isnan(permutation.qap([score], [factors[0], constant], 20)).all()
    assert np.isnan(regression.fit([score], [factors[0], constant]).weights).all()


def test_permutations_against_plain_regressions(problem):
    scores, factors = [[each[:9, :9] for each in side] for side in problem]
    off = ~np.eye(9, dtype=bool)
    rows, columns = (np.eye(9)[where] for where in np.nonzero(off))
    dummies = np.column_stack([rows, columns[:, 1:]])

    def t_of_first(y, *xs):
        design = np.column_stack([*xs, dummies])
        inverse = np.linalg.inv(design.T @ design)
        b = inverse @ design.T @ y
        rest = y - design @ b
        return b[0] / np.sqrt(rest @ rest / (len(y) - design.shape[1]) * inverse[0, 0])

    count = 60
    for k in range(3):
        others = [each[off] for j, each in enumerate(factors) if j != k]
        design = np.column_stack([*others, dummies])
        rest = factors[k][off] - design @ np.linalg.lstsq(design, factors[k][off], rcond=None)[0]
        square = np.zeros((9, 9))
        square[off] = rest
        rng = np.random.default_rng([permutation.bootstrap.SEED, k])
        orders = rng.permuted(np.tile(np.arange(9), (count, 1)), axis=1)
        for s, score in enumerate(scores):
            own = t_of_first(score[off], rest, *others)
            moved = [t_of_first(score[off], square[np.ix_(o, o)][off], *others) for o in orders]
            expected = (1 + (np.abs(moved) >= abs(own) * (1 - 1e-9)).sum()) / (1 + count)
            assert permutation.qap(scores, factors, count)[s, k] == pytest.approx(expected)

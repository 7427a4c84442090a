"""CKA, SVCCA and RSA against plain loops, statsmodels and scikit-bio, and on planted truth."""

import itertools

import numpy as np
import pytest
from statsmodels.multivariate.cancorr import CanCorr

from isogloss.engine.similarity import representations


def random(n, d, seed):
    return np.random.default_rng(seed).standard_normal((n, d)) * np.linspace(3, 0.3, d)


def centred(x):
    return x - x.mean(0)


def grams(x, y):
    return [centred(side) @ centred(side).T for side in (x, y)]


def correlation(a, b):
    a, b = np.asarray(a) - np.mean(a), np.asarray(b) - np.mean(b)
    return a @ b / np.sqrt((a @ a) * (b @ b))


def test_cka_equals_its_form_of_features():
    x, y = random(12, 5, 1), random(12, 7, 2)
    a, b = centred(x), centred(y)

    def cross(p, q):
        return sum((p[:, i] @ q[:, j]) ** 2 for i in range(p.shape[1]) for j in range(q.shape[1]))

    expected = cross(a, b) / np.sqrt(cross(a, a) * cross(b, b))
    assert representations.similarity(x, y).cka == pytest.approx(expected, rel=1e-12)
    assert representations.similarity(x, 3 * x @ np.linalg.qr(random(5, 5, 3))[0]).cka == pytest.approx(1)


def hsic_by_loops(k, l):  # noqa: E741
    """U-statistic over all ordered fours of different sentences, Song et al. 2012, Eq. 3 with Theorem 2."""
    fours = list(itertools.permutations(range(len(k)), 4))
    return sum(k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in fours) / len(fours)


def test_unbiased_cka_equals_the_u_statistic():
    k, l = grams(random(7, 3, 1), random(7, 4, 2))  # noqa: E741
    expected = hsic_by_loops(k, l) / np.sqrt(hsic_by_loops(k, k) * hsic_by_loops(l, l))
    assert representations.cka_unbiased(k, l) == pytest.approx(expected, rel=1e-9)


def test_chance_is_the_mean_over_all_permutations():
    x, y = random(6, 4, 5), random(6, 3, 6)
    k, l = grams(x, y)  # noqa: E741
    orders = [list(order) for order in itertools.permutations(range(6))]
    every = [representations.cka(k, l[order][:, order]) for order in orders]
    assert representations.cka_chance(k, l) == pytest.approx(np.mean(every), rel=1e-10)
    found = representations.similarity(x, y)
    bases = [representations._directions(gram) for gram in (k, l)]
    squares = [
        (np.linalg.svd(bases[0].T @ bases[1][order], compute_uv=False) ** 2).mean() for order in orders
    ]
    assert found.svcca_chance == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-10)


def test_svcca_equals_canonical_correlations_of_truncated_features():
    x, y = random(30, 6, 3), random(30, 5, 4)
    y[:, :2] += 2 * x[:, :2]
    kept = []
    for side in (centred(x), centred(y)):
        left, size, _ = np.linalg.svd(side, full_matrices=False)
        share = np.cumsum(size**2) / (size**2).sum()
        d = next(i + 1 for i in range(len(size)) if share[i] >= 0.99)
        kept.append(left[:, :d] * size[:d])
    found = representations.similarity(x, y)
    assert [found.dimensions_a, found.dimensions_b] == [side.shape[1] for side in kept]
    smaller, larger = sorted(kept, key=lambda side: side.shape[1])
    expected = CanCorr(smaller, larger).cancorr.mean()
    assert found.svcca == pytest.approx(expected, rel=1e-6)


def dissimilarities(x):
    x = centred(x)
    return np.array(
        [[0 if i == j else 1 - correlation(x[i], x[j]) for j in range(len(x))] for i in range(len(x))]
    )


def test_rsa_and_its_p_agree_with_scikit_bio(scikit_bio):
    """Both draw 999 permutations: around p the difference of two such shares has a deviation below 0.022."""
    for seed, shared in ((1, 0.0), (2, 0.5), (3, 3.0)):
        x = random(14, 5, seed)
        y = random(14, 6, seed + 10)
        y[:, :5] += shared * x
        matrices = [dissimilarities(side) for side in (x, y)]
        matrices = [(m + m.T) / 2 for m in matrices]
        want, p, _ = scikit_bio.mantel(*matrices, method="spearman", permutations=999, seed=5)
        found = representations.similarity(x, y)
        assert found.rsa == pytest.approx(want, abs=1e-6)
        assert abs(found.mantel_p - p) < 0.09


def test_mantel_equals_plain_loops_on_ties_too():
    rng = np.random.default_rng(4)
    x, y = (np.triu(rng.integers(0, 3, (7, 7)), 1) for _ in range(2))
    x, y = (x + x.T).astype(float), (y + y.T).astype(float)
    pairs = list(itertools.combinations(range(7), 2))
    observed = correlation([x[p] for p in pairs], [y[p] for p in pairs])
    drawn = [
        correlation([x[p] for p in pairs], [y[order[i], order[j]] for i, j in pairs])
        for order in representations._orders(7)
    ]
    expected = (1 + sum(abs(r) >= abs(observed) - 1e-6 for r in drawn)) / 1000
    assert representations.mantel(x, y) == (pytest.approx(observed), expected)


def test_without_length_one_feature_is_the_partial_correlation():
    rng = np.random.default_rng(8)
    n, m = (rng.integers(50, 600, 25) for _ in range(2))
    x, y = (np.log(n) * 2 + rng.standard_normal(25) for _ in range(2))
    design = np.array(
        [[1.0, *(np.log(length[i] / 200) ** k for length in (n, m) for k in range(1, 5))] for i in range(25)]
    )
    rest = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y)]
    sides = [representations.without_length(v[:, None], n, m) for v in (x, y)]
    assert representations.similarity(*sides).cka == pytest.approx(correlation(*rest) ** 2, rel=1e-6)


def test_what_is_length_alone_is_gone_without_length():
    """Two languages whose states say nothing but how long a sentence is, with noise of their own."""
    rng = np.random.default_rng(9)
    n = rng.integers(50, 600, 60)
    m = (n * rng.uniform(0.8, 1.2, 60)).astype(int)
    x, y = (
        np.log(lengths)[:, None] * rng.standard_normal(20)
        + np.log(lengths / 200)[:, None] ** 3 * rng.standard_normal(20)
        + 0.05 * rng.standard_normal((60, 20))
        for lengths in (n, m)
    )
    kept = representations.similarity(x, y)
    rest = representations.similarity(*(representations.without_length(side, n, m) for side in (x, y)))
    assert (kept.cka > 0.8, kept.rsa > 0.5, kept.mantel_p) == (True, True, 1 / 1000)
    assert abs(rest.cka - rest.cka_chance) < 0.05
    assert abs(rest.cka_unbiased) < 0.1
    assert rest.mantel_p > 0.05
    assert abs(rest.rsa) < 0.1
    nothing = representations.without_length(np.log(n)[:, None] * np.ones(3), n, m)
    assert not nothing.any()
    assert np.isnan(representations.similarity(nothing, y).cka)


def test_no_signal_is_rarely_significant():
    p = [
        representations.similarity(random(20, 8, seed), random(20, 8, 1000 + seed)).mantel_p
        for seed in range(40)
    ]
    assert sum(value <= 0.05 for value in p) <= 6  # binom.sf(6, 40, 0.05) = 0.3%
    assert max(p) > 0.5


def test_few_sentences_and_no_variance_say_nothing():
    assert np.isnan(representations.similarity(random(5, 3, 0), random(5, 3, 1)).cka)
    assert np.isnan(representations.similarity(np.ones((8, 3)), random(8, 3, 1)).rsa)

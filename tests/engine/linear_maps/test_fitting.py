"""Maps against plain linear algebra in its primal form, and folds by the ids of sentences."""

import numpy as np
import pytest
import scipy.linalg

from isogloss.engine.linear_maps import fitting, folds


def pair(n, d, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * np.linspace(2, 0.2, d) + 5
    y = (x - 5) @ np.linalg.qr(rng.standard_normal((d, d)))[0] + noise * rng.standard_normal((n, d)) - 3
    return x, y


def centred(x):
    return x - x.mean(0)


@pytest.mark.parametrize(("n", "d"), [(40, 7), (9, 30)])
@pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0])
def test_ridge_equals_least_squares_of_the_augmented_system(n, d, penalty):
    x, y = map(centred, pair(n, d))
    own = penalty * (x**2).sum() / n
    long = np.concatenate([x, np.sqrt(own) * np.eye(d)]), np.concatenate([y, np.zeros((d, d))])
    expected = np.linalg.lstsq(*long)[0]
    np.testing.assert_allclose(fitting.ridge(x, y, penalty), expected, atol=1e-9)
    normal = np.linalg.solve(x.T @ x + own * np.eye(d), x.T @ y)
    np.testing.assert_allclose(fitting.ridge(x, y, penalty), normal, atol=1e-9)


def reciprocal_rank(x, y, penalty, inner):
    """Mean over the inner sentences, with a primal map of the others."""
    a, b = x[~inner], y[~inner]
    mean = a.mean(0), b.mean(0)
    p, q = a - mean[0], b - mean[1]
    w = np.linalg.solve(p.T @ p + penalty * (p**2).sum() / len(p) * np.eye(p.shape[1]), p.T @ q)
    mapped, wanted = (x[inner] - mean[0]) @ w, y[inner] - mean[1]
    scores = [[u @ v / np.linalg.norm(u) / np.linalg.norm(v) for v in wanted] for u in mapped]
    return np.mean([1 / sum(score >= row[i] for score in row) for i, row in enumerate(scores)])


def test_penalty_is_the_largest_of_those_that_find_most_on_the_inner_part():
    chosen = []
    for seed in range(4):
        x, y = pair(41, 12, seed=seed, noise=1.5)
        inner = np.arange(41) % 4 == 0
        found = np.round([reciprocal_rank(x, y, penalty, inner) for penalty in fitting.PENALTIES], 12)
        chosen.append(fitting.PENALTIES[found == found.max()].max())
        made = fitting.fit("ridge", x, y, 4)
        assert made.penalty == fitting.chosen_penalty(x, y, 4) == chosen[-1]
        np.testing.assert_allclose(made.matrix, fitting.ridge(centred(x), centred(y), chosen[-1]))
    assert len(set(chosen)) > 1


def test_a_lone_sentence_has_nothing_to_learn_from():
    """It is its own mean, as the one that is left where the inner part takes the other."""
    x, y = pair(2, 6)
    made = fitting.fit("ridge", x, y, 2)
    assert made.penalty == fitting.PENALTIES[-1]
    assert np.isfinite(made.matrix).all()
    assert not fitting.ridge(centred(x[:1]), centred(y[:1]), 0.1).any()


def test_procrustes_is_scipys_where_sentences_determine_it():
    x, y = map(centred, pair(40, 7))
    expected, _ = scipy.linalg.orthogonal_procrustes(x, y)
    np.testing.assert_allclose(fitting.procrustes(x, y), expected, atol=1e-9)
    x, y = map(centred, pair(9, 30))
    found, (expected, _) = fitting.procrustes(x, y), scipy.linalg.orthogonal_procrustes(x, y)
    np.testing.assert_allclose(x @ found, x @ expected, atol=1e-9)
    np.testing.assert_allclose(np.linalg.svd(found, compute_uv=False), [1] * 8 + [0] * 22, atol=1e-9)


def test_maps_of_float32_and_frames_agree_with_those_of_float64():
    x, y = pair(20, 6)
    made = fitting.fit("procrustes", x.astype(np.float32), y.astype(np.float32), 5)
    frames = np.random.default_rng(4).standard_normal((3, 6)).astype(np.float16)
    expected = (frames.astype(float) - x.mean(0)) @ made.matrix
    assert made.single.apply(frames).dtype == np.float32
    np.testing.assert_allclose(made.single.apply(frames), expected, atol=1e-5)
    nothing = fitting.fit("centred", x, y, 5)
    np.testing.assert_array_equal(nothing.apply(x), centred(x))
    assert np.isnan(nothing.penalty)


def test_folds_follow_ids_and_are_equally_large():
    ids = [str(i) for i in range(23)]
    found = folds.folds(ids, 5)
    assert sorted(map(len, found)) == [4, 4, 5, 5, 5]
    assert sorted(each for fold in found for each in fold) == sorted(ids)
    assert found == folds.folds(ids[::-1], 5)
    assert folds.shuffled(ids) != sorted(ids)
    assert folds.shuffled(ids[:9]) == [each for each in folds.shuffled(ids) if each in ids[:9]]

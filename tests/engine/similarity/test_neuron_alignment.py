"""NeuronXA's figures against plain loops."""

import numpy as np
import pytest

from isogloss.engine.similarity import neuron_alignment


def loops(x, y):
    """Mutual nearest as in the paper: i is aligned if c_ii exceeds c_ij and c_ji for all other j."""
    n = len(x)
    c = [[float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b)) for b in y] for a in x]
    mutual = [all(c[i][i] > max(c[i][j], c[j][i]) for j in range(n) if j != i) for i in range(n)]
    there = [all(c[i][i] > c[i][j] for j in range(n) if j != i) for i in range(n)]
    back = [all(c[i][i] > c[j][i] for j in range(n) if j != i) for i in range(n)]
    return [sum(each) / n for each in (mutual, there, back)]


def test_equal_plain_loops():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.standard_normal((9, 4))
        y = x + 0.8 * rng.standard_normal((9, 4))
        assert list(neuron_alignment.alignment(x, y)) == loops(x, y)


def test_planted_truth():
    x = np.eye(5, dtype=np.float32)
    assert neuron_alignment.alignment(x, 3 * x) == (1, 1, 1)
    assert neuron_alignment.alignment(x, np.roll(x, 1, axis=0)) == (0, 0, 0)
    ties = np.ones((5, 3), np.float32)  # every sentence is as near as its translation
    assert neuron_alignment.alignment(ties, ties) == (0, 0, 0)


def test_a_sentence_alone_says_nothing():
    assert np.isnan(neuron_alignment.alignment(np.ones((1, 3)), np.ones((1, 3)))).all()


def test_a_mean_that_is_removed_is_that_of_the_language():
    x = np.arange(12.0).reshape(4, 3)
    np.testing.assert_allclose(neuron_alignment.centred(x), x - [[4.5, 5.5, 6.5]])


@pytest.mark.parametrize(("weights", "expected"), [("uniform", 2.0), ("depth", (1 + 2 * 2 + 3 * 3) / 6)])
def test_mean_over_blocks(weights, expected):
    blocks = [neuron_alignment.Alignment(k, 2 * k, 0) for k in (1, 2, 3)]
    assert neuron_alignment.mean(blocks, weights) == pytest.approx((expected, 2 * expected, 0))

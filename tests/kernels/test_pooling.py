"""kernels.pooling against kernels.reference."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

from isogloss.kernels import pooling, reference
from ragged_batches import EPS, padded, utterances

N, D = 5, 3
some = utterances(N, D, st.integers(-2, 2))


@given(some)
def test_meanpool_equals_reference(frames):
    """Integers sum exactly, so only the division rounds (XLA multiplies by the reciprocal: twice)."""
    expected = [reference.meanpool(x) for x in frames]
    np.testing.assert_allclose(pooling.meanpool(*padded(frames, N)), expected, rtol=2 * EPS)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, jnp.bfloat16])
def test_meanpool_sums_in_float32(dtype):
    frames = [np.full((5, D), 3), np.full((1, D), -7)]
    pooled = pooling.meanpool(*padded(frames, N, dtype=dtype))
    assert pooled.dtype == np.float32
    np.testing.assert_array_equal(pooled, [[3] * D, [-7] * D])
    long = pooling.meanpool(np.full((1, 3000, 1), 60000, np.float16), np.int32([3000]))
    np.testing.assert_allclose(long, np.float16(60000), rtol=3000 * EPS)


@pytest.mark.parametrize("bad", [-1, 0, N + 1])
def test_meanpool_of_impossible_length_is_nan(bad):
    pooled = pooling.meanpool(np.ones((2, N, D), np.float32), np.int32([bad, 2]))
    np.testing.assert_array_equal(np.isnan(pooled), [[True] * D, [False] * D])


@given(some, some)
def test_scores_equal_reference(xs, ys):
    """A cosine of means is off by the means' own rounding and that of three sums of D products."""
    scores = pooling.cosine(*(pooling.meanpool(*padded(side, N)) for side in (xs, ys)))
    expected = reference.meanpool_scores(xs, ys)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=(2 * D + 8) * EPS)


def test_cosine_of_zero_and_of_any_scale():
    a = np.float32([[0, 0], [3e30, 4e30], [3e-30, 4e-30]])
    np.testing.assert_allclose(
        pooling.cosine(a, np.float32([[3, 4], [0, 0]])), [[0, 0], [1, 0], [1, 0]], rtol=0, atol=4 * EPS
    )


@given(some)
def test_language_mean_removal_equals_reference(frames):
    """Subtracted from every frame; NaN padding stays."""
    x, n = padded(frames, N)
    mean = pooling.language_mean(pooling.meanpool(x, n))
    np.testing.assert_allclose(mean, reference.language_mean(frames), rtol=0, atol=4 * 2 * EPS)
    removed = np.asarray(pooling.remove_mean(x, mean))
    assert removed.dtype == np.float32
    for u, expected in enumerate(reference.remove_language_mean(frames)):
        np.testing.assert_allclose(removed[u, : n[u]], expected, rtol=0, atol=8 * 2 * EPS)
        assert np.isnan(removed[u, n[u] :]).all()


def test_long_utterances_weigh_no_more():
    frames = [np.zeros((5, D), np.float32), np.ones((1, D), np.float32)]
    np.testing.assert_array_equal(pooling.language_mean(pooling.meanpool(*padded(frames, N))), [0.5] * D)


def test_removal_from_pooled_equals_pooling_of_removed():
    """The mean is linear: grids may subtract before or after pooling."""
    rng = np.random.default_rng(0)
    x, n = padded([rng.integers(-8, 9, (k, D)).astype(np.float32) for k in (1, 4, 2)], N)
    pooled = pooling.meanpool(x, n)
    mean = pooling.language_mean(pooled)
    np.testing.assert_allclose(
        pooling.meanpool(pooling.remove_mean(x, mean), n),
        pooling.remove_mean(pooled, mean),
        rtol=0,
        atol=(N + 4) * 8 * EPS,
    )

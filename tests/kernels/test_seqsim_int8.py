"""SeqSim from rounded frames: within its bound, near float32 where one feature is huge, never of padding."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.kernels import frame_scores, reference, seqsim, seqsim_int8

EPS = float(np.finfo(np.float32).eps)
LONGEST, D = 5, 8


def padded(frames, dtype=np.float32):
    out = np.full((len(frames), LONGEST, frames[0].shape[1]), np.nan, dtype)
    for u, x in enumerate(frames):
        out[u, : len(x)] = x
    return out, np.array([len(x) for x in frames], np.int32)


def utterances(elements):
    frames = st.integers(1, LONGEST).flatmap(lambda n: arrays(np.float32, (n, D), elements=elements))
    return st.lists(frames, min_size=3, max_size=3)


def expected(xs, ys):
    scores = np.array([[reference.seqsim(x, y) for y in ys] for x in xs])
    return scores[..., 0], scores[..., 1]


@settings(max_examples=40)
@given(utterances(st.integers(-3, 3)), utterances(st.integers(-300, 300)))
def test_within_the_bound(xs, ys):
    """Ties and zero frames are common."""
    x, n, y, m = *padded(xs), *padded(ys)
    e, f = (np.asarray(seqsim_int8.bound(*side), float) for side in ((x, n), (y, m)))
    assert max(e.max(), f.max()) < 0.02
    allowed = e[:, None] + f[None, :] + e[:, None] * f[None, :] + (LONGEST + 8) * EPS
    for ours, theirs in zip(seqsim_int8.seqsim(x, n, y, m), expected(xs, ys), strict=True):
        assert (np.abs(np.asarray(ours) - theirs) <= allowed).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, jnp.bfloat16])
def test_near_float32_at_real_sizes(dtype):
    """Roundings cancel. More utterances than a block.

    A feature is rounded by 0.29 of a step of 3 deviations / 127, so one cosine of 512 features is off by some
    0.007 * sqrt(2 / 512) = 4.3e-4, and a mean over 20 frames by less than a quarter of that.
    """
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((u, 40, 512)).astype(dtype) for u in (2, 11))
    n, m = np.int32([40, 20]), rng.integers(20, 41, 11).astype(np.int32)
    x[:, :, 7], y[:, :, 7] = 60, 50  # as in Whisper's states
    x[1, 20:] = np.nan
    for ours, theirs in zip(seqsim_int8.seqsim(x, n, y, m), seqsim.seqsim(x, n, y, m), strict=True):
        assert float(jnp.abs(ours - theirs).max()) < 5e-4


def test_each_frame_has_its_scale():
    """A frame a million times smaller is not rounded to nothing."""
    x = np.float32([[[3, 4, 0, 0], [3e-6, 4e-6, 0, 0]]])
    y = np.float32([[[3, 4, 0, 0]]])
    precision, recall = seqsim_int8.seqsim(x, np.int32([2]), y, np.int32([1]))
    np.testing.assert_allclose([precision[0, 0], recall[0, 0]], 1, rtol=0.02)


def test_impossible_lengths_and_frames_that_are_not_finite_give_nan():
    x = np.ones((3, LONGEST, D), np.float32)
    x[2, 1, 0] = np.inf
    good = np.int32([1, 2, 1])
    for scores in seqsim_int8.seqsim(x, np.int32([0, 2, 2]), x, good):
        np.testing.assert_array_equal(np.isnan(scores), [[1, 1, 1], [0, 0, 0], [1, 1, 1]])


def test_alone_or_among_others():
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal((u, LONGEST, D)).astype(np.float32) for u in (3, 19))
    n, m = np.int32([5, 3, 1]), rng.integers(1, 6, 19).astype(np.int32)
    together = seqsim_int8.seqsim(x, n, y, m)
    alone = seqsim_int8.seqsim(x[1:2], n[1:2], y[17:18], m[17:18])
    for one, every in zip(alone, together, strict=True):
        assert one[0, 0] == every[1, 17]


def test_by_name():
    rng = np.random.default_rng(2)
    x, n = rng.standard_normal((2, LONGEST, D)).astype(np.float32), np.int32([5, 3])
    options = {"measures": ("precision", "seqsim"), "implementation": "int8"}
    found = frame_scores.frame_scores(x, n, x, n, **options)
    np.testing.assert_array_equal(found["precision"], seqsim_int8.seqsim(x, n, x, n)[0])
    assert found["seqsim"].dtype == np.float32

"""SeqSim from rounded frames: within its bound, near float32 where one feature is huge, never of padding."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.kernels import frame_scores, reference, seqsim, seqsim_int8
from isogloss.kernels.cpu import microkernels, tiles

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


FORMS = pytest.mark.parametrize("implementation", ["xla_int8", "numba_int8"])


def scored(x, n, y, m, implementation):
    """(precision, recall)."""
    measures = ("precision", "recall")
    found = frame_scores.frame_scores(x, n, y, m, measures=measures, implementation=implementation)
    assert all(scores.dtype == np.float32 for scores in found.values())
    return found["precision"], found["recall"]


def expected(xs, ys):
    scores = np.array([[reference.seqsim(x, y) for y in ys] for x in xs])
    return scores[..., 0], scores[..., 1]


@FORMS
@settings(max_examples=40)
@given(utterances(st.integers(-3, 3)), utterances(st.integers(-300, 300)))
def test_within_the_bound(implementation, xs, ys):
    """Ties and zero frames are common."""
    x, n, y, m = *padded(xs), *padded(ys)
    e, f = (np.asarray(seqsim_int8.bound(*side), float) for side in ((x, n), (y, m)))
    assert max(e.max(), f.max()) < 0.02
    allowed = e[:, None] + f[None, :] + e[:, None] * f[None, :] + (LONGEST + 8) * EPS
    for ours, theirs in zip(scored(x, n, y, m, implementation), expected(xs, ys), strict=True):
        assert (np.abs(np.asarray(ours) - theirs) <= allowed).all()


@FORMS
@pytest.mark.parametrize("dtype", [np.float16, np.float32, jnp.bfloat16])
def test_near_float32_at_real_sizes(implementation, dtype):
    """Roundings cancel. More utterances than a block of XLA's form, more frames than a tile of Numba's.

    A feature is rounded by 0.29 of a step of 3 deviations / 127, so one cosine of 512 features is off by some
    0.007 * sqrt(2 / 512) = 4.3e-4, and a mean over 20 frames by less than a quarter of that.
    """
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((u, 140, 512)).astype(dtype) for u in (2, 11))
    n, m = np.int32([140, 20]), rng.integers(20, 141, 11).astype(np.int32)
    x[:, :, 7], y[:, :, 7] = 60, 50  # as in Whisper's states
    x[1, 20:] = np.nan
    for ours, theirs in zip(scored(x, n, y, m, implementation), seqsim.seqsim(x, n, y, m), strict=True):
        assert float(jnp.abs(ours - theirs).max()) < 5e-4


@FORMS
def test_each_frame_has_its_scale(implementation):
    """A frame a million times smaller is not rounded to nothing."""
    x = np.float32([[[3, 4, 0, 0], [3e-6, 4e-6, 0, 0]]])
    y = np.float32([[[3, 4, 0, 0]]])
    precision, recall = scored(x, np.int32([2]), y, np.int32([1]), implementation)
    np.testing.assert_allclose([precision[0, 0], recall[0, 0]], 1, rtol=0.02)


def test_impossible_lengths_and_frames_that_are_not_finite_give_nan():
    x = np.ones((3, LONGEST, D), np.float32)
    x[2, 1, 0] = np.inf
    good = np.int32([1, 2, 1])
    for scores in seqsim_int8.seqsim(x, np.int32([0, 2, 2]), x, good):
        np.testing.assert_array_equal(np.isnan(scores), [[1, 1, 1], [0, 0, 0], [1, 1, 1]])


@FORMS
def test_alone_or_among_others(implementation):
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal((u, LONGEST, D)).astype(np.float32) for u in (3, 19))
    n, m = np.int32([5, 3, 1]), rng.integers(1, 6, 19).astype(np.int32)
    together = scored(x, n, y, m, implementation)
    alone = scored(x[1:2], n[1:2], y[17:18], m[17:18], implementation)
    for one, every in zip(alone, together, strict=True):
        assert one[0, 0] == every[1, 17]


@pytest.mark.parametrize("features", [12, 97, 384])
def test_both_forms_agree(features):
    """Sums of whole numbers are exact: they differ where the last bit of a frame's length rounds otherwise.

    One feature of a frame then differs by a step, and a cosine by a step times the other's, which is below 1;
    and means by their order. Features are mixed in groups of 4, of 1 and of 128.
    """
    rng = np.random.default_rng(2)
    lengths = (1, 15, 16, 17, 57, 129)
    xs, ys = ([rng.standard_normal((n, features)).astype(np.float32) for n in lengths] for _ in range(2))
    (x, n), (y, m) = ((np.zeros((6, 129, features), np.float32), np.int32(lengths)) for _ in range(2))
    for u in range(6):
        x[u, : n[u]], y[u, : m[u]] = xs[u], ys[u]
    for ours, theirs in zip(scored(x, n, y, m, "numba_int8"), scored(x, n, y, m, "xla_int8"), strict=True):
        steps = [2 * seqsim_int8.bound(*side).max() / np.sqrt(features) for side in ((x, n), (y, m))]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=float(max(steps)))
        assert np.median(np.abs(ours - theirs)) < 1e-6


@FORMS
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_frame_in_use_that_is_not_finite(implementation, value):
    x = np.ones((2, 3, D), np.float32)
    x[1, 1, 0] = value
    full = np.int32([3, 3])
    for scores in scored(x, full, x, full, implementation):
        np.testing.assert_array_equal(np.isnan(scores), [[0, 1], [1, 1]])


def test_one_feature_that_has_all():
    """The largest sums there are, beyond 2**24: every feature of every frame at the limit of its byte."""
    x = np.zeros((1, 3, 2048), np.float32)
    x[:, :, 5] = [[3, -2, 1]]
    for scores in scored(x, np.int32([3]), x, np.int32([3]), "numba_int8"):
        np.testing.assert_allclose(scores, 1, rtol=4 * EPS)


def test_seqsim_is_the_harmonic_mean():
    rng = np.random.default_rng(3)
    x, n = rng.standard_normal((2, LONGEST, D)).astype(np.float32), np.int32([5, 3])
    measures = ("precision", "recall", "seqsim")
    found = frame_scores.frame_scores(x, n, x, n, measures=measures, implementation="numba_int8")
    p, r = found["precision"], found["recall"]
    np.testing.assert_allclose(found["seqsim"], 2 * p * r / (p + r), rtol=4 * EPS)


@pytest.mark.skipif(not microkernels.HAS_BYTE_PRODUCT, reason="needs AVX-512 VNNI")
def test_the_machines_own_product_is_taken():
    x, n = np.ones((1, 3, D), np.float32), np.int32([3])
    scored(x, n, x, n, "numba_int8")
    assert any("vpdpbusd" in code for code in tiles.fill.inspect_asm().values())

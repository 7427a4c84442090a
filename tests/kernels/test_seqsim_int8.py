"""SeqSim from rounded frames: within its bound, near float32 where one feature is huge, never of padding."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.kernels import frame_scores, reference
from isogloss.kernels.cpu import microkernels, packing

EPS = float(np.finfo(np.float32).eps)
LONGEST, D = 5, 8


def padded(frames, longest=LONGEST, dtype=np.float32):
    out = np.full((len(frames), longest, frames[0].shape[1]), np.nan, dtype)
    for u, x in enumerate(frames):
        out[u, : len(x)] = x
    return out, np.array([len(x) for x in frames], np.int32)


def utterances(elements):
    frames = st.integers(1, LONGEST).flatmap(lambda n: arrays(np.float32, (n, D), elements=elements))
    return st.lists(frames, min_size=3, max_size=3)


def scored(x, n, y, m):
    """(precision, recall)."""
    measures = ("precision", "recall")
    found = frame_scores.frame_scores(x, n, y, m, measures=measures, implementation="numba_int8")
    assert all(scores.dtype == np.float32 for scores in found.values())
    return found["precision"], found["recall"]


def expected(xs, ys):
    scores = np.array([[reference.seqsim(x, y) for y in ys] for x in xs])
    return scores[..., 0], scores[..., 1]


@given(utterances(st.integers(-3, 3)), utterances(st.integers(-300, 300)))
def test_within_the_bound(xs, ys):
    """Ties and zero frames are common."""
    x, n, y, m = *padded(xs), *padded(ys)
    e, f = (np.array([packing.rounding_error(frames) for frames in side]) for side in (xs, ys))
    assert max(e.max(), f.max()) < 0.02
    allowed = e[:, None] + f[None, :] + e[:, None] * f[None, :] + (LONGEST + 8) * EPS
    for ours, theirs in zip(scored(x, n, y, m), expected(xs, ys), strict=True):
        assert (np.abs(np.asarray(ours) - theirs) <= allowed).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, jnp.bfloat16])
def test_near_float32_at_real_sizes(dtype):
    """Roundings cancel. More frames than a tile.

    A feature is rounded by 0.29 of a step of 3 deviations / 127, so one cosine of 512 features is off by some
    0.007 * sqrt(2 / 512) = 4.3e-4, and a mean over 20 frames by less than a quarter of that.
    """
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((u, 140, 512)).astype(dtype) for u in (2, 11))
    n, m = np.int32([140, 20]), rng.integers(20, 141, 11).astype(np.int32)
    x[:, :, 7], y[:, :, 7] = 60, 50  # as in Whisper's states
    x[1, 20:] = np.nan
    exact = frame_scores.frame_scores(x, n, y, m, measures=("precision", "recall"), implementation="numba")
    for ours, theirs in zip(scored(x, n, y, m), exact.values(), strict=True):
        assert np.abs(ours - theirs).max() < 5e-4


def test_each_frame_has_its_scale():
    """A frame a million times smaller is not rounded to nothing."""
    x = np.float32([[[3, 4, 0, 0], [3e-6, 4e-6, 0, 0]]])
    y = np.float32([[[3, 4, 0, 0]]])
    precision, recall = scored(x, np.int32([2]), y, np.int32([1]))
    np.testing.assert_allclose([precision[0, 0], recall[0, 0]], 1, rtol=0.02)


def test_alone_or_among_others():
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal((u, LONGEST, D)).astype(np.float32) for u in (3, 19))
    n, m = np.int32([5, 3, 1]), rng.integers(1, 6, 19).astype(np.int32)
    together = scored(x, n, y, m)
    alone = scored(x[1:2], n[1:2], y[17:18], m[17:18])
    for one, every in zip(alone, together, strict=True):
        assert one[0, 0] == every[1, 17]


@pytest.mark.parametrize("features", [12, 97, 384])
def test_maxima_are_those_of_the_packed_integers(features):
    """Products of whole numbers are exact, so only the means round. At the edges of blocks and tiles.

    Features are mixed in groups of 4, of 1 and of 128.
    """
    rng = np.random.default_rng(2)
    lengths = (1, 15, 16, 17, 57, 129)
    xs, ys = ([rng.standard_normal((n, features)).astype(np.float32) for n in lengths] for _ in range(2))
    found = scored(*padded(xs, 129), *padded(ys, 129))
    for u, (a, step_a) in enumerate(map(rounded, xs)):
        for v, (b, step_b) in enumerate(map(rounded, ys)):
            products = a @ b.T * (step_a * step_b)
            for axis, scores in zip((1, 0), found, strict=True):
                np.testing.assert_allclose(scores[u, v], products.max(axis=axis).mean(), rtol=130 * EPS)


def rounded(frames):
    """Frames as the kernel packs them, as integers, and the size of 1."""
    n, features = frames.shape
    out = np.empty(packing.BYTES.size(n, packing.LANES, features), np.int32)
    step = packing.BYTES.pack(frames, packing.LANES, out, False)
    words = out.reshape(-1, packing.BYTES.entries(features), packing.LANES)[:, 1:].transpose(0, 2, 1)
    return words.copy().view(np.int8).reshape(-1, 4 * words.shape[2])[:n].astype(np.int64), step


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_frame_in_use_that_is_not_finite(value):
    x = np.ones((2, 3, D), np.float32)
    x[1, 1, 0] = value
    full = np.int32([3, 3])
    for scores in scored(x, full, x, full):
        np.testing.assert_array_equal(np.isnan(scores), [[0, 1], [1, 1]])


def test_one_feature_that_has_all():
    """The largest sums there are, beyond 2**24: every feature of every frame at the limit of its byte."""
    x = np.zeros((1, 3, 2048), np.float32)
    x[:, :, 5] = [[3, -2, 1]]
    for scores in scored(x, np.int32([3]), x, np.int32([3])):
        np.testing.assert_allclose(scores, 1, rtol=4 * EPS)


def test_seqsim_is_the_harmonic_mean():
    rng = np.random.default_rng(3)
    x, n = rng.standard_normal((2, LONGEST, D)).astype(np.float32), np.int32([5, 3])
    measures = ("precision", "recall", "seqsim")
    found = frame_scores.frame_scores(x, n, x, n, measures=measures, implementation="numba_int8")
    p, r = found["precision"], found["recall"]
    np.testing.assert_allclose(found["seqsim"], 2 * p * r / (p + r), rtol=4 * EPS)


FRESH = """
import numpy as np
from isogloss.kernels import frame_scores
from isogloss.kernels.cpu import tiles
x, n = np.ones((1, 3, 8), np.float32), np.int32([3])
frame_scores.frame_scores(x, n, x, n, measures=("precision",), implementation="numba_int8")
assert any("vpdpbusd" in code for code in tiles.fill.inspect_asm().values())
"""


@pytest.mark.skipif(not microkernels.HAS_BYTE_PRODUCT, reason="needs AVX-512 VNNI")
def test_the_machines_own_product_is_taken():
    """In a process that compiles: a function kept on disk has no assembly."""
    subprocess.run([sys.executable, "-c", FRESH], check=True)

"""SeqSim from rounded frames beside what test_seqsim.py asks: near float32 where one feature is huge."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from isogloss.kernels import frame_scores
from isogloss.kernels.cpu import microkernels, packing
from ragged_batches import EPS, padded

D = 8


def scored(x, n, y, m):
    """(precision, recall)."""
    measures = ("precision", "recall")
    found = frame_scores.frame_scores(x, n, y, m, measures=measures, implementation="numba_int8")
    return found["precision"], found["recall"]


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


def test_one_feature_that_has_all():
    """The largest sums there are, beyond 2**24: every feature of every frame at the limit of its byte."""
    x = np.zeros((1, 3, 2048), np.float32)
    x[:, :, 5] = [[3, -2, 1]]
    for scores in scored(x, np.int32([3]), x, np.int32([3])):
        np.testing.assert_allclose(scores, 1, rtol=4 * EPS)


def test_seqsim_is_the_harmonic_mean():
    rng = np.random.default_rng(3)
    x, n = rng.standard_normal((2, 5, D)).astype(np.float32), np.int32([5, 3])
    measures = ("precision", "recall", "seqsim")
    found = frame_scores.frame_scores(x, n, x, n, measures=measures, implementation="numba_int8")
    p, r = found["precision"], found["recall"]
    np.testing.assert_allclose(found["seqsim"], 2 * p * r / (p + r), rtol=4 * EPS)


FRESH = """
import numpy as np
from isogloss.kernels import frame_scores
from isogloss.kernels.cpu import frame_scores as cpu
x, n = np.ones((1, 3, 8), np.float32), np.int32([3])
frame_scores.frame_scores(x, n, x, n, measures=("precision",), implementation="numba_int8")
assert any("vpdpbusd" in code for code in cpu._scores.inspect_asm().values())
"""


@pytest.mark.deep
@pytest.mark.skipif(not microkernels.HAS_BYTE_PRODUCT, reason="needs AVX-512 VNNI")
def test_the_machines_own_product_is_taken():
    """In a process that compiles: a function kept on disk has no assembly."""
    subprocess.run([sys.executable, "-c", FRESH], check=True)

"""Every implementation of SeqSim against kernels.reference and a second formula."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

from isogloss.kernels import frame_scores, reference, seqsim
from isogloss.kernels.cpu import packing
from ragged_batches import EPS, padded, utterances

U, N, D = 3, 6, 4  # one padded shape, that of test_frame_scores.py, so that few programs are compiled


def bound(frames, features):
    """Largest error of a score in float32.

    A dot product and each of the two norms sum `features` products of unit size, a mean sums
    `frames` maxima; normalising and dividing round a handful of times more.
    """
    return (2 * features + frames + 8) * EPS


def of_rounding(implementation, xs, ys):
    """Error of a cosine that comes of rounding frames, by utterance of each side."""
    if implementation == "xla_bfloat16":
        return 2 * 2.0**-8  # of each of two frames, 2^-9 of its length, and of the length itself
    if implementation != "numba_int8":
        return 0
    e, f = (np.array([packing.rounding_error(frames) for frames in side]) for side in (xs, ys))
    assert max(e.max(), f.max()) < 0.02
    return e[:, None] + f[None, :] + e[:, None] * f[None, :]


def reference_scores(xs, ys):
    """(precision, recall)."""
    return np.moveaxis([[reference.seqsim(x, y) for y in ys] for x in xs], -1, 0)


def frame_maxima(x, n, y, m, implementation):
    """(precision, recall)."""
    measures = "precision", "recall"
    found = frame_scores.frame_scores(x, n, y, m, measures=measures, implementation=implementation)
    return found["precision"], found["recall"]


@pytest.mark.parametrize("implementation", frame_scores.IMPLEMENTATIONS)
class TestEveryImplementation:
    def check(self, implementation, xs, ys, dtype=np.float32, longest=(N, N)):
        sides = (padded(side, most, dtype=dtype) for side, most in zip((xs, ys), longest, strict=True))
        got = frame_maxima(*itertools.chain(*sides), implementation)
        allowed = of_rounding(implementation, xs, ys) + bound(max(longest), xs[0].shape[1])
        for ours, theirs in zip(got, reference_scores(xs, ys), strict=True):
            assert np.asarray(ours).dtype == np.float32
            assert (np.abs(np.asarray(ours) - theirs) <= allowed).all()

    @given(utterances(N, D, st.integers(-2, 2)), utterances(N, D, st.integers(-300, 300)))
    def test_small_integers(self, implementation, xs, ys):
        self.check(implementation, xs, ys)

    @given(utterances(N, D, st.integers(-1, 0)), utterances(N, D, st.integers(0, 1)))
    def test_no_positive_cosine(self, implementation, xs, ys):
        """A maximum that starts from 0, or from padding, would be too large."""
        self.check(implementation, xs, ys)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, jnp.bfloat16])
    def test_float_types(self, implementation, dtype):
        rng = np.random.default_rng(0)
        draw = lambda n: rng.integers(-9, 10, (n, D)).astype(np.float32)  # noqa: E731 exact in all
        self.check(implementation, [draw(3), draw(1), draw(N)], [draw(N), draw(2), draw(1)], dtype)

    def test_scale_does_not_matter(self, implementation):
        """Squares of 1e30 and of 1e-30 leave the range of float32; beside 3 its millionth stays."""
        x = np.float32([[3, 4, 0, 0], [0, 0, 0, 0]])
        huge, small = (x * np.float32(scale) for scale in (1e30, 1e-30))
        self.check(
            implementation, [huge, small, x], [x, np.float32([[3, 4, 0, 0], [3e-6, 4e-6, 0, 0]]), small]
        )

    def test_zero_frames(self, implementation):
        zero, one = np.zeros((2, D), np.float32), np.ones((1, D), np.float32)
        x, n = padded([zero, one, -one], N)
        precision, recall = frame_maxima(x, n, x, n, implementation)
        np.testing.assert_array_equal(precision, recall.T)
        allowed = 4 * EPS + of_rounding(implementation, [one], [one])
        assert (np.abs(precision - np.array([[0, 0, 0], [0, 1, -1], [0, -1, 1]])) <= allowed).all()

    def test_transpose_is_the_other_direction(self, implementation):
        rng = np.random.default_rng(2)
        x, n = padded([rng.standard_normal((k, D)).astype(np.float32) for k in (2, 5, 1)], N)
        y, m = padded([rng.standard_normal((k, D)).astype(np.float32) for k in (1, 4, 6)], N)
        given = (x, n), (y, m)
        (p, r), (q, s) = (frame_maxima(*a, *b, implementation) for a, b in (given, given[::-1]))
        np.testing.assert_allclose(p, np.transpose(s), rtol=0, atol=bound(N, D))
        np.testing.assert_allclose(r, np.transpose(q), rtol=0, atol=bound(N, D))

    def test_frame_in_use_that_is_not_finite(self, implementation):
        x = np.ones((3, N, D), np.float32)
        x[1, 2, 0], x[2, 0, 1] = np.nan, np.inf
        full = np.full(3, N, np.int32)
        for found in frame_maxima(x, full, x, full, implementation):
            np.testing.assert_array_equal(np.isnan(found), [[0, 1, 1], [1, 1, 1], [1, 1, 1]])

    def test_real_sizes(self, implementation):
        """More utterances than a block, more frames than a sliver, an odd number of features."""
        rng = np.random.default_rng(1)
        draw = lambda n: rng.standard_normal((n, 17)).astype(np.float32)  # noqa: E731
        xs, ys = [draw(n) for n in (1, 13, 26)], [draw(1 + v % 19) for v in range(35)]
        self.check(implementation, xs, ys, longest=(26, 19))

    def test_alone_or_among_others(self, implementation):
        """The same bits for a pair whatever else is in the batch, and wherever it stands in it."""
        rng = np.random.default_rng(3)
        x, n = rng.standard_normal((3, 70, 64)).astype(np.float32), np.int32([70, 41, 3])
        y, m = rng.standard_normal((35, 66, 64)).astype(np.float32), rng.integers(1, 67, 35).astype(np.int32)
        together = frame_maxima(x, n, y, m, implementation)
        for u, v in [(0, 0), (1, 34), (2, 17), (0, 31), (1, 32)]:
            alone = frame_maxima(x[u : u + 1], n[u : u + 1], y[v : v + 1], m[v : v + 1], implementation)
            for one, all_of_them in zip(alone, together, strict=True):
                assert one[0, 0] == all_of_them[u, v]


def test_reference_equals_speechbertscore():
    """The formula as DiscreteSpeechMetrics states it, in matrix form: an independent oracle."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((9, 8)), rng.standard_normal((7, 8))
    similarity = x @ y.T / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(y, axis=1)
    precision, recall = similarity.max(axis=1).mean(), similarity.max(axis=0).mean()
    f1 = 2 * precision * recall / (precision + recall)
    np.testing.assert_allclose(reference.seqsim(x, y), (precision, recall), rtol=1e-13)
    np.testing.assert_allclose(reference.f1(precision, recall), f1, rtol=1e-13)


@pytest.mark.parametrize("library", [np, jnp])
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=5, max_size=5))
def test_f1_equals_reference(library, pairs):
    precision, recall = library.asarray(pairs, library.float32).T
    theirs = [reference.f1(float(p), float(r)) for p, r in pairs]
    np.testing.assert_allclose(seqsim.f1(precision, recall), theirs, rtol=2 * EPS)


def test_f1_of_nothing_stays_nan():
    assert np.isnan(seqsim.f1(np.float32([np.nan]), np.float32([0])))

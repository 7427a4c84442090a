"""Every implementation of SeqSim against kernels.reference and a second formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.kernels import frame_scores, reference, seqsim

N, M, D = 5, 6, 4  # one padded shape, so that a kernel compiles once
EPS = float(np.finfo(np.float32).eps)


def bound(frames, features):
    """Largest error of a score in float32.

    A dot product and each of the two norms sum `features` products of unit size, a mean sums
    `frames` maxima; normalising and dividing round a handful of times more.
    """
    return (2 * features + frames + 8) * EPS


def utterances(longest, elements):
    """List unpadded utterances of small integers: ties and all-zero frames are common."""
    frames = st.integers(1, longest).flatmap(lambda n: arrays(np.float32, (n, D), elements=elements))
    return st.lists(frames, min_size=3, max_size=3)


def padded(frames, longest, dtype=np.float32):
    """Stack to (U, longest, D) over NaN: a kernel that reads padding cannot pass."""
    out = np.full((len(frames), longest, frames[0].shape[1]), np.nan, dtype)
    for u, x in enumerate(frames):
        out[u, : len(x)] = x
    return out, np.array([len(x) for x in frames], np.int32)


def expected(xs, ys):
    scores = np.array([[reference.seqsim(x, y) for y in ys] for x in xs])
    return scores[..., 0], scores[..., 1]


def from_frame_scores(implementation):
    interpreted = {"interpret": True} if implementation == "pallas" else {}

    def scores(x, n, y, m):
        options = {"measures": ("precision", "recall"), "implementation": implementation, **interpreted}
        found = frame_scores.frame_scores(x, n, y, m, **options)
        return found["precision"], found["recall"]

    scores.same_bits = implementation != "pallas"
    return pytest.param(scores, id=f"frame_scores-{implementation}")


EXACT = [name for name in frame_scores.IMPLEMENTATIONS if "int8" not in name]  # test_seqsim_int8.py has that
EVERY = [pytest.param(seqsim.seqsim, id="seqsim"), *map(from_frame_scores, EXACT)]


@pytest.mark.parametrize("scores", EVERY)
class TestEveryImplementation:
    def check(self, scores, xs, ys, dtype=np.float32, longest=(N, M)):
        x, n = padded(xs, longest[0], dtype)
        y, m = padded(ys, longest[1], dtype)
        got = scores(x, n, y, m)
        tolerance = bound(max(longest), x.shape[2])
        for ours, theirs in zip(got, expected(xs, ys), strict=True):
            assert np.asarray(ours).dtype == np.float32
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)

    @settings(max_examples=40)
    @given(utterances(N, st.integers(-2, 2)), utterances(M, st.integers(-2, 2)))
    def test_small_integers(self, scores, xs, ys):
        self.check(scores, xs, ys)

    @settings(max_examples=20)
    @given(utterances(N, st.integers(-1, 0)), utterances(M, st.integers(0, 1)))
    def test_no_positive_cosine(self, scores, xs, ys):
        """A maximum that starts from 0, or from padding, would be too large."""
        self.check(scores, xs, ys)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, jnp.bfloat16])
    def test_float_types(self, scores, dtype):
        rng = np.random.default_rng(0)
        draw = lambda n: rng.integers(-9, 10, (n, D)).astype(np.float32)  # noqa: E731 exact in all
        self.check(scores, [draw(3), draw(1), draw(N)], [draw(M), draw(2), draw(1)], dtype)

    def test_real_sizes(self, scores):
        """More utterances than a block, more frames than a tile, an odd number of features."""
        rng = np.random.default_rng(1)
        draw = lambda n: rng.standard_normal((n, 17)).astype(np.float32)  # noqa: E731
        xs, ys = [draw(n) for n in (1, 13, 26)], [draw(1 + v % 19) for v in range(35)]
        self.check(scores, xs, ys, longest=(26, 19))

    def test_scale_does_not_matter(self, scores):
        """Squares of 1e30 and of 1e-30 leave the range of float32."""
        x = np.float32([[3, 4, 0, 0], [0, 0, 0, 0]])
        self.check(
            scores, [x * np.float32(1e30), x * np.float32(1e-30), x], [x, x[:1], x * np.float32(1e-30)]
        )

    def test_zero_frames(self, scores):
        zero, one = np.zeros((2, D), np.float32), np.ones((1, D), np.float32)
        x, n = padded([zero, one, -one], N)
        precision, recall = scores(x, n, x, n)
        np.testing.assert_array_equal(precision, recall.T)
        np.testing.assert_allclose(precision, [[0, 0, 0], [0, 1, -1], [0, -1, 1]], rtol=0, atol=4 * EPS)

    def test_transpose_is_the_other_direction(self, scores):
        rng = np.random.default_rng(2)
        x, n = padded([rng.standard_normal((k, D)).astype(np.float32) for k in (2, 5)], N)
        y, m = padded([rng.standard_normal((k, D)).astype(np.float32) for k in (1, 4, 6)], M)
        (p, r), (q, s) = scores(x, n, y, m), scores(y, m, x, n)
        np.testing.assert_allclose(p, np.transpose(s), rtol=0, atol=bound(M, D))
        np.testing.assert_allclose(r, np.transpose(q), rtol=0, atol=bound(M, D))

    def test_frame_in_use_that_is_not_finite(self, scores):
        x = np.ones((3, N, D), np.float32)
        x[1, 2, 0], x[2, 0, 1] = np.nan, np.inf
        full = np.full(3, N, np.int32)
        for found in scores(x, full, x, full):
            np.testing.assert_array_equal(np.isnan(found), [[0, 1, 1], [1, 1, 1], [1, 1, 1]])

    def test_alone_or_among_others(self, scores):
        """The same bits for a pair whatever else is in the batch, and wherever it stands in it.

        On a GPU, whose means may be summed in another order, the same within that many roundings.
        """
        allowed = 0 if getattr(scores, "same_bits", True) else 70 * EPS / 2
        rng = np.random.default_rng(3)
        x, n = rng.standard_normal((3, 70, 64)).astype(np.float32), np.int32([70, 41, 3])
        y, m = (
            rng.standard_normal((35, 66, 64)).astype(np.float32),
            rng.integers(1, 67, 35).astype(np.int32),
        )
        together = scores(x, n, y, m)
        for u, v in [(0, 0), (1, 34), (2, 17), (0, 31), (1, 32)]:
            alone = scores(x[u : u + 1], n[u : u + 1], y[v : v + 1], m[v : v + 1])
            for one, all_of_them in zip(alone, together, strict=True):
                assert abs(np.asarray(one)[0, 0] - np.asarray(all_of_them)[u, v]) <= allowed


class TestXla:
    @pytest.mark.parametrize("bad", [-1, 0, N + 1])
    def test_impossible_lengths_give_nan(self, bad):
        x = np.ones((2, N, D), np.float32)
        for scores in seqsim.seqsim(x, np.int32([bad, 2]), x, np.int32([N, 1])):
            np.testing.assert_array_equal(np.isnan(scores), [[1, 1], [0, 0]])
        for scores in seqsim.seqsim(x, np.int32([N, 1]), x, np.int32([2, bad])):
            np.testing.assert_array_equal(np.isnan(scores), [[0, 1], [0, 1]])

    def test_never_holds_all_cosines(self):
        """Memory is one slab: no value of the program has an axis of U beside N, V or blocks, M."""
        users, size = 7, (7, 11, 3)
        x = jax.ShapeDtypeStruct(size, np.float16)
        y = jax.ShapeDtypeStruct((seqsim.BLOCK * 3, 13, 3), np.float16)
        lengths = [jax.ShapeDtypeStruct((k.shape[0],), np.int32) for k in (x, y)]
        text = seqsim.seqsim.lower(x, lengths[0], y, lengths[1]).as_text()
        assert f"tensor<11x{seqsim.BLOCK}x13xf32>" in text
        assert f"tensor<{users}x{seqsim.BLOCK * 3}x11x13" not in text
        assert f"tensor<{users}x3x11x{seqsim.BLOCK}x13" not in text


def test_reference_equals_speechbertscore():
    """The formula as DiscreteSpeechMetrics states it, in matrix form: an independent oracle."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((9, 8)), rng.standard_normal((7, 8))
    similarity = x @ y.T / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(y, axis=1)
    precision, recall = similarity.max(axis=1).mean(), similarity.max(axis=0).mean()
    f1 = 2 * precision * recall / (precision + recall)
    np.testing.assert_allclose(reference.seqsim(x, y), (precision, recall), rtol=1e-13)
    np.testing.assert_allclose(reference.f1(precision, recall), f1, rtol=1e-13)


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=5, max_size=5))
def test_f1_equals_reference(pairs):
    precision, recall = np.float32(pairs).T
    theirs = [reference.f1(float(p), float(r)) for p, r in pairs]
    np.testing.assert_allclose(seqsim.f1(precision, recall), theirs, rtol=2 * EPS)


def test_f1_of_nothing_stays_nan():
    assert np.isnan(seqsim.f1(np.float32([np.nan]), np.float32([0])))

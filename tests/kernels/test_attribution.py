"""kernels.attribution against kernels.word_reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

from isogloss.kernels import attribution, frame_scores, reference, word_reference
from ragged_batches import EPS, padded, words

N, M, D, V, W = 6, 5, 4, 3, 4
SLACK = (2 * D + N + 8) * EPS  # of a score, as in test_seqsim


def sides(elements):
    """Words of A and of B."""
    sizes = ((N, V), (M, W))
    return [words(longest, D, elements, fewest=0, most=most) for longest, most in sizes]


def of_words(batch, longest, room, dtype=np.float32):
    """(frames, their numbers, the word of each frame)."""
    x, n = padded([used for used, _ in batch], longest, dtype=dtype)
    of_x = np.full((len(batch), longest), room + 7, np.int32)
    for row, (used, intervals) in enumerate(batch):
        of_x[row, : len(used)] = room
        for index, (first, last) in enumerate(intervals):
            of_x[row, first : last + 1] = index
    return x, n, of_x


def attribute(ours, theirs, dtype=np.float32):
    given = *of_words(ours, N, V, dtype), *of_words(theirs, M, W, dtype)
    return attribution.attribution(*given, words=(V, W))


def used(shares, v, w):
    """Rows and columns of words in use, and the last of each; the rest must be empty."""
    shares = np.asarray(shares)
    rows, columns = [*range(v), shares.shape[0] - 1], [*range(w), shares.shape[1] - 1]
    found = shares[np.ix_(rows, columns)]
    assert np.count_nonzero(shares) == np.count_nonzero(found)
    return found


class TestAttribution:
    @given(*sides(st.integers(-2, 2)))
    def test_parts_sum_to_the_scores(self, ours, theirs):
        """F1 passes the errors of P and R on with weights that have no bound where P + R is near 0."""
        found = attribute(ours, theirs)
        for row, ((x, a), (y, b)) in enumerate(zip(ours, theirs, strict=True)):
            p, r = reference.seqsim(x, y)
            sums = [used(share[row], len(a), len(b)).sum(dtype=np.float64) for share in found[:3]]
            np.testing.assert_allclose(found.scores[row, :2], (p, r), rtol=0, atol=SLACK)
            np.testing.assert_allclose(sums[:2], (p, r), rtol=0, atol=2 * SLACK)
            if p + r > 0.1:
                np.testing.assert_allclose(found.scores[row, 2], reference.f1(p, r), rtol=0, atol=99 * SLACK)
                np.testing.assert_allclose(sums[2], reference.f1(p, r), rtol=0, atol=99 * SLACK)

    @given(*sides(st.sampled_from([-1, 1])))
    def test_every_share_equals_the_reference_on_ties(self, ours, theirs):
        """Frames of +-1 have norm 2 and cosines in quarters, exact in float32: ties are ties to both."""
        found = attribute(ours, theirs)
        for row, ((x, a), (y, b)) in enumerate(zip(ours, theirs, strict=True)):
            want = word_reference.attribution(x, y, a, b)
            p, r = reference.seqsim(x, y)
            for share, expected in zip(found[:2], want[:2], strict=True):
                np.testing.assert_allclose(used(share[row], len(a), len(b)), expected, rtol=0, atol=SLACK)
            if abs(p + r) > 0.1:
                got = used(found.f1[row], len(a), len(b))
                np.testing.assert_allclose(got, want[2], rtol=0, atol=99 * SLACK)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, jnp.bfloat16])
    def test_real_values(self, dtype):
        rng = np.random.default_rng(0)
        x, y = (rng.standard_normal((k, D)).astype(dtype).astype(np.float32) for k in (N, M))
        ours, theirs = (x, [(0, 1), (3, 3)]), (y, [(1, 1), (2, 2), (3, 4)])
        found = attribute([ours], [theirs], dtype)
        want = word_reference.attribution(x, y, ours[1], theirs[1])
        for share, expected in zip(found[:3], want, strict=True):
            assert share.dtype == np.float32
            np.testing.assert_allclose(used(share[0], 2, 3), expected, rtol=0, atol=9 * SLACK)

    def test_many_frames_to_one_word(self):
        x, y = np.ones((4, D), np.float32), np.ones((1, D), np.float32)
        found = attribute([(x, [(0, 1), (2, 2)])], [(y, [(0, 0)])])
        np.testing.assert_allclose(
            used(found.precision[0], 2, 1), [[0.5, 0], [0.25, 0], [0.25, 0]], rtol=0, atol=SLACK
        )
        np.testing.assert_allclose(used(found.recall[0], 2, 1), [[1, 0], [0, 0], [0, 0]], rtol=0, atol=SLACK)

    def test_zero_frames(self):
        zero = (np.zeros((3, D), np.float32), [(0, 2)])
        found = attribute([zero], [zero])
        assert not any(np.asarray(value).any() for value in found)

    def test_opposite_scores_have_no_f1(self):
        """P + R of exactly 0: the score is 0 by definition, and so are its shares."""
        x = np.float32([[1, 1, 1, 1], [-1, 0, 0, 0], [-1, 0, 0, 0]])
        y = np.float32([[1, 0, 0, 0]])
        found = attribute([(x, [(0, 1)])], [(y, [(0, 0)])])
        np.testing.assert_array_equal(found.scores[0], (-0.5, 0.5, 0))
        np.testing.assert_array_equal(used(found.f1[0], 1, 1), np.zeros((2, 2)))

    def test_transpose_swaps_precision_and_recall(self):
        rng = np.random.default_rng(1)
        x, y = (rng.standard_normal((5, D)).astype(np.float32) for _ in range(2))
        ours, theirs = (x, [(0, 1), (2, 4)]), (y, [(0, 3)])
        there, back = attribute([ours], [theirs]), attribute([theirs], [ours])
        np.testing.assert_allclose(
            used(there.precision[0], 2, 1), used(back.recall[0], 1, 2).T, rtol=0, atol=SLACK
        )
        np.testing.assert_allclose(used(there.f1[0], 2, 1), used(back.f1[0], 1, 2).T, rtol=0, atol=9 * SLACK)

    def test_scores_are_those_of_the_grid(self):
        rng = np.random.default_rng(2)
        both = [
            [(rng.standard_normal((k, D)).astype(np.float32), [(0, 0)]) for k in ks]
            for ks in ((1, 4, 6), (5, 2, 3))
        ]
        found = attribute(*both)
        measures = ("precision", "recall", "seqsim")
        for implementation in ("numba", "xla"):
            x, n, _ = of_words(both[0], N, V)
            y, m, _ = of_words(both[1], N, W)  # N, so that the program is that of test_seqsim.py
            grid = frame_scores.frame_scores(x, n, y, m, measures=measures, implementation=implementation)
            scores = np.stack([np.diagonal(grid[measure]) for measure in measures], axis=1)
            np.testing.assert_allclose(found.scores, scores, rtol=0, atol=9 * SLACK)

    def test_alone_or_among_others(self):
        rng = np.random.default_rng(3)
        rows = [(rng.standard_normal((k, D)).astype(np.float32), [(0, k - 1)]) for k in (1, 5, 3, 4, 2)]
        together = attribute(rows, rows[::-1])
        for row in range(5):
            alone = attribute(rows[row : row + 1], [rows[4 - row]])
            for one, every in zip(alone, together, strict=True):
                np.testing.assert_array_equal(one[0], every[row])

    @pytest.mark.parametrize("bad", [-1, 0, N + 1])
    def test_impossible_lengths_give_nan(self, bad):
        x, of_x = np.ones((2, N, D), np.float32), np.zeros((2, N), np.int32)
        lengths = np.int32([bad, 2]), np.int32([2, 2])
        for n, m in (lengths, lengths[::-1]):
            found = attribution.attribution(x, n, of_x, x, m, of_x, words=(V, W))
            for value in found:
                gone = np.isnan(np.asarray(value)).reshape(2, -1)
                assert gone[0].all()
                assert not gone[1].any()

    @pytest.mark.parametrize("bad", [-1, V + 1])
    def test_a_word_that_is_not_there_gives_nan(self, bad):
        x, right = np.ones((1, N, D), np.float32), np.zeros((1, N), np.int32)
        wrong = right.copy()
        wrong[0, 1] = bad
        for n, gone in ((2, True), (1, False)):
            found = attribution.attribution(x, np.int32([n]), wrong, x, np.int32([2]), right, words=(V, V))
            assert np.isnan(found.precision).all() == gone

    def test_frame_in_use_that_is_not_finite(self):
        x = np.ones((2, D), np.float32)
        found = attribute([(x * np.float32([[1], [np.nan]]), [(0, 0)])], [(x, [(0, 0)])])
        assert all(np.isnan(value).all() for value in found)

    def test_nothing_is_scattered(self):
        """Scattered sums may come in any order on a GPU, and reruns would differ in their last bits."""
        side = of_words([(np.ones((N, D), np.float32), [(0, 2)])], N, V)
        jaxpr = jax.make_jaxpr(lambda *a: attribution.attribution(*a, words=(V, V)))(*side, *side)
        assert "scatter" not in str(jaxpr)

"""kernels.word_match against kernels.word_reference."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.kernels import reference, word_match, word_reference
from ragged_batches import EPS, padded, words

N, V, D = 7, 4, 3  # one padded shape, so that a kernel compiles once
NOWHERE = -9  # interval of a word in the padding
some = words(N, D, st.integers(-2, 2), fewest=1, most=V)


def with_words(batch, dtype=np.float32):
    """(frames, intervals of the words, nonsense in the padding, and their numbers)."""
    x, _ = padded([used for used, _ in batch], N, dtype=dtype)
    intervals = np.full((len(batch), V, 2), NOWHERE, np.int32)
    for row, (_, own) in enumerate(batch):
        intervals[row, : len(own)] = np.reshape(own, (-1, 2))
    return x, intervals, np.array([len(own) for _, own in batch], np.int32)


def similarities(ours, theirs):
    vectors = [word_reference.word_vectors(*side) for side in (ours, theirs)]
    return reference.cosines(*vectors)


class TestMatch:
    def check(self, ours, theirs, dtype=np.float32):
        """A cosine of means: each mean rounds its sum, then as a dot product and two norms do."""
        found = word_match.match(*with_words(ours, dtype), *with_words(theirs, dtype))
        assert found.similarity.dtype == np.float32
        for row, pair in enumerate(zip(ours, theirs, strict=True)):
            want = similarities(*pair)
            v, w = want.shape
            got = np.asarray(found.similarity[row])
            np.testing.assert_allclose(got[:v, :w], want, rtol=0, atol=(2 * D + 2 * N + 8) * EPS)
            assert np.isnan(got[v:]).all()
            assert np.isnan(got[:, w:]).all()
            mutual = np.asarray(found.mutual[row])
            np.testing.assert_array_equal(mutual[:v, :w], word_reference.mutual_best(got[:v, :w]))
            assert not mutual[v:].any()
            assert not mutual[:, w:].any()

    @given(some, some)
    def test_small_integers(self, ours, theirs):
        self.check(ours, theirs)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, jnp.bfloat16])
    def test_float_types(self, dtype):
        rng = np.random.default_rng(0)
        draw = lambda n: rng.integers(-9, 10, (n, D)).astype(np.float32)  # noqa: E731 exact in all
        self.check([(draw(7), [(0, 2), (3, 3), (5, 6)])], [(draw(1), [(0, 0)])], dtype)

    def test_matches_equal_the_reference_on_exact_similarities(self):
        """Single frames along the axes have cosines of exactly 0, 1 and -1, so ties are ties to both."""
        rng = np.random.default_rng(1)
        axes = np.concatenate([np.eye(D), -np.eye(D), np.zeros((1, D))]).astype(np.float32)
        for _ in range(50):
            sides = [
                (axes[rng.integers(0, len(axes), count)], [(k, k) for k in range(count)])
                for count in rng.integers(1, V + 1, 2)
            ]
            found = word_match.match(*with_words(sides[:1]), *with_words(sides[1:]))
            want = word_reference.mutual_best(similarities(*sides))
            v, w = want.shape
            np.testing.assert_array_equal(found.mutual[0, :v, :w], want)

    def test_zero_frames(self):
        zero = (np.zeros((4, D), np.float32), [(0, 1), (2, 3)])
        found = word_match.match(*with_words([zero]), *with_words([zero]))
        np.testing.assert_array_equal(found.similarity[0, :2, :2], np.zeros((2, 2)))
        np.testing.assert_array_equal(found.mutual[0, :2, :2], [[True, False], [False, False]])

    def test_one_frame_is_taken_exactly(self):
        x = np.float32([[1e-3, 3, 7], [0.1, 0.2, 0.3], [1e30, 0, 1]])
        got = word_match.word_vectors(*with_words([(x, [(2, 2), (1, 1)])]))
        np.testing.assert_array_equal(got[0, :2], x[[2, 1]])

    @pytest.mark.parametrize("interval", [(-1, 1), (2, 1), (0, N)])
    def test_impossible_intervals_give_nan_and_match_nothing(self, interval):
        x, words, v = with_words([(np.ones((N, D), np.float32), [(0, 0), interval])])
        found = word_match.match(x, words, v, x, words, v)
        np.testing.assert_array_equal(np.isnan(found.similarity[0, :2, :2]), [[0, 1], [1, 1]])
        np.testing.assert_array_equal(found.mutual[0, :2, :2], [[1, 0], [0, 0]])

    def test_no_word_on_a_side(self):
        some = with_words([(np.ones((2, D), np.float32), [(0, 0)])])
        none = with_words([(np.ones((2, D), np.float32), [])])
        found = word_match.match(*some, *none)
        assert np.isnan(found.similarity).all()
        assert not found.mutual.any()


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_mutual_matches_are_one_to_one_and_symmetric(rows, columns, data):
    c = data.draw(arrays(np.float32, (4, 4), elements=st.integers(0, 2)))
    c[rows:], c[:, columns:] = np.nan, np.nan
    found = np.asarray(word_match.mutual_best(c[None])[0])
    np.testing.assert_array_equal(found[:rows, :columns], word_reference.mutual_best(c[:rows, :columns]))
    assert found.sum(axis=0).max() <= 1
    assert found.sum(axis=1).max() <= 1
    assert found.any()  # the first of the largest always is mutual
    np.testing.assert_array_equal(word_match.mutual_best(c.T[None])[0], found.T)

"""kernels.alignment against kernels.alignment_reference."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.kernels import alignment, alignment_reference, reference
from ragged_batches import EPS, padded

B, A, T, N = 3, 2, 5, 9  # one padded shape, so that a kernel compiles once
# Small integers tie often, which random floats never do; lengths of one and runs of equal scores with them.
scores_of = st.tuples(st.just(A), st.integers(1, T), st.integers(1, N)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.integers(-2, 2))
)
utterances = st.lists(scores_of, min_size=B, max_size=B)
# A frame's weights, the largest taken as 1, are off by 16 EPS (log-softmax of scores up to 2 in magnitude,
# exp, mean); the deviation they are divided by magnifies that. Frames of a smaller deviation are left out.
SPREAD = 0.02
ATOL = 16 * EPS / SPREAD


def test_median_of_every_zero_and_one():
    """A network of exchanges that orders every input of zeros and ones orders every input."""
    values = np.array([*itertools.product((0, 1), repeat=7)], np.float32)[:, None]
    middle = alignment.median_filter(jnp.asarray(values), jnp.full(128, 7, jnp.int32))[:, 0, 3]
    np.testing.assert_array_equal(middle, np.median(values[:, 0], axis=1))


@given(st.lists(arrays(np.float32, st.integers(1, N), elements=st.integers(-3, 3)), min_size=4, max_size=4))
def test_median_filter_equals_reference(rows):
    values, frames = map(jnp.asarray, padded(rows, N))
    filtered = alignment.median_filter(values[:, None], frames)
    for row, got, n in zip(rows, np.asarray(filtered)[:, 0], frames, strict=True):
        np.testing.assert_array_equal(got[:n], alignment_reference.median_filter(row, alignment.WIDTH))


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_median_filter_of_a_short_array(columns):
    values = jnp.arange(columns, dtype=jnp.float32)[None, None]
    np.testing.assert_array_equal(alignment.median_filter(values, jnp.array([columns])), values)


def test_median_filter_equals_openai():
    timing = pytest.importorskip("whisper.timing", reason="openai-whisper isn't installed")
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).integers(-5, 5, (2, 3, 30)).astype(np.float32)
    for frames in (1, 3, 4, 5, 7, 30):
        got = alignment.median_filter(jnp.asarray(values), jnp.full(2, frames, jnp.int32))[:, :, :frames]
        theirs = timing.median_filter(torch.tensor(values[:, :, :frames]), alignment.WIDTH)
        np.testing.assert_array_equal(got, theirs.numpy())


def far_from_equal(scores):
    """True if in every head all tokens have the same scores, or every frame's attention differs enough.

    Scores in another order have a softmax that differs in its last bit, which is blown up.
    """
    for head in scores:
        weights = np.array([alignment_reference.softmax(row) for row in head])
        spread = (weights / weights.max(axis=0)).std(axis=0)
        if (head != head[0]).any() and (spread < SPREAD).any():
            return False
    return True


@given(utterances)
def test_matrix_equals_reference(scores):
    scores = [s if far_from_equal(s) else np.zeros_like(s) for s in scores]
    batch, _, tokens, frames = padded(scores, A, T, N)
    got = np.asarray(alignment.attention_matrix(batch, tokens, frames))
    for matrix, s, t, n in zip(got, scores, tokens, frames, strict=True):
        expected = alignment_reference.attention_matrix(s, alignment.WIDTH)
        np.testing.assert_allclose(matrix[:t, :n], expected, rtol=0, atol=ATOL)
        assert np.isnan(matrix[t:]).all()
        assert np.isnan(matrix[:, n:]).all()


def test_matrix_of_large_scores():
    """Scores of real models reach tens: exponentials overflow, and squares of what is left vanish."""
    scores = np.float32([[[[90, 0, -90], [0, 90, 90]]]])
    got = alignment.attention_matrix(scores, np.int32([2]), np.int32([3]))
    np.testing.assert_allclose(got, [[[1, -1, -1], [-1, 1, 1]]], atol=ATOL)


def test_one_token_attends_like_all():
    """Nothing to tell tokens apart: zeros, not a division by zero."""
    scores = np.random.default_rng(1).standard_normal((1, A, 1, N)).astype(np.float32)
    np.testing.assert_array_equal(
        alignment.attention_matrix(scores, np.int32([1]), np.int32([N])), np.zeros((1, 1, N))
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_give_nan(bad):
    scores, lengths = np.ones((B, A, T, N), np.float32), (np.full(B, T, np.int32), np.full(B, N, np.int32))
    scores[0, 1, 2, 3] = bad
    got = alignment.attention_matrix(scores, *lengths)
    np.testing.assert_array_equal(np.isnan(got).all(axis=(1, 2)), [True, False, False])
    first, tied = alignment.first_frames(got, *lengths)
    assert (np.asarray(first)[0] == -1).all()
    assert not tied[0]


@pytest.mark.parametrize(("tokens", "frames"), [(0, 2), (2, 0), (T + 1, 1), (1, N + 1), (-1, 1)])
def test_impossible_lengths_give_nan_and_no_frames(tokens, frames):
    scores = np.zeros((B, A, T, N), np.float32)
    given_ = np.int32([tokens, T, T]), np.int32([frames, N, N])
    matrix = alignment.attention_matrix(scores, *given_)
    np.testing.assert_array_equal(np.isnan(matrix).all(axis=(1, 2)), [True, False, False])
    first, tied = alignment.first_frames(matrix, *given_)
    np.testing.assert_array_equal((np.asarray(first) == -1).all(axis=1), [True, False, False])
    np.testing.assert_array_equal(tied, [False, True, True])


matrices = arrays(np.float32, st.tuples(st.integers(1, T), st.integers(1, N)), elements=st.integers(-3, 3))
batches = st.lists(matrices, min_size=B, max_size=B)


@given(batches)
def test_first_frames_equal_reference(many):
    first, _ = alignment.first_frames(*padded(many, T, N))
    for matrix, got in zip(many, np.asarray(first), strict=True):
        expected = alignment_reference.first_frames(reference.dtw_path(-matrix))
        assert got.tolist() == expected + [-1] * (T - len(expected))


@given(batches)
def test_rows_that_are_skipped(many):
    """The same as without them, whatever stands there."""
    skip = 2
    matrix, rows, frames = padded(many, T, N)
    whole = np.pad(matrix, ((0, 0), (skip, 0), (0, 0)), constant_values=np.nan)
    skipped = alignment.first_frames(whole, rows + np.int32(skip), frames, skip=skip)
    for got, expected in zip(skipped, alignment.first_frames(matrix, rows, frames), strict=True):
        np.testing.assert_array_equal(got, expected)
    first, tied = alignment.first_frames(whole, np.full_like(rows, skip), frames, skip=skip)
    assert (np.asarray(first) == -1).all()  # no row is left
    assert not np.asarray(tied).any()


def test_whatever_the_neighbours():
    """The same bits for an utterance at another place among others, in a batch of the same shape."""
    rng = np.random.default_rng(3)
    scores = rng.standard_normal((B, A, T, N)).astype(np.float32)
    tokens, frames = (rng.integers(2, longest + 1, B).astype(np.int32) for longest in (T, N))
    matrix = np.asarray(alignment.attention_matrix(scores, tokens, frames))
    for order in ([2, 0, 1], [1, 2, 2]):
        moved = alignment.attention_matrix(scores[order], tokens[order], frames[order])
        np.testing.assert_array_equal(moved, matrix[order])


def test_reference_of_a_hand_made_case():
    assert alignment_reference.first_frames([(0, 0), (0, 1), (1, 2), (2, 2), (2, 3)]) == [0, 2, 2]
    np.testing.assert_array_equal(alignment_reference.standardise(np.array([1.0, 3.0])), [-1, 1])
    np.testing.assert_array_equal(
        alignment_reference.median_filter(np.array([9.0, 0, 0, 5, 1]), 7), [0, 0, 1, 1, 0]
    )
    steps = itertools.pairwise(alignment_reference.softmax(np.array([0.0, 0.0, np.log(2)])))
    assert [round(b / a, 12) for a, b in steps] == [1, 2]

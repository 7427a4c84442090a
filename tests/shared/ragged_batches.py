"""Batches of unequal lengths as kernels take them, and strategies that draw them."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

EPS = float(np.finfo(np.float32).eps)


def padded(batch, *longest, dtype=np.float32):
    """Arrays stacked over NaN, so that no kernel that reads padding can pass; then their lengths by axis.

    The first axes are padded to `longest`; the others are equal already.
    """
    axes = len(longest)
    out = np.full((len(batch), *longest, *batch[0].shape[axes:]), np.nan, dtype)
    for row, array in zip(out, batch, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return out, *np.array([array.shape[:axes] for array in batch], np.int32).T


def cosines(a, b):
    """As kernels.reference has them, whose loops take seconds for long utterances."""
    a, b = (x.astype(np.float64) for x in (a, b))
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    return np.divide(a @ b.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)


def utterances(longest, features, elements):
    """Three unpadded utterances; of small integers, so that ties and all-zero frames are common."""
    frames = st.integers(1, longest).flatmap(lambda n: arrays(np.float32, (n, features), elements=elements))
    return st.lists(frames, min_size=3, max_size=3)


@st.composite
def words(draw, longest, features, elements, *, fewest, most):
    """Three pairs of unpadded frames and the disjoint intervals of some words in them, ends included."""
    batch = []
    for x in draw(utterances(longest, features, elements)):
        count = draw(st.integers(fewest, min(most, len(x))))
        firsts = sorted(draw(st.sets(st.integers(0, len(x) - 1), min_size=count, max_size=count)))
        ends = zip(firsts, [*firsts[1:], len(x)], strict=False)
        batch.append((x, [(first, draw(st.integers(first, end - 1))) for first, end in ends]))
    return batch

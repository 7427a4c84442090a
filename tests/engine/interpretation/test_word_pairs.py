"""engine.interpretation.word_pairs: sentence pairs of any size, against the references one by one."""

import jax
import numpy as np
import pytest

from isogloss.engine.interpretation import word_pairs
from isogloss.engine.interpretation.aligned_words import Words
from isogloss.engine.runtime import devices
from isogloss.kernels import reference, word_match, word_reference


def side(rng, frames, count, width=6):
    firsts = sorted(rng.choice(frames, count, replace=False).tolist())
    ends = [*firsts[1:], frames]
    intervals = np.int32([[f, rng.integers(f, e)] for f, e in zip(firsts, ends, strict=True)])
    words = Words(
        index=tuple(range(count)), text=tuple(f"w{k}" for k in range(count)), frames=intervals,
        centre=np.int32(intervals.sum(axis=1) // 2), seconds=intervals * 0.02, empty=0, truncated=False,
    )  # fmt: skip
    return word_pairs.PairSide(states=rng.standard_normal((frames, width)).astype(np.float16), words=words)


def pairs(rng):
    """More than a batch of one shape, other shapes between, one frame, one word."""
    sizes = [((9, 3), (12, 5)), ((1, 1), (7, 2)), ((140, 18), (5, 1))] + [((6, 2), (4, 4))] * 9
    return [(side(rng, *a), side(rng, *b)) for a, b in sizes]


@pytest.mark.parametrize("word_vector", ["centre", "mean"])
def test_every_pair_equals_the_references(word_vector):
    method = word_pairs.Method(word_vector=word_vector, epsilon=0.2, threshold=0.4, tolerance=1e-5)
    assert word_pairs.compare([], method) == []
    given = pairs(np.random.default_rng(0))
    for (a, b), found in zip(given, word_pairs.compare(given, method), strict=True):
        check(a, b, found, method)


def test_devices_take_batches_in_turns_and_change_no_bit(monkeypatch):
    """Three batches on one device, and on two; arrays say where they were made."""
    method = word_pairs.Method(word_vector="mean", epsilon=0.2, threshold=0.4)
    given, made, match = pairs(np.random.default_rng(1)), [], word_match.match

    def spied(*arrays):
        found = match(*arrays)
        made.append(found.similarity.devices())
        return found

    monkeypatch.setattr(word_pairs.word_match, "match", spied)
    assert devices.independent() == (jax.devices()[0],)  # CPU devices share its cores
    results = [word_pairs.compare(given, method)]
    assert made == [{jax.devices()[0]}] * 3
    made.clear()
    both = tuple(jax.devices()[:2])
    monkeypatch.setattr(devices, "independent", lambda: both)
    results.append(word_pairs.compare(given, method))
    assert [made.count({device}) for device in both] == [2, 1]
    for one, other in zip(*results, strict=True):
        assert vars(one).keys() == vars(other).keys()
        for name, value in vars(one).items():
            np.testing.assert_array_equal(value, vars(other)[name])


def intervals_of(side):
    return [(int(first), int(last)) for first, last in side.words.frames]


def check(a, b, found, method):
    intervals = [
        [(int(c), int(c)) for c in s.words.centre] if method.word_vector == "centre" else intervals_of(s)
        for s in (a, b)
    ]
    vectors = [word_reference.word_vectors(s.states, i) for s, i in zip((a, b), intervals, strict=True)]
    similarity = reference.cosines(*vectors)
    np.testing.assert_allclose(found.similarity, similarity, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found.mutual, word_reference.mutual_best(similarity))
    masses = [np.diff(s.words.frames, axis=1)[:, 0] + 1.0 for s in (a, b)]
    plan = word_reference.transport(1 - similarity, *masses, epsilon=0.2, iterations=500)
    assert found.error <= method.tolerance
    np.testing.assert_allclose(found.plan, plan, rtol=0, atol=1e-4)
    most = np.minimum.outer(masses[0] / masses[0].sum(), masses[1] / masses[1].sum())
    sure = np.abs(plan / most - method.threshold) > 1e-3
    np.testing.assert_array_equal(found.transported[sure], (plan >= method.threshold * most)[sure])
    shares = word_reference.attribution(a.states, b.states, intervals_of(a), intervals_of(b))
    for ours, theirs in zip((found.precision, found.recall), shares, strict=False):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
        assert ours.shape == (len(a.words) + 1, len(b.words) + 1)
    np.testing.assert_allclose(found.scores[:2], reference.seqsim(a.states, b.states), rtol=0, atol=1e-5)

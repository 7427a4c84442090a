"""Classes of pairs of words by sound and meaning, and unrelated pairs that are as unequal in length.

d is the phone edit distance over the longer word. Synonym and near-homophone are those of Choi et al. 2024
(arXiv 2406.08619), between languages; what sounds alike and means the same, the cognate, is a class of its
own here. Length alone tells pairs apart (translations that sound alike last equally long), so that the
unrelated pairs beside a class are those nearest to its pairs in log(frames of a / frames of b).
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

CLASSES = ("cognate", "synonym", "near-homophone")
COGNATE, SYNONYM, NEAR_HOMOPHONE, UNRELATED = range(4)
UNKNOWN = -1  # a word whose meaning isn't known


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassPairs:
    """Pairs of one class and the unrelated pairs beside them.

    Attributes:
      pairs: word of a and word of b of each pair.
      matched: words of each unrelated pair that is nearest in length ratio to some pair of the class.
      times: to how many pairs of the class each of them is among the nearest.
    """

    pairs: Int[np.ndarray, "n 2"]
    matched: Int[np.ndarray, "m 2"]
    times: Int[np.ndarray, " m"]


def classify(
    distance: Float[np.ndarray, "U V"],
    same: Bool[np.ndarray, "U V"],
    known: Bool[np.ndarray, "U V"],
    near: float,
) -> Int[np.ndarray, "U V"]:
    """Class of each pair of words: index in CLASSES, UNRELATED or UNKNOWN.

    Args:
      distance: d.
      same: whether they mean the same.
      known: whether that is known.
      near: largest d of words that sound alike.
    """
    alike = distance <= near
    found = np.where(same, np.where(alike, COGNATE, SYNONYM), np.where(alike, NEAR_HOMOPHONE, UNRELATED))
    return np.where(known, found, UNKNOWN)


def beside_unrelated(
    classes: Int[np.ndarray, "U V"], ratio: Float[np.ndarray, "U V"], matches: int, seed: int
) -> tuple[ClassPairs, ...]:
    """Pairs of each class with the `matches` unrelated pairs nearest to each of them in length ratio.

    Of unrelated pairs that are equally near some are drawn. A pair may be near to several of a class.
    """
    unrelated = np.argwhere(classes == UNRELATED)
    rng = np.random.default_rng(seed)
    rng.shuffle(unrelated)
    at = ratio[*unrelated.T]
    order = np.argsort(at, kind="stable")  # so that equal ratios stay shuffled
    unrelated, at = unrelated[order], at[order]
    found = []
    for kind in range(len(CLASSES)):
        pairs = np.argwhere(classes == kind)
        times = np.bincount(_nearest(at, ratio[*pairs.T], matches, rng), minlength=len(at))
        used = np.flatnonzero(times)
        found.append(ClassPairs(pairs=pairs, matched=unrelated[used], times=times[used]))
    return tuple(found)


def _nearest(
    ordered: Float[np.ndarray, " m"], wanted: Float[np.ndarray, " n"], count: int, rng: np.random.Generator
) -> Int[np.ndarray, " _"]:
    """Indices of the `count` values nearest to each of the wanted ones, of all of them in turn."""
    ends = [np.searchsorted(ordered, wanted, side) for side in ("left", "right")]
    place = rng.integers(ends[0], ends[1], endpoint=True)  # somewhere among the equal ones
    width = min(2 * count, len(ordered))
    window = np.clip(place - count, 0, len(ordered) - width)[:, None] + np.arange(width)
    gaps = np.abs(ordered[window] - wanted[:, None])
    nearest = np.argsort(gaps, axis=1, kind="stable")[:, : min(count, len(ordered))]
    return np.take_along_axis(window, nearest, axis=1).ravel()

"""Figures over the states of a pair and over the pairs of a grid, and what a choice or a sample does to them.

Pure NumPy. The best state is chosen by the sentences that it is judged on, which flatters it; `held_out`
chooses on one half and judges on the other. A mean over pairs has two intervals: other sentences, and other
languages.
"""

import functools
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped

from isogloss.kernels import bootstrap

SPLITS = 20
Pair = tuple[str, str]


@functools.lru_cache(maxsize=16)
def _halves(n: int) -> Bool[np.ndarray, "K n"]:
    """Random halves of n sentences, each followed by its complement."""
    rng = np.random.default_rng(bootstrap.SEED)
    half = np.arange(n) < n // 2
    first = [rng.permutation(half) for _ in range(SPLITS)]
    return np.concatenate([[side, ~side] for side in first])


def held_out(hits: Bool[np.ndarray, "S V 2 n"]) -> Float[np.ndarray, "V 2"]:
    """R@1 at the best state, chosen on half of the sentences and judged on the other: mean of 20 splits.

    The state is chosen by the mean of both directions, and both halves are judged. NaN for n < 2.
    """
    *_, n = hits.shape
    if n < 2:
        return np.full(hits.shape[1:3], np.nan)
    halves = _halves(n).astype(np.float32)
    counts = np.einsum("svdn,kn->ksvd", hits, halves)  # whole numbers, so that ties are seen
    best = counts.sum(3).argmax(1)  # by half and scoring
    judged = counts.reshape(SPLITS, 2, -1)[:, ::-1].reshape(counts.shape)  # of the other half
    chosen = np.take_along_axis(judged, best[:, None, :, None], axis=1)[:, 0]
    return (chosen / (n - halves.sum(1))[:, None, None]).mean(0)


class Means:
    """Means over pairs and directions, of which a pair is added at a time and not kept."""

    def __init__(self, sentences: int) -> None:
        """Start without any pair, of a number of ids of sentences."""
        self.pairs: list[Pair] = []
        self._drawn = bootstrap.resamples(sentences)
        self._total: Float[np.ndarray, "R K"] | float = 0.0
        self._each: list[Float[np.ndarray, "S V"]] = []

    def add(self, pair: Pair, ids: Int[np.ndarray, " n"], found: Shaped[np.ndarray, "S V 2 n"]) -> None:
        """Take in the hits of a pair, or their differences, with the ids of its sentences."""
        counts = self._drawn[:, ids]
        by_query = found.mean(2, dtype=np.float32).reshape(-1, len(ids))
        # A resample without any sentence of this pair says nothing about it; that is rare, and counts as 0.
        self._total = self._total + (counts @ by_query.T) / np.maximum(counts.sum(1, keepdims=True), 1)
        self._each.append(found.mean((2, 3)))
        self.pairs.append(pair)

    def result(
        self,
    ) -> tuple[Float[np.ndarray, "S V"], Float[np.ndarray, "2 S V"], Float[np.ndarray, "2 S V"]]:
        """The means, as of `means`."""
        shape = self._each[0].shape
        drawn = np.asarray(self._total) / len(self.pairs)
        by_sentence = np.stack(bootstrap.ends(drawn)).reshape(2, *shape)
        by_pair = np.stack(self._each)
        return by_pair.mean(0), by_sentence, _language_ends(self.pairs, by_pair)


def means(
    hits: Iterable[tuple[Pair, Int[np.ndarray, " n"], Bool[np.ndarray, "S V 2 n"]]], sentences: int
) -> tuple[Float[np.ndarray, "S V"], Float[np.ndarray, "2 S V"], Float[np.ndarray, "2 S V"]]:
    """Mean R@1 over pairs and directions, and its 95% intervals over sentences and over languages.

    Sentences are resampled by their id over the union of all sentences, so that a sentence is drawn in every
    pair that has it. Languages are drawn with replacement; a pair counts as often as its languages are drawn
    together, w_a * w_b, and a draw of one language alone doesn't count.

    Args:
      hits: pairs with the ids of their sentences and hits; each is read once and not kept.
      sentences: number of ids.
    """
    found = Means(sentences)
    for pair, ids, each in hits:
        found.add(pair, ids, each)
    return found.result()


def _language_ends(pairs: Sequence[Pair], by_pair: Float[np.ndarray, "P S V"]) -> Float[np.ndarray, "2 S V"]:
    languages = sorted({code for pair in pairs for code in pair})
    a, b = np.array([[languages.index(code) for code in pair] for pair in pairs]).T
    drawn = bootstrap.resamples(len(languages))
    weights: Float32[np.ndarray, "R P"] = drawn[:, a] * drawn[:, b]
    known = weights.sum(1) > 0
    # Draws without any pair are replaced by the mean weights, so that the interval isn't made of fewer draws.
    weights[~known] = 1.0
    found = weights @ by_pair.reshape(len(pairs), -1) / weights.sum(1, keepdims=True)
    return np.stack(bootstrap.ends(found)).reshape(2, *by_pair.shape[1:])

"""Paired differences of R@1: the same queries scored in two ways, or the sentences of two language pairs.

Pure NumPy and SciPy. A contrast is a difference of the shares of hits of two cells (state, scoring,
direction). Its interval resamples sentences, with the draws that all figures of equally many sentences share.
Its p is of the sign-flip test, which for hits and misses is exact without sampling: McNemar's exact test, a
binomial law of the queries that only one of the two finds.
"""

import functools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int16, Shaped
from scipy import stats

from isogloss.engine.retrieval import metrics
from isogloss.engine.retrieval.derived import BASELINE
from isogloss.engine.retrieval.scorings import Scoring
from isogloss.kernels import bootstrap

_OF_SCORES = ("best state", "final state", "seqsim")
FAMILIES = (
    *_OF_SCORES,
    "duration",
    "uncorrected",
    "direction",
    "pair",
    *(f"{name}, corrected" for name in _OF_SCORES),
)
"""Families of contrasts, by what a cell is compared with; q is computed within a family.

Corrected scores are compared with equally corrected ones, in families of their own.
"""
MOST_PAIRS = 66
"""Language pairs of 12 languages; of more only some, if they are named, are compared with each other."""
VALUES = ("difference", "ci_low", "ci_high", "p")
FLIPS = 10_000
"""Draws of `flipped`."""
NOTHING = np.empty((0, 7), np.int16), np.empty((0, 4), np.float32)
"""Contrasts of a pair that has none."""
_BLOCK = 4096  # contrasts at a time, so that resamples of 34 states fit in memory


def within_pair(
    hits: Bool[np.ndarray, "S V 2 n"], scorings: Sequence[Scoring]
) -> tuple[Int16[np.ndarray, "K 7"], Float32[np.ndarray, "K 4"]]:
    """Contrasts of one pair: what is compared, and `VALUES`.

    Returns:
      Rows of (family, state, scoring, direction, other state, other scoring, other direction), and values.
    """
    index = np.asarray(list(_compared(hits, scorings)), np.int16).reshape(-1, 7)
    values = np.empty((len(index), len(VALUES)), np.float32)
    for start in range(0, len(index), _BLOCK):
        rows = index[start : start + _BLOCK]
        here, there = (hits[tuple(rows[:, place].T)] for place in ([1, 2, 3], [4, 5, 6]))
        values[start : start + _BLOCK] = contrast(here, there)
    return index, values


def _compared(hits: Bool[np.ndarray, "S V 2 n"], scorings: Sequence[Scoring]) -> Iterator[tuple[int, ...]]:
    """Index rows of `within_pair`; a cell is never compared with itself."""
    states, final = range(len(hits)), len(hits) - 1
    place = {scoring: v for v, scoring in enumerate(scorings)}
    # None where the grid has no numbers of frames.
    baseline = place.get(Scoring(BASELINE))
    # The first of equally good states, as everywhere.
    best = hits.mean((2, 3)).argmax(0)
    for v, scoring in enumerate(scorings):
        plain = scoring.correction == "none"
        to_best, to_final, to_seqsim = (
            FAMILIES.index(name if plain else f"{name}, corrected") for name in _OF_SCORES
        )
        others = {
            to_seqsim: place.get(Scoring("seqsim", scoring.correction)),
            FAMILIES.index("duration"): baseline,
            FAMILIES.index("uncorrected"): None if plain else place[Scoring(scoring.measure)],
        }
        for s in states:
            for d in (0, 1):
                # The baseline is equal at all states.
                if v != baseline:
                    for family, other in ((to_best, int(best[v])), (to_final, final)):
                        if other != s:
                            yield family, s, v, d, other, v, d
                for family, other in others.items():
                    if other is not None and other != v:
                        yield family, s, v, d, s, other, d
            yield FAMILIES.index("direction"), s, v, 0, s, v, 1


def contrast(here: Bool[np.ndarray, "K n"], there: Bool[np.ndarray, "K n"]) -> Float[np.ndarray, "K 4"]:
    """`VALUES` of the differences of the means of rows of hits of the same n queries.

    Where no query is found by one side alone, or all are, a bootstrap has nothing to vary; see `_widened`.
    """
    n = here.shape[1]
    drawn = bootstrap.resamples(n) @ (here.astype(np.float32) - there).T
    low, high = bootstrap.ends(drawn)
    only_here, only_there = (here & ~there).sum(1), (there & ~here).sum(1)
    p = sign_flip(n)[only_here, only_there]
    difference = (only_here - only_there) / n
    return np.stack([difference, *_widened(difference, low / n, high / n, n), p], axis=1)


def _widened(
    difference: Float[np.ndarray, " K"],
    low: Float[np.ndarray, " K"],
    high: Float[np.ndarray, " K"],
    n: int | Int[np.ndarray, " K"],
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Ends of intervals, those that are a point widened by what Wilson's interval (1927) gives for 0 of n.

    Where none of n queries is found by one side alone, the share of those that are is at most this, and the
    difference lies between it and its negative.
    """
    point, outside = low == high, metrics.outside(n)
    return (
        np.where(point, np.maximum(-1, difference - outside), low),
        np.where(point, np.minimum(1, difference + outside), high),
    )


def between_pairs(
    hits: Bool[np.ndarray, "P U"], known: Bool[np.ndarray, "P U"]
) -> tuple[Int[np.ndarray, "2 K"], Float[np.ndarray, "K 4"]]:
    """Contrasts of every two language pairs: their indices, and `VALUES`.

    The difference is that of the shares of hits, each over the sentences of its own pair. Its interval
    resamples sentences by their id over the union of all pairs' sentences, so that a sentence drawn is drawn
    in both. p is that of the sentences that both have.

    Args:
      hits: by pair and by sentence of the union.
      known: True where the pair has the sentence.
    """
    first, second = np.triu_indices(len(hits), 1)
    weights = bootstrap.resamples(hits.shape[1])
    # A resample may have no sentence of a pair; 0 hits over 1 is then 0, not NaN.
    drawn = (weights @ (hits & known).T) / np.maximum(weights @ known.T, 1)
    low, high = bootstrap.ends(drawn[:, first] - drawn[:, second])
    shares = (hits & known).sum(1) / known.sum(1)
    both = known[first] & known[second]
    only = [(both & x & ~y).sum(1) for x, y in ((hits[first], hits[second]), (hits[second], hits[first]))]
    p = sign_flip(hits.shape[1])[tuple(only)]
    # The wider interval of the two: a contrast knows no more than its smaller side.
    fewer = np.minimum(known[first].sum(1), known[second].sum(1))
    difference = shares[first] - shares[second]
    ends = _widened(difference, low, high, fewer)
    return np.stack([first, second]), np.stack([difference, *ends, p], axis=1)


@functools.lru_cache(maxsize=4)
def sign_flip(n: int) -> Float[np.ndarray, "k k"]:
    """Two-sided p of the exact sign-flip test, by the numbers of queries that only one side finds.

    Under the null hypothesis each of these b + c queries is found by either side with probability 1 / 2:
    `min(1, 2 binom.cdf(min(b, c), b + c, 1 / 2))` (McNemar 1947, exact form).
    """
    b, c = np.indices((n + 1, n + 1))
    return np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(b, c), b + c, 0.5))


def flipped(differences: Float[np.ndarray, "U K"]) -> Float[np.ndarray, " K"]:
    """Two-sided p of sums over sentences, by flipping the signs of whole sentences: `FLIPS` random draws.

    For means over language pairs: under the null hypothesis both grids are alike for a sentence, and what
    they find of it in all pairs and both directions changes sides together. At least 1 / (`FLIPS` + 1).
    """
    signs = np.random.default_rng(bootstrap.SEED).integers(2, size=(FLIPS, len(differences))) * 2.0 - 1
    here = np.abs(differences.sum(0))
    # Sums of the same numbers in another order differ by rounding; a draw as far out counts.
    as_far = np.abs(signs @ differences) >= here * (1 - 1e-9)
    return (1 + as_far.sum(0)) / (FLIPS + 1)


def false_discovery(
    p: Float[np.ndarray, " K"], method: str, families: Shaped[np.ndarray, " K"] | None = None
) -> Float[np.ndarray, " K"]:
    """Q of each p over those of its family that aren't NaN: Benjamini and Hochberg, "bh", or Yekutieli, "by".

    `families` labels each p; without it all are one family.
    """
    q, known = np.full(p.shape, np.nan), ~np.isnan(p)
    for each in (None,) if families is None else np.unique(families):
        tested = known if families is None else known & (families == each)
        # SciPy's function takes no NaN.
        if tested.any():
            q[tested] = stats.false_discovery_control(p[tested], method=method)
    return q


def onset(
    hits: Bool[np.ndarray, "S n"], baseline: Bool[np.ndarray, " n"], threshold: float
) -> tuple[int, int, int]:
    """First state that finds more than the length baseline with p up to a threshold, and its 95% interval.

    The interval's ends are percentiles of the same first state over the resamples of the sentences.

    Args:
      hits: of the queries, by state.
      baseline: hits of `duration`.
      threshold: largest p for which q is below 0.05 in the report.

    Returns:
      Indices of states; S where no state exceeds the baseline.
    """
    n = hits.shape[1]
    both = np.stack([hits & ~baseline, ~hits & baseline]).astype(np.float32)
    p = sign_flip(n).astype(np.float32)  # as contrasts are stored, of whose p the threshold is one

    def first(won: Float[np.ndarray, "*R S"], lost: Float[np.ndarray, "*R S"]) -> Int[np.ndarray, "*R"]:
        exceeds = (won > lost) & (p[won.astype(int), lost.astype(int)] <= threshold)
        return np.where(exceeds.any(-1), exceeds.argmax(-1), len(hits))

    here = first(*both.sum(-1)[:, None])[0]
    drawn = first(*(bootstrap.resamples(n) @ counts.T for counts in both))
    low, high = bootstrap.ends(drawn[:, None].astype(float))
    return int(here), int(low[0]), int(high[0])

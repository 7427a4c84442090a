"""Separation of two sets of pairs of words: AUC with its interval over words, and Cohen's d.

The AUC is the share of (pair of the class, other pair) in which the first is more similar, a tie counting
half: Mann and Whitney's U over n m. Pairs share words, so that the bootstrap draws words, on both sides
independently, and a pair counts as often as its two words are drawn together: the pigeonhole bootstrap of
Owen (2007, Annals of Applied Statistics 1:386), whose intervals are if anything too wide.
"""

import numpy as np
from jaxtyping import Float, Int

from isogloss.kernels import bootstrap

FEWEST_DRAWS = 0.95
"""Share of the resamples that must hold pairs of both sets, or there is no interval."""
_BLOCK = 4_000_000  # weights of other pairs in memory at once


def auc(
    scores: Float[np.ndarray, " n"],
    others: Float[np.ndarray, " m"],
    weights: Float[np.ndarray, "R n"],
    other_weights: Float[np.ndarray, "R m"],
) -> Float[np.ndarray, " R"]:
    """AUC of scores against others, once for each row of weights; NaN where a set weighs nothing."""
    order = np.argsort(others, kind="stable")
    below, upto = (np.searchsorted(others[order], scores, side) for side in ("left", "right"))
    summed = np.zeros((len(other_weights), len(others) + 1))
    np.cumsum(other_weights[:, order], axis=1, out=summed[:, 1:])
    wins = (weights * (summed[:, below] + summed[:, upto])).sum(1) / 2
    total = weights.sum(1) * summed[:, -1]
    return np.divide(wins, total, out=np.full(len(total), np.nan), where=total > 0)


def interval(
    scores: Float[np.ndarray, " n"],
    others: Float[np.ndarray, " m"],
    pairs: Int[np.ndarray, "n 2"],
    other_pairs: Int[np.ndarray, "m 2"],
    times: Int[np.ndarray, " m"],
    sizes: tuple[int, int],
) -> tuple[float, float]:
    """95% interval of the AUC over resampled words; NaN if too few resamples hold pairs of both sets.

    Args:
      scores: of the pairs of a class.
      others: of other pairs.
      pairs: word of a and word of b of each pair.
      other_pairs: of each other pair.
      times: how often each other pair counts.
      sizes: numbers of words of a and of b.
    """
    drawn = [bootstrap.resamples(n, side) for side, n in enumerate(sizes)]
    rows = max(1, _BLOCK // max(1, len(others)))
    found = []
    for first in range(0, bootstrap.RESAMPLES, rows):
        x, y = (side[first : first + rows] for side in drawn)
        weights = x[:, pairs[:, 0]] * y[:, pairs[:, 1]]
        other_weights = x[:, other_pairs[:, 0]] * y[:, other_pairs[:, 1]] * times.astype(np.float32)
        found.append(auc(scores, others, weights, other_weights))
    values = np.concatenate(found)
    if np.isfinite(values).mean() < FEWEST_DRAWS:
        return np.nan, np.nan
    tail = (1 - bootstrap.CONFIDENCE) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def cohens_d(
    scores: Float[np.ndarray, " n"], others: Float[np.ndarray, " m"], times: Int[np.ndarray, " m"]
) -> float:
    """Difference of the means over the root of the mean of both variances; NaN without two pairs of each.

    Cohen (1988, Statistical Power Analysis, Eq. 2.3.2): both variances weigh the same, however many others
    there are.
    """
    if len(scores) < 2 or times.sum() < 2:
        return np.nan
    mean = float(np.average(others, weights=times))
    spread = float((times * (others - mean) ** 2).sum() / (times.sum() - 1))
    scale = np.sqrt((scores.var(ddof=1) + spread) / 2)
    return float((scores.mean() - mean) / scale) if scale > 0 else np.nan

"""R@1 of challenge sets in two forms, beside what the full set gives at that size, and after random removal.

Of n sentences m are kept. In the form `queries` only queries are removed and all candidates stay, so chance
stays 1 / n. In the form `both` candidates are removed with them, as in Shim et al. (arXiv 2505.19606), and
fewer candidates are easier by themselves: R@1 must be compared with E_m, the exact expectation of the full
set's R@1 among m candidates. A tie counts against the right answer.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from isogloss.engine.retrieval import metrics
from isogloss.kernels import bootstrap

FORMS = ("queries", "both")
DRAWS = 400
"""Random removals of the band."""
_ENDS = [round((1 + side * bootstrap.CONFIDENCE) / 2, 9) for side in (-1, 1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers to the queries of a full set, in one direction.

    Attributes:
      ranks: of the right answers.
      better: by query and candidate: whether another candidate scores at least as well as the right one.
    """

    ranks: Int[np.ndarray, " n"]
    better: Bool[np.ndarray, "n n"]

    @property
    def hits(self) -> Bool[np.ndarray, " n"]:
        """True for queries that find their answer among all candidates."""
        return self.ranks == 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """R@1 of a challenge set, NaN if nothing is kept.

    Attributes:
      recall: R@1 of the queries kept.
      low: of its 95% interval, over the queries kept.
      high: as `low`.
      expected: of all queries at the same number of candidates: R@1 in the form `queries`, E_m in `both`.
      difference: `recall` - `expected`.
      difference_low: of its 95% interval; both are computed of the same resampled sentences.
      difference_high: as `difference_low`.
      random_low: 2.5% quantile of R@1 where as many random sentences are removed.
      random_high: its 97.5% quantile.
    """

    recall: float
    low: float
    high: float
    expected: float
    difference: float
    difference_low: float
    difference_high: float
    random_low: float
    random_high: float


def answers(scores: Float[np.ndarray, "n n"]) -> tuple[Answers, Answers]:
    """Answers of rows as queries, and of columns; a larger score is closer."""
    made = []
    for matrix in (scores, scores.T):
        better = matrix >= np.diagonal(matrix)[:, None]
        # The right answer is as good as itself.
        np.fill_diagonal(better, False)
        made.append(Answers(ranks=better.sum(1) + 1, better=better))
    return made[0], made[1]


def hits_of(found: Answers, kept: Bool[np.ndarray, " n"], form: str) -> Bool[np.ndarray, " n"]:
    """True for the kept queries that find their answer."""
    if form == "queries":
        return found.hits & kept
    return kept & ~(found.better[:, kept].any(1))


def figures(found: Sequence[Answers], kept: Bool[np.ndarray, " n"], form: str) -> list[Figures]:
    """R@1 of a challenge set in one of `FORMS`, for each of several score matrices of the same sentences.

    They share resamples and random removals, which are most of the work.
    """
    names = [field.name for field in dataclasses.fields(Figures)]
    if not kept.any():
        return [Figures(**dict.fromkeys(names, np.nan)) for _ in found]
    m = int(kept.sum())
    hits = np.stack([hits_of(each, kept, form) for each in found])
    ranks = np.stack([each.ranks for each in found])
    chances = metrics.chances_of(ranks, m if form == "both" else len(kept))
    columns = (
        hits[:, kept].mean(1),
        *metrics.interval(hits[:, kept]),
        chances.mean(1),
        *paired_difference(hits, kept, chances),
        *_random_recall(found, m, form),
    )
    made = zip(*(column.tolist() for column in columns), strict=True)
    return [Figures(**dict(zip(names, values, strict=True))) for values in made]


def paired_difference(
    hits: Bool[np.ndarray, "K n"], kept: Bool[np.ndarray, " n"], chances: Float[np.ndarray, "K n"]
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Differences of R@1 of the queries kept and the means of all queries' chances, with 95% intervals.

    Each resample of the n sentences gives both. Resamples without a kept query are left out.
    """
    counts = bootstrap.resamples(len(kept))
    # Counts stay below 2^24, so products in float32, which are faster, are exact.
    there = (counts @ kept.astype(np.float32)).astype(np.float64)
    some = there > 0
    of_kept = (counts @ hits.T.astype(np.float32))[some] / there[some, None]
    drawn = of_kept - (counts @ chances.T)[some] / len(kept)
    low, high = np.quantile(drawn, _ENDS, axis=0, method="inverted_cdf")
    return hits[:, kept].mean(1) - chances.mean(1), low, high


def _random_recall(
    found: Sequence[Answers], m: int, form: str
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Quantiles of R@1 of m random sentences: what removal of as many does by itself."""
    subsets = random_subsets(len(found[0].ranks), m)
    if form == "both":
        # How many candidates of a subset beat the right answer of each query; at 0 it is found.
        beaten = (subsets @ each.better.T.astype(np.float32) for each in found)
        hits = np.stack([(subsets * (each == 0)).sum(1) for each in beaten], axis=1)
    else:
        hits = subsets @ np.stack([each.hits for each in found], axis=1).astype(np.float32)
    low, high = np.quantile(hits.astype(np.float64) / m, _ENDS, axis=0, method="inverted_cdf")
    return low, high


@functools.lru_cache(maxsize=64)
def random_subsets(n: int, m: int) -> Float32[np.ndarray, "R n"]:
    """`DRAWS` subsets of m of n sentences, 1 where a sentence is in."""
    # Of the sizes alone, so that sets of equal size share their draws and differ by nothing else.
    order = np.random.default_rng([bootstrap.SEED, n, m]).random((DRAWS, n)).argsort(1)
    return (order < m).astype(np.float32)

"""Retrieval figures of language pairs, such as R@1, the share of queries whose nearest sentence is right.

Pure NumPy. One pair with 34 states, 5 measures and 350 sentences takes about 0.1 s, most of it comparisons. A
tie counts against us: a rank is the number of candidates that score at least as well as the right one, itself
included. Only sentences that both languages have take part, as queries and as candidates, so chance is 1 / n.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from isogloss.engine.retrieval.scorings import scoring
from isogloss.engine.runtime.refusal import Refusal
from isogloss.kernels import bootstrap

FIGURES = ("recall_at_1", "recall_at_5", "mrr", "mutual_nn", "ci_low", "ci_high", "p", "recall_at_1_of")
"""Figures that follow from ranks alone."""
SHAPE_FIGURES = ("dali", "dali_s", "hubness", "hub_queries", "matched", "mismatched")
"""Figures that need the scores, too: of `dali`, of `corrections` (hubs) and of `pair_metrics` (levels)."""
ALL_FIGURES = (*FIGURES, *SHAPE_FIGURES)
CANDIDATES = 100
"""Number of candidates that `recall_at_1_of` is given for by default."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """All retrieval figures of a grid.

    Axes: P pairs, S states, M scorings, 2 directions (a->b, then b->a), F as `ALL_FIGURES`.

    Attributes:
      pairs: (language_a, language_b), in the grid's order.
      states: names, "0" to "final".
      measures: names of the scorings: measures, and measures with a correction, "seqsim+csls".
      n: number of sentences that both languages have.
      computed: False where the grid has no scores yet.
      values: fractions from 0 to 1; NaN where not computed and where n is 0.
    """

    pairs: tuple[tuple[str, str], ...]
    states: tuple[str, ...]
    measures: tuple[str, ...]
    n: Int[np.ndarray, " P"]
    computed: Bool[np.ndarray, "P S M"]
    values: Float[np.ndarray, "P S M 2 F"]

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages in the order in which the pairs name them."""
        return tuple(dict.fromkeys(language for pair in self.pairs for language in pair))

    @property
    def depths(self) -> list[float]:
        """Depth of each state in blocks; the final LayerNorm is drawn half a block after the last one."""
        return depths(self.states)

    def figure(self, name: str) -> Float[np.ndarray, "P S M 2"]:
        """Values of one of `ALL_FIGURES`."""
        return self.values[..., ALL_FIGURES.index(name)]

    @property
    def chance(self) -> float:
        """Chance at the mean number of common sentences of pairs that have some; NaN if none has."""
        return float(chance(self.n[self.n > 0].mean())) if self.n.any() else np.nan

    @property
    def uncorrected(self) -> "Results":
        """The same figures of the measures without a correction."""
        plain = [m for m, name in enumerate(self.measures) if scoring(name).correction == "none"]
        return dataclasses.replace(
            self,
            measures=tuple(self.measures[m] for m in plain),
            computed=self.computed[:, :, plain],
            values=self.values[:, :, plain],
        )

    def matrix(self, figure: str, measure: str, state: int) -> Float[np.ndarray, "L L"]:
        """Matrix of one figure, row = query language, column = candidate language; NaN where unknown."""
        position = {language: i for i, language in enumerate(self.languages)}
        a = [position[pair[0]] for pair in self.pairs]
        b = [position[pair[1]] for pair in self.pairs]
        values = self.figure(figure)[:, state, self.measures.index(measure)]
        matrix = np.full((len(position), len(position)), np.nan)
        matrix[a, b] = values[:, 0]
        matrix[b, a] = values[:, 1]
        return matrix

    def best_state(self, measure: str) -> int | None:
        """State of the highest mean R@1 over pairs and directions, the first on a tie."""
        values = self.figure("recall_at_1")[:, :, self.measures.index(measure)]
        by_state = np.moveaxis(values, 1, 0).reshape(len(self.states), -1)
        return _argmax(known_mean(by_state))

    def best_state_of_pair(self, pair: int, measure: str) -> int | None:
        """State of the highest mean R@1 over the directions of one pair, the first on a tie."""
        values = self.figure("recall_at_1")[pair, :, self.measures.index(measure)]
        return _argmax(known_mean(values))


def chance(n: int | np.number | Int[np.ndarray, "*K"]) -> np.number | Float[np.ndarray, "*K"]:
    """R@1 of guessing among n candidates, 1 / n; NaN where n is 0."""
    # NaN instead of a division by 0, which would warn.
    return 1 / np.where(np.asarray(n) > 0, n, np.nan)


def depths(states: Sequence[str]) -> list[float]:
    """Depth of each state in blocks; the final LayerNorm is drawn half a block after the last one."""
    last = max((int(name) for name in states if name.isdecimal()), default=0)
    return [float(name) if name.isdecimal() else last + 0.5 for name in states]


def gold_ranks(scores: Float[np.ndarray, "Q Q"], n: int, *, cost: bool) -> Int[np.ndarray, "2 n"]:
    """Rank, 1 to n, of the right answer to each common sentence: row [0], column [1] as query.

    Args:
      scores: row = sentence of language a, column = the same sentences in b; a sentence that a
        language lacks is a row or a column of NaN.
      n: number of sentences that both languages have, at least 1.
      cost: smaller is better.

    Raises:
      Refusal: the scores are of more or fewer sentences, or have a gap between two of them.
    """
    known = between(scores, common_sentences(scores, n))
    return ranks(-known if cost else known)


def common_sentences(scores: Float[np.ndarray, "Q Q"], n: int) -> Bool[np.ndarray, " Q"]:
    """True for the sentences that both languages have; Refusal if they aren't n."""
    known = ~np.isnan(scores)
    # A sentence that a language lacks is a whole row or column of NaN; single NaN are damage.
    common = np.logical_and(known.any(1), known.any(0))
    if (found := int(common.sum())) != n:
        raise Refusal(f"both languages must have {n} sentences (n_common), scores are of {found}")
    return common


def between(scores: Float[np.ndarray, "Q Q"], common: Bool[np.ndarray, " Q"]) -> Float[np.ndarray, "n n"]:
    """Scores between common sentences; Refusal if one of them is NaN."""
    known = scores[common][:, common]  # np.ix_ takes six times as long
    if np.isnan(known).any():
        raise Refusal("scores between common sentences must be numbers, there are NaN")
    return known


def ranks(scores: Float[np.ndarray, "n n"]) -> Int[np.ndarray, "2 n"]:
    """Ranks of `gold_ranks` from scores without NaN, where larger is better."""
    gold = np.diagonal(scores)
    # The right one counts itself, so the best rank is 1.
    as_good = scores >= gold[:, None], scores >= gold[None, :]
    return np.stack([as_good[0].sum(1, dtype=np.int32), as_good[1].sum(0, dtype=np.int32)])


def figures(ranks: Int[np.ndarray, "S M 2 n"], candidates: int = CANDIDATES) -> Float[np.ndarray, "S M 2 F"]:
    """`FIGURES` of ranks, n >= 1.

    mutual_nn is the share of sentences of rank 1 in both directions: each is the other's nearest
    neighbour with no tie. It is the same number for both. p is the probability of at least as many
    hits where every query guesses, `binom.sf(hits - 1, n, 1 / n)`.

    Args:
      ranks: of the right answers, 1 to n.
      candidates: number of candidates that recall_at_1_of is for.
    """
    n = ranks.shape[-1]
    hits = ranks == 1
    low, high = interval(hits.reshape(-1, n))
    mutual = np.broadcast_to(hits.all(2, keepdims=True).mean(-1), hits.shape[:3])
    columns = (
        hits.mean(-1),
        (ranks <= 5).mean(-1),
        (1.0 / ranks).mean(-1),
        mutual,
        low.reshape(hits.shape[:3]),
        high.reshape(hits.shape[:3]),
        # All n + 1 values once: SciPy's law is slow, and there are thousands of cells.
        stats.binom.sf(np.arange(n + 1) - 1, n, 1 / n)[hits.sum(-1)],
        recall_of(ranks, candidates),
    )
    return np.stack(columns, axis=-1)


def recall_of(ranks: Int[np.ndarray, "*K n"], candidates: int) -> Float[np.ndarray, "*K"]:
    """Exact expectation of R@1 among the answer and `candidates` - 1 others drawn from the n - 1 there are.

    `E_m = mean_i C(n - r_i, m - 1) / C(n - 1, m - 1)`: no candidate that scores at least as well may be
    drawn. With it, grids of different n can be compared. NaN if there are fewer than m candidates.
    """
    return chances_of(ranks, candidates).mean(-1)


def chances_of(ranks: Int[np.ndarray, "*K n"], candidates: int) -> Float[np.ndarray, "*K n"]:
    """Probability of each query to find its answer among `candidates`; see `recall_of`, which is its mean."""
    n = ranks.shape[-1]
    if n < candidates:
        return np.full(ranks.shape, np.nan)
    # The share for rank r + 1 is that for rank r, times (n - r - m + 1) / (n - r); no factorial overflows.
    r = np.arange(1, n)
    steps = np.maximum(n - r - candidates + 1, 0) / (n - r)
    return np.concatenate([[1.0], np.cumprod(steps)])[ranks - 1]


def interval(hits: Bool[np.ndarray, "K n"]) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """95% interval of each row's mean: percentile bootstrap over `bootstrap.RESAMPLES` draws of n sentences.

    Rows share their draws, so states and measures are compared on equal ones. The ends are
    attained values k / n (NumPy's quantile method "inverted_cdf"). Where all or no sentences
    hit, a bootstrap has nothing to vary and would give a point; these rows get Wilson's interval
    (1927), which stays inside 0 and 1: from 0 to 6% for 0 of 60.
    """
    n = hits.shape[1]
    low, high = bootstrap.ends(bootstrap.resamples(n) @ hits.T.astype(np.float32))  # < 2^24: exact
    count = hits.sum(1)
    return (
        np.where(count == n, 1 - outside(n), low.astype(np.float64) / n),
        np.where(count == 0, outside(n), high.astype(np.float64) / n),
    )


def outside(n: int | Int[np.ndarray, "*K"]) -> np.number | Float[np.ndarray, "*K"]:
    """Far end of Wilson's 95% interval (1927) of 0 of n, `z^2 / (n + z^2)`; mirrored at n of n."""
    z = stats.norm.ppf((1 + bootstrap.CONFIDENCE) / 2)
    return z**2 / (np.asarray(n) + z**2)


def known_mean(values: Float[np.ndarray, "*K n"]) -> Float[np.ndarray, "*K"]:
    """Mean of the numbers that are not NaN along the last axis; NaN, without a warning, if all are."""
    known = ~np.isnan(values)
    count = known.sum(-1)
    total = np.where(known, values, 0.0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _argmax(values: Float[np.ndarray, " K"]) -> int | None:
    return None if np.isnan(values).all() else int(np.nanargmax(values))

"""Retrieval figures of language pairs, such as R@1, the share of queries whose nearest sentence is right.

Pure NumPy. One pair with 34 states, 5 measures and 350 sentences takes about 0.1 s, most of it comparisons. A
tie counts against us: a rank is the number of candidates that score at least as well as the right one, itself
included. Only sentences that both languages have take part, as queries and as candidates, so chance is 1 / n.
Precision and recall swap on the way back from b to a, see `directed`.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from isogloss.engine.retrieval.measures import MEASURES, reported
from isogloss.engine.runtime.refusal import Refusal
from isogloss.kernels import bootstrap

FIGURES = ("recall_at_1", "recall_at_5", "mrr", "mutual_nn", "ci_low", "ci_high")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """All retrieval figures of a grid.

    Axes: P pairs, S states, M measures, 2 directions (a->b, then b->a), F as `FIGURES`.

    Attributes:
      pairs: (language_a, language_b), in the grid's order.
      states: names, "0" to "final".
      measures: names, in the grid's order.
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

    def figure(self, name: str) -> Float[np.ndarray, "P S M 2"]:
        """Values of one of `FIGURES`."""
        return self.values[..., FIGURES.index(name)]

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
    known = ~np.isnan(scores)
    common = known.any(1) & known.any(0)
    if (found := int(common.sum())) != n:
        raise Refusal(f"both languages must have {n} sentences (n_common), scores are of {found}")
    scores = scores[common][:, common]  # np.ix_ takes six times as long
    if np.isnan(scores).any():
        raise Refusal("scores between common sentences must be numbers, there are NaN")
    if cost:
        scores = -scores
    gold = np.diagonal(scores)
    as_good = scores >= gold[:, None], scores >= gold[None, :]
    return np.stack([as_good[0].sum(1, dtype=np.int32), as_good[1].sum(0, dtype=np.int32)])


def directed(
    ranks: Int[np.ndarray, "S A 2 n"], computed: Bool[np.ndarray, "S A"], arrays: tuple[str, ...]
) -> tuple[Int[np.ndarray, "S M 2 n"], Bool[np.ndarray, "S M"]]:
    """Ranks by reported measure and direction (a->b, b->a), made from ranks by array of the grid.

    SeqSim's precision asks how well the frames of the *query* are covered. With b as the query
    that is recall(a, b) transposed: precision b->a reads the columns of the array `recall`, and
    recall b->a those of `precision`. A measure is computed where both arrays it needs are.
    """
    measures = reported(arrays)
    forward = [arrays.index(measure) for measure in measures]
    backward = [arrays.index(MEASURES[measure].backward) for measure in measures]
    both = np.stack([ranks[:, forward, 0], ranks[:, backward, 1]], axis=2)
    return both, computed[:, forward] & computed[:, backward]


def figures(ranks: Int[np.ndarray, "S M 2 n"]) -> Float[np.ndarray, "S M 2 F"]:
    """`FIGURES` of ranks, n >= 1.

    mutual_nn is the share of sentences of rank 1 in both directions: each is the other's nearest
    neighbour with no tie. It is the same number for both.
    """
    hits = ranks == 1
    low, high = interval(hits.reshape(-1, hits.shape[-1]))
    mutual = np.broadcast_to(hits.all(2, keepdims=True).mean(-1), hits.shape[:3])
    columns = (
        hits.mean(-1),
        (ranks <= 5).mean(-1),
        (1.0 / ranks).mean(-1),
        mutual,
        low.reshape(hits.shape[:3]),
        high.reshape(hits.shape[:3]),
    )
    return np.stack(columns, axis=-1)


def interval(hits: Bool[np.ndarray, "K n"]) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Percentile bootstrap interval of each row's mean, over `bootstrap.RESAMPLES` draws of n sentences.

    Rows share their draws, so states and measures are compared on equal ones. The ends are
    attained values k / n (NumPy's quantile method "inverted_cdf"). Where all or no sentences
    hit, a bootstrap has nothing to vary and the interval is a point.
    """
    n = hits.shape[1]
    low, high = bootstrap.ends(bootstrap.resamples(n) @ hits.T.astype(np.float32))  # < 2^24: exact
    return low.astype(np.float64) / n, high.astype(np.float64) / n


def known_mean(values: Float[np.ndarray, "*K n"]) -> Float[np.ndarray, "*K"]:
    """Mean of the numbers that are not NaN along the last axis; NaN, without a warning, if all are."""
    known = ~np.isnan(values)
    count = known.sum(-1)
    total = np.where(known, values, 0.0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _argmax(values: Float[np.ndarray, " K"]) -> int | None:
    return None if np.isnan(values).all() else int(np.nanargmax(values))

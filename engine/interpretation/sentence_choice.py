"""Choice of the sentence pairs that are compared word by word: gold pairs, or the retrieved ones.

Only sentences of both languages count, as in the retrieval table, and ties count against us as they do there:
if the right sentence shares the best score, the first of the others is retrieved. So the share of gold pairs
among the retrieved ones equals the table's R@1.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from isogloss.engine.runtime.refusal import Refusal


class SentencePair(NamedTuple):
    """A sentence of A and one of B, by index in the grid, with the grid's score."""

    query: int
    candidate: int
    score: float


def choose(scores: Float[np.ndarray, "Q Q"], how: str) -> list[SentencePair]:
    """The pair of every query that both languages have, in the grid's order.

    Args:
      scores: larger is closer; a sentence that a language lacks is a row or column of NaN.
      how: "gold" takes the same sentence, "retrieved" the best candidate.

    Raises:
      Refusal: scores between common sentences have gaps.
    """
    known = ~np.isnan(scores)
    common = np.flatnonzero(known.any(1) & known.any(0))
    if np.isnan(scores[np.ix_(common, common)]).any():
        raise Refusal("scores between common sentences must be numbers, some are NaN")
    pairs = []
    for query in map(int, common):
        candidate = query if how == "gold" else _best(scores[query], common, query)
        pairs.append(SentencePair(query, candidate, float(scores[query, candidate])))
    return pairs


def _best(row: Float[np.ndarray, " Q"], common: np.ndarray, gold: int) -> int:
    best = common[row[common] == row[common].max()]
    others = best[best != gold]  # a tie counts against us
    return int(others[0]) if others.size else int(gold)

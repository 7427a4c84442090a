"""Choice of the sentences that are compared word by word: gold pairs, or those that retrieval finds.

Only sentences that both languages have take part, as in the retrieval table. There a tie counts against us;
here it does too: where the right sentence shares the best score, the first of the others is retrieved. So
the share of gold pairs among those retrieved is the table's R@1.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from isogloss.engine.runtime.refusal import Refusal

SENTENCES = ("retrieved", "gold")


class SentencePair(NamedTuple):
    """A sentence pair, by its places in the grid.

    Attributes:
      query: of language A.
      candidate: of language B.
      score: of the grid.
    """

    query: int
    candidate: int
    score: float


def choose(scores: Float[np.ndarray, "Q Q"], how: str) -> list[SentencePair]:
    """The pair of every query that both languages have, in the grid's order.

    Args:
      scores: larger is closer; a sentence that a language lacks is a row or a column of NaN.
      how: "gold" takes the same sentence, "retrieved" the best candidate.

    Raises:
      Refusal: scores between common sentences have gaps.
    """
    known = ~np.isnan(scores)
    common = np.flatnonzero(known.any(1) & known.any(0))
    if np.isnan(scores[np.ix_(common, common)]).any():
        raise Refusal("scores between common sentences must be numbers, there are NaN")
    pairs = []
    for query in map(int, common):
        candidate = query if how == "gold" else _best(scores[query], common, query)
        pairs.append(SentencePair(query, candidate, float(scores[query, candidate])))
    return pairs


def _best(row: Float[np.ndarray, " Q"], common: np.ndarray, gold: int) -> int:
    best = common[row[common] == row[common].max()]
    others = best[best != gold]
    return int(others[0]) if others.size else int(gold)

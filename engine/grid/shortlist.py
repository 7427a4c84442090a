"""Shortlists: SeqSim's best candidates of each query, which transport then orders.

Transport costs more than SeqSim, and where both rank alike at the top, the best few of SeqSim are all that it
need be computed for. A grid made so holds transport for a pair of utterances if either is on the other's
shortlist, and NaN elsewhere; each direction orders its own shortlists.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

SHORTLISTING, RERANKING = "seqsim", "transport"
BEST = 20
"""Candidates on a shortlist where a grid has transport for all of them."""
_BELOW = 4.0
"""Taken off what isn't on a shortlist: costs of transport lie in [0, 2], an arcus tangent within 1.6 of 0."""


def shortlists(scores: Float[np.ndarray, "Q C"], best: int) -> Bool[np.ndarray, "Q C"]:
    """True for the best candidates of each query; where they tie with the last one, for more.

    Args:
      scores: larger is closer; NaN is on no list.
      best: number of candidates, at least 1.
    """
    # np.partition puts NaN last, among the best.
    known = np.where(np.isnan(scores), -np.inf, scores)
    last = max(0, scores.shape[1] - best)
    least = np.partition(known, last, axis=1)[:, last] if scores.size else known[:, :0].sum(axis=1)
    return (known >= least[:, None]) & ~np.isnan(scores)


def either(scores: Float[np.ndarray, "Q C"], best: int) -> Bool[np.ndarray, "Q C"]:
    """Pairs of which one is on the other's shortlist."""
    return shortlists(scores, best) | shortlists(scores.T, best).T


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shortlisting:
    """Choice of the pairs of utterances of two languages that transport is computed for.

    Attributes:
      best: candidates on a shortlist.
      rows: utterances of A whose sentences B has; the report ranks no others.
      columns: utterances of B whose sentences A has.
    """

    best: int
    rows: Int[np.ndarray, " n"]
    columns: Int[np.ndarray, " n"]

    def chosen(self, scores: Float[np.ndarray, "U V"]) -> Bool[np.ndarray, "U V"]:
        """Pairs of which one is on the other's shortlist."""
        found, block = np.zeros(scores.shape, bool), np.ix_(self.rows, self.columns)
        found[block] = either(scores[block], self.best)
        return found


def reranked(
    scores: Float[np.ndarray, "Q C"], costs: Float[np.ndarray, "Q C"], best: int
) -> Float[np.ndarray, "Q C"]:
    """Scores that order each query's shortlist by the cost, and all else after it as it was.

    On the shortlist it is the cost, negative; elsewhere atan(score) - 4, because F1 may have no bound. A
    candidate without a cost counts as not on the list.
    """
    listed = shortlists(scores, best) & ~np.isnan(costs)
    return np.where(
        listed, -np.asarray(costs, np.float64), np.arctan(np.asarray(scores, np.float64)) - _BELOW
    )

"""Alignment of two languages by their neurons: NeuronXA, and R@1 of the same cosines.

A sentence is a vector of one statistic of all neurons of a block. NASCA compares the rate at which neurons
are above 0, NAVCA how strongly they answer; both are the share of sentences that are each other's nearest,
mean over blocks. Source: NeuronXA, arXiv 2507.14900; the rate is that of MEXA, arXiv 2410.05873.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from isogloss.kernels.unit_vectors import unit_vectors

INDICES = {"rate": "NASCA", "magnitude": "NAVCA"}
"""Names that the paper gives to the mean over blocks, by statistic."""
WEIGHTS = ("uniform", "depth")


class Alignment(NamedTuple):
    """Figures of one block, or a mean of several; NaN of fewer than two sentences.

    Attributes:
      mutual_nn: share of sentences whose cosine exceeds all others of both their row and their column.
      recall_at_1: R@1 from a to b; a tie counts as an error.
      recall_at_1_back: from b to a.
    """

    mutual_nn: float
    recall_at_1: float
    recall_at_1_back: float


def alignment(x: Float[np.ndarray, "n F"], y: Float[np.ndarray, "n F"]) -> Alignment:
    """Alignment of the same sentences in two languages."""
    # Float64, because rates that are rounded may tie where they are equal.
    units = [np.asarray(unit_vectors(side.astype(np.float64))) for side in (x, y)]
    return of_scores(units[0] @ units[1].T)


def of_scores(scores: Float[np.ndarray, "n n"]) -> Alignment:
    """Alignment by any scores, of which a larger one is closer."""
    if len(scores) < 2:
        return Alignment(np.nan, np.nan, np.nan)
    own = np.diagonal(scores)
    others = np.where(np.eye(len(scores), dtype=bool), -np.inf, scores)
    there, back = own > others.max(axis=1), own > others.max(axis=0)
    return Alignment(*(float(np.mean(found)) for found in (there & back, there, back)))


def centred(x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "n F"]:
    """Vectors of one language less their mean over all its sentences."""
    wide = x.astype(np.float64)
    return wide - wide.mean(axis=0)


def mean(blocks: Sequence[Alignment], weights: str) -> Alignment:
    """Mean over blocks, first to last: uniform, or by `depth`, in proportion to a block's number.

    The latter is the paper's choice for models whose later layers build on all that precedes.
    """
    by_depth = np.arange(1, len(blocks) + 1)
    found = np.average(np.asarray(blocks), axis=0, weights=by_depth if weights == "depth" else None)
    return Alignment(*found.tolist())

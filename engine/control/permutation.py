"""QAP test of each factor by double semi-partialing (Dekker, Krackhardt, Snijders 2007, Psychometrika 72).

What the other factors don't explain of a factor is permuted, rows and columns by the same order, and takes
the factor's place in the regression. t of the factor is compared with its t under these permutations, which
leave the dependence of cells that share a sentence as it is. Cost: a product of n^2 numbers for each
permutation, factor and score.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.control import regression
from isogloss.engine.control.regression import Matrix
from isogloss.kernels import bootstrap

_NUMBERS = 4_000_000  # of permuted residuals in memory at a time


def qap(scores: Sequence[Matrix], factors: Sequence[Matrix], permutations: int) -> Float[np.ndarray, "S F"]:
    """Two-sided p of each factor in each score, the data's own order counted as one permutation.

    NaN where the weights of `regression.fit` are: without a slope no permutation is beyond another.
    """
    n = len(factors[0])
    centre = [regression.centred(np.asarray(each, np.float64)) for each in factors]
    found = np.full((len(scores), len(factors)), np.nan)
    fitted = np.flatnonzero(np.isfinite(regression.fit(scores, factors).weights).all(1)).tolist()
    if not fitted:
        return found
    targets = np.stack([regression.centred(np.asarray(scores[s], np.float64)).ravel() for s in fitted])
    # Cells off the diagonal, less the effects of rows and columns (2n - 1) and the factors.
    freedom = n * (n - 1) - (2 * n - 1) - len(factors)
    for k, factor in enumerate(centre):
        others = np.stack([each.ravel() for j, each in enumerate(centre) if j != k] or [np.zeros(n * n)])
        # pinv, because the other factors may determine each other; what they explain is the same.
        residual = factor.ravel() - others.T @ (np.linalg.pinv(others @ others.T) @ (others @ factor.ravel()))
        own = _t(residual[None], others, targets, freedom)[0]
        # Each factor draws from its own seed, whatever the number of draws of those before it.
        rng = np.random.default_rng([bootstrap.SEED, k])
        beyond = np.zeros(len(targets))
        step, square = max(1, _NUMBERS // (n * n)), residual.reshape(n, n)
        for first in range(0, permutations, step):
            orders = rng.permuted(np.tile(np.arange(n), (min(step, permutations - first), 1)), axis=1)
            # Rows and columns in one order: a permutation renames sentences and breaks no pair of cells.
            moved = square[orders[:, :, None], orders[:, None, :]].reshape(len(orders), -1)
            # A permutation that changes nothing must count as beyond, though it is summed in another order.
            beyond += (np.abs(_t(moved, others, targets, freedom)) >= np.abs(own) * (1 - 1e-12)).sum(0)
        found[fitted, k] = (1 + beyond) / (1 + permutations)
    return found


def _t(
    moved: Float[np.ndarray, "B c"],
    others: Float[np.ndarray, "o c"],
    targets: Float[np.ndarray, "S c"],
    freedom: int,
) -> Float[np.ndarray, "B S"]:
    """Value of t of each permuted residual beside the other factors, for each score."""
    inverse = np.linalg.pinv(others @ others.T)
    with_others, with_targets = moved @ others.T, moved @ targets.T
    explained = others @ targets.T
    # By the theorem of Frisch, Waugh and Lovell: both sides without what the other factors explain.
    own = (moved * moved).sum(1) - np.einsum("bo,op,bp->b", with_others, inverse, with_others)
    cross = with_targets - with_others @ inverse @ explained
    left = (targets * targets).sum(1) - np.einsum("os,op,ps->s", explained, inverse, explained)
    slope = cross / own[:, None]
    # Rounding may leave a residual below 0 where the fit is exact.
    return slope / np.sqrt(np.maximum(left - slope * cross, 0) / freedom / own[:, None])

"""Standardised weights of factors in a score matrix: a regression on the cells off the diagonal.

Score and factors lose the means of their rows and columns over the cells off the diagonal (hubs, and what
belongs to one sentence alone), are scaled to standard deviation 1, and the score is regressed on the factors
(ordinary least squares, equal to one with a dummy for each row and each column). Cells of translations are
never fitted. What iterated removal of row and column means converges to has a closed form, and so has each
refit without one sentence: the jackknife over n sentences costs as much as some products of n x n matrices.

Cells of a matrix that share a sentence aren't independent, so standard errors come from the jackknife over
sentences (rows and columns together), `(n - 1) / n sum_k (b_k - mean b)^2`, which errs on the large side if
cells were independent (Snijders and Borgatti 1999 for networks).
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

from isogloss.kernels import bootstrap

LEAST = 8
"""Sentences below which nothing is fitted."""
_FLAT = 1e-10  # share of its spread that a matrix keeps without row and column means, below which it has none
_ROUNDING = 1e-12  # share of its norm that is rounding: constants leave less than 1e-13

Matrix = Float[np.ndarray, "n n"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """Regression of S score matrices on F factors, and the same without each of n sentences.

    Attributes:
      weights: standardised; NaN for fewer than `LEAST` sentences and where a factor or a score is constant.
      slopes: the same in units of the score for a unit of the factor.
      r_squared: share of the variance off the diagonal that the factors explain.
      vif: variance inflation factor of each factor.
      left_out: weights without each sentence.
    """

    weights: Float[np.ndarray, "S F"]
    slopes: Float[np.ndarray, "S F"]
    r_squared: Float[np.ndarray, " S"]
    vif: Float[np.ndarray, " F"]
    left_out: Float[np.ndarray, "n S F"]


def fit(scores: Sequence[Matrix], factors: Sequence[Matrix]) -> Fit:
    """Regression of each score matrix on all factors."""
    n, s, f = len(factors[0]), len(scores), len(factors)
    gram = products([*factors, *scores], f)
    inside, across = gram[:, :f, :f], np.stack([gram[:, :f, f + k] for k in range(s)], 1)
    own = np.stack([gram[:, f + k, f + k] for k in range(s)], 1)
    spread = np.sqrt(np.maximum(np.diagonal(inside, axis1=1, axis2=2), 0))
    flat = n < LEAST or (spread[0] <= [_least(each) for each in factors]).any()
    own[:, np.sqrt(np.maximum(own[0], 0)) <= [_least(each) for each in scores]] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        between = inside / (spread[:, :, None] * spread[:, None, :])
        cross = across / (spread[:, None, :] * np.sqrt(own)[:, :, None])
    # Factors that determine each other have no weights of their own; an inverse would be rounding.
    if flat or np.linalg.matrix_rank(between[0]) < f:
        nothing = np.full((s, f), np.nan)
        return Fit(
            weights=nothing, slopes=nothing, r_squared=nothing[:, 0], vif=nothing[0],
            left_out=np.full((n, s, f), np.nan),
        )  # fmt: skip
    inverse = np.linalg.inv(between)
    weights = np.einsum("kfg,ksg->ksf", inverse, cross)
    return Fit(
        weights=weights[0],
        slopes=weights[0] * np.sqrt(own[0])[:, None] / spread[0],
        r_squared=(weights[0] * cross[0]).sum(1),
        vif=np.diagonal(inverse[0]),
        left_out=weights[1:],
    )


def centred(matrix: Matrix) -> Matrix:
    """The matrix without row and column means of the cells off the diagonal, which is 0.

    The limit of removing the means of rows, then of columns, again and again: with row sums R_i, column sums
    C_j and the total T over these cells, `c_j = ((n - 1) C_j + R_j - T) / (n (n - 2))` and
    `r_i = (R_i + c_i) / (n - 1)` solve the normal equations of `r_i + c_j`, where sum c = 0.
    """
    # Translations stand on the diagonal: their scores are what the regression must not see.
    bare = np.where(np.eye(len(matrix), dtype=bool), 0.0, matrix)
    rows, columns = _effects(bare.sum(1), bare.sum(0), bare.sum(), len(bare))
    return np.where(np.eye(len(bare), dtype=bool), 0.0, bare - rows[:, None] - columns)


def products(matrices: Sequence[Matrix], first: int) -> Float[np.ndarray, "k V V"]:
    """Inner products of centred matrices, of all n sentences [0] and without sentence k - 1 [k].

    Of the first few with all, and of each with itself; others, which a regression doesn't need, are NaN.
    """
    centre = [centred(np.asarray(each, np.float64)) for each in matrices]
    left = [_without_each(each) for each in centre]
    found = np.full((len(centre[0]) + 1, len(centre), len(centre)), np.nan)
    for i, j in itertools.combinations_with_replacement(range(len(centre)), 2):
        # Scores are never compared with each other, so their products aren't made.
        if i >= first and i != j:
            continue
        x, y = centre[i], centre[j]
        whole = (x * y).sum()
        # Row and column of a sentence meet on the diagonal, which is 0, so nothing is taken off twice.
        cells = whole - (x * y).sum(1) - (x * y).sum(0)
        (rows, columns, *_), (*_, row_sums, column_sums) = left[i], left[j]
        without = cells - (rows * row_sums).sum(1) - (columns * column_sums).sum(1)
        found[:, i, j] = found[:, j, i] = np.concatenate([[whole], without])
    return found


def jackknife(
    whole: Float[np.ndarray, "S F"], left_out: Float[np.ndarray, "n S F"]
) -> tuple[Float[np.ndarray, "S F"], Float[np.ndarray, "2 S F"], Float[np.ndarray, "S F"]]:
    """Standard error, 95% interval and two-sided p (t law of n - 1 degrees) of figures by the jackknife."""
    n = len(left_out)
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean(0)) ** 2).sum(0))
    # The t law, not the normal one: with few sentences the error itself is uncertain.
    reach = stats.t.ppf((1 + bootstrap.CONFIDENCE) / 2, n - 1) * error
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * stats.t.sf(np.abs(whole / error), n - 1)
    return error, np.stack([whole - reach, whole + reach]), p


def _least(matrix: Matrix) -> float:
    """Norm up to which a centred matrix is nothing but means of rows and columns, and rounding."""
    # Both bounds are relative to the matrix, because scores and factors have any unit.
    off = np.asarray(matrix[~np.eye(len(matrix), dtype=bool)], np.float64)
    return float(max(_FLAT * np.linalg.norm(off - off.mean()), _ROUNDING * np.linalg.norm(off)))


def _effects(
    row_sums: Float[np.ndarray, "*K n"],
    column_sums: Float[np.ndarray, "*K n"],
    total: np.ndarray | float,
    n: int,
) -> tuple[Float[np.ndarray, "*K n"], Float[np.ndarray, "*K n"]]:
    """Effects of rows and of columns from their sums over the cells off the diagonal."""
    columns = ((n - 1) * column_sums + row_sums - np.asarray(total)[..., None]) / (n * (n - 2))
    return (row_sums + columns) / (n - 1), columns


def _without_each(
    matrix: Matrix,
) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Effects of rows and columns, and sums of rows and columns, without each sentence: one a line."""
    n, gone = len(matrix), np.eye(len(matrix), dtype=bool)
    row_sums, column_sums = matrix.sum(1), matrix.sum(0)
    # Line k is without sentence k: its cell leaves every other row's sum, its own row is nothing.
    rows = np.where(gone, 0.0, row_sums - matrix.T)
    columns = np.where(gone, 0.0, column_sums - matrix)
    effects = _effects(rows, columns, matrix.sum() - row_sums - column_sums, n - 1)
    r, c = (np.where(gone, 0.0, each) for each in effects)
    return r, c, rows, columns

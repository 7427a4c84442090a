"""Association of retrieval with kinship, distance on the globe and length, over pairs of languages.

Pure NumPy. The response is R@1 of both directions on the logit scale, `log((h + 1/2) / (2n - h + 1/2))` for h
hits of 2n queries. Pairs that share a language aren't independent, so p is from permuted language labels:
- mantel: one predictor alone (Mantel 1967), two-sided.
- mrqap: one predictor beside all others, "double semi-partialing" (Dekker, Krackhardt and Snijders 2007): its
  residuals on the others are permuted. Its p is that of t, of which the partial correlation is a function.

p is at least 1 / (1 + PERMUTATIONS). 102 languages, 34 states, 10 scorings and 4 predictors take about 25 s
on two cores.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float64, Int

from isogloss.kernels import bootstrap

PERMUTATIONS = 10_000
FEWEST = 6
"""Languages from which on there are tests: 5 have 120 permutations, of which p can't say much."""
_BLOCK = 500  # permutations at a time
_SLACK = 1e-5  # rounding in float32: equal correlations count as at least as large
_NOTHING = 1e-6  # share of a predictor that the others leave unexplained, below which it has no test


@dataclasses.dataclass(frozen=True, kw_only=True)
class Association:
    """Test of one predictor for all responses; NaN where the predictor or a response doesn't vary.

    Attributes:
      test: mantel or mrqap.
      predictor: its name.
      coefficient: slope of the least squares.
      correlation: Pearson's correlation; of mrqap the partial one.
      p: of the permutations, two-sided.
    """

    test: str
    predictor: str
    coefficient: Float64[np.ndarray, " K"]
    correlation: Float64[np.ndarray, " K"]
    p: Float64[np.ndarray, " K"]


def logit(hits: Float[np.ndarray, "*K"], queries: Float[np.ndarray, "*K"]) -> Float[np.ndarray, "*K"]:
    """Empirical logit of the share of hits, finite at 0 and at all."""
    return np.log((hits + 0.5) / (queries - hits + 0.5))


def associations(
    responses: Float[np.ndarray, "K L L"], predictors: Mapping[str, Float[np.ndarray, "L L"]]
) -> list[Association]:
    """Both tests of each predictor; mrqap only if there are several.

    Args:
      responses: symmetric; their diagonals aren't used.
      predictors: symmetric, by name; one that is equal for all pairs has no test.
    """
    i, j = np.triu_indices(responses.shape[-1], 1)
    y = responses[:, i, j].astype(float)
    x = {name: matrix[i, j].astype(float) for name, matrix in predictors.items()}
    x = {name: values for name, values in x.items() if np.ptp(values) > 0}
    orders = _permutations(responses.shape[-1])
    found = [_tested("mantel", name, y, values, [], orders) for name, values in x.items()]
    for name, values in x.items() if len(x) > 1 else ():
        others = [other for key, other in x.items() if key != name]
        found.append(_tested("mrqap", name, y, values, others, orders))
    return found


def _permutations(size: int) -> Int[np.ndarray, "R L"]:
    """Random orders of languages, equal for all tests."""
    rng = np.random.default_rng(bootstrap.SEED)
    return rng.permuted(np.tile(np.arange(size), (PERMUTATIONS, 1)), axis=1)


def _tested(
    test: str,
    name: str,
    y: Float[np.ndarray, "K P"],
    x: Float[np.ndarray, " P"],
    others: list[Float[np.ndarray, " P"]],
    orders: Int[np.ndarray, "R L"],
) -> Association:
    """Partial correlation of x with each response beside a constant and other predictors, and its p."""
    basis, _ = np.linalg.qr(np.stack([np.ones_like(x), *others], axis=-1))

    def left(values: Float[np.ndarray, "*K P"]) -> Float[np.ndarray, "*K P"]:
        return values - (values @ basis) @ basis.T

    rest, left_y = left(x), left(y)
    nothing = np.full(len(y), np.nan)
    if (rest**2).sum() <= _NOTHING * ((x - x.mean()) ** 2).sum():  # the others say all of it
        return Association(test=test, predictor=name, coefficient=nothing, correlation=nothing, p=nothing)
    unit_y = _unit(left_y)
    observed = unit_y @ _unit(rest)
    as_far = np.zeros(len(y))
    i, j = np.triu_indices(orders.shape[1], 1)
    matrix = np.zeros((orders.shape[1],) * 2, np.float32)
    matrix[i, j] = matrix[j, i] = rest
    low_basis, low_y = basis.astype(np.float32), unit_y.astype(np.float32)
    for start in range(0, len(orders), _BLOCK):
        block = orders[start : start + _BLOCK]
        moved = matrix[block[:, i], block[:, j]]
        moved -= (moved @ low_basis) @ low_basis.T
        drawn = low_y @ _unit(moved).T
        as_far += (np.abs(drawn) >= np.abs(observed)[:, None] - _SLACK).sum(1)
    return Association(
        test=test,
        predictor=name,
        coefficient=left_y @ rest / (rest**2).sum(),
        correlation=observed,
        p=np.where(np.isnan(observed), np.nan, (1 + as_far) / (1 + len(orders))),
    )


def _unit(values: Float[np.ndarray, "*K P"]) -> Float[np.ndarray, "*K P"]:
    """Rows divided by their lengths; NaN where a row is 0 up to rounding."""
    length = np.sqrt((values**2).sum(-1, keepdims=True))
    return values / np.where(length > 1e-9, length, np.nan)

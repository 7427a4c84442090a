"""Linear maps from the states of one language to those of another, learnt on sentences of both.

Pure NumPy, float64. States are centred by the means of the sentences that a map is learnt on, never by those
it is tested on. There are mostly fewer such sentences than features, so ridge regression is solved in its
dual form, with matrices of sentences by sentences.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import linalg

from isogloss.engine.retrieval import metrics
from isogloss.kernels.unit_vectors import unit_vectors

PENALTIES = 10.0 ** np.arange(-4, 2.5, 0.5)
"""Penalties of ridge regression to choose from, multiples of the mean squared length of a centred state."""
MAPS = ("centred", "procrustes", "ridge")
"""The first isn't a map: both languages' means are removed, and nothing else is learnt."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearMap:
    """Map of the states of one language into the space of another.

    Attributes:
      mean: mean of the source's training sentences.
      matrix: what centred states are multiplied with; None leaves them as they are.
      penalty: of ridge regression, a multiple as in `PENALTIES`; NaN of others.
    """

    mean: Float[np.ndarray, " D"]
    matrix: Float[np.ndarray, "D D"] | None = None
    penalty: float = np.nan

    def apply(self, states: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
        """Mapped states, in the type of the mean."""
        moved = states.astype(self.mean.dtype) - self.mean
        return moved if self.matrix is None else moved @ self.matrix

    @property
    def single(self) -> "LinearMap":
        """The same map in float32, for frames."""
        matrix = None if self.matrix is None else self.matrix.astype(np.float32)
        return dataclasses.replace(self, mean=self.mean.astype(np.float32), matrix=matrix)


def fit(kind: str, x: Float[np.ndarray, "n D"], y: Float[np.ndarray, "n D"], parts: int) -> LinearMap:
    """Map learnt on the rows of x and y, which are of the same sentences.

    Args:
      kind: one of `MAPS`.
      x: states of the source, in the order of `folds.shuffled`.
      y: of the target, which has to be centred by its own mean of these sentences.
      parts: parts of the sentences, one of which chooses the penalty of ridge regression.
    """
    # Sums of products over hundreds of sentences need more bits than states have.
    x, y = (side.astype(np.float64) for side in (x, y))
    mean = x.mean(0)
    if kind == "centred":
        return LinearMap(mean=mean)
    centred = x - mean, y - y.mean(0)
    if kind == "procrustes":
        return LinearMap(mean=mean, matrix=procrustes(*centred))
    penalty = chosen_penalty(x, y, parts)
    return LinearMap(mean=mean, matrix=ridge(*centred, penalty), penalty=penalty)


def procrustes(x: Float[np.ndarray, "n D"], y: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "D D"]:
    """Rotation or reflection R that minimises |x R - y| (Schönemann 1966), of centred states.

    With fewer sentences than features, R is determined only between the directions in which the sentences of
    both languages lie. It is 0 outside of them, where LAPACK would choose at will. Matrices of sentences by
    sentences are much faster, too.
    """
    # Centred states of n sentences span n - 1 directions at most.
    size = min(len(x) - 1, x.shape[1])
    spans = [np.linalg.svd(side, full_matrices=False)[2][:size].T for side in (x, y)]
    inside, _ = linalg.orthogonal_procrustes(x @ spans[0], y @ spans[1])
    return spans[0] @ inside @ spans[1].T


def ridge(
    x: Float[np.ndarray, "n D"], y: Float[np.ndarray, "n D"], penalty: float
) -> Float[np.ndarray, "D D"]:
    """Matrix W that minimises |x W - y|^2 + c |W|^2, of centred states; c is in units as in `PENALTIES`."""
    # The Gram matrix: sentences by sentences, mostly smaller than features by features.
    values, vectors = np.linalg.eigh(x @ x.T)
    return x.T @ (vectors @ ((vectors.T @ y) / _penalised(values, [penalty])[0][:, None]))


def chosen_penalty(x: Float[np.ndarray, "n D"], y: Float[np.ndarray, "n D"], parts: int) -> float:
    """Penalty of `PENALTIES` by retrieval of every `parts`-th sentence, with a map learnt on the others.

    The highest mean reciprocal rank wins, and of equals the larger penalty. The least squared error would
    shrink too much for cosines: on the prompts of docs/linear_maps.md it finds 5 points less at state 6.
    """
    # The training sentences are shuffled, so every `parts`-th one is a random part.
    inner = np.arange(len(x)) % parts == 0
    train, test = ([side[where] - side[~inner].mean(0) for side in (x, y)] for where in (~inner, inner))
    values, vectors = np.linalg.eigh(train[0] @ train[0].T)
    # One eigendecomposition serves all penalties, which change its divisors alone.
    seen, known = (test[0] @ train[0].T) @ vectors, vectors.T @ train[1]
    divisors = _penalised(values, PENALTIES)
    found = [metrics.ranks(cosines(seen / divisor @ known, test[1]))[0] for divisor in divisors]
    reciprocal = [(1 / ranks).mean() for ranks in found]
    # Reversed, so that of equal ranks the first found is the largest penalty.
    return float(PENALTIES[::-1][np.argmax(reciprocal[::-1])])


def cosines(x: Float[np.ndarray, "n D"], y: Float[np.ndarray, "m D"]) -> Float[np.ndarray, "n m"]:
    """Cosines of every row of x with every row of y."""
    units = [np.asarray(unit_vectors(side)) for side in (x, y)]
    return units[0] @ units[1].T


def _penalised(
    values: Float[np.ndarray, " n"], penalties: Sequence[float] | Float[np.ndarray, " K"]
) -> Float[np.ndarray, "K n"]:
    """Eigenvalues of a Gram matrix of n states, plus each penalty times their mean squared length."""
    values = np.maximum(values, 0)  # rounding makes some of them negative
    # A lone sentence is its own mean: all of its states are 0, and so is the map, whatever divides them.
    return values + np.asarray(penalties)[:, None] * (values.mean() or 1.0)

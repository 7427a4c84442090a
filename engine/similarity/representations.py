"""Similarity of two representations of the same sentences: linear CKA, SVCCA, and RSA with Mantel's test.

Pure NumPy, float64. A representation is a matrix (sentence, feature), whose features are centred first. All
three follow from the Gram matrices of the sentences, n x n. 344 sentences take about a second, most of it the
permutations.

They compare whole geometries, and are high where two languages merely vary alike: in length, in loudness. So
each has what chance gives it, where that isn't 0, and a form with length partialled out. High similarity is
no retrieval: where CKA is high, a sentence may still find its translation no more often than by chance.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from isogloss.kernels import bootstrap

FEWEST = 6
"""Sentences, below which nothing is computed."""
DEGREE = 4
"""Of the curves in length that are partialled out. The mean of sinusoidal positions is curved in length: at
state 0 of the demo (English and French) the unbiased CKA is 0.88, and with degrees 1 to 5 taken off 0.75,
0.42, 0.41, 0.14 and 0.16; at state 6 all five leave about 0.5 of 0.76."""
FEWEST_WITHOUT_LENGTH = FEWEST + 2 * DEGREE
"""Sentences, below which nothing is computed without length."""
VARIANCE = 0.99
"""Share of the variance whose directions SVCCA keeps."""
PERMUTATIONS = 999
_SLACK = 1e-5  # rounding in float32: equal correlations count as at least as large
_NOTHING = 1e-9  # share of a matrix's scale below which it is 0 but for rounding


@dataclasses.dataclass(frozen=True, kw_only=True)
class Similarity:
    """Similarity of two representations; NaN where a representation doesn't vary.

    Attributes:
      cka: linear CKA, biased.
      cka_chance: its exact mean over all permutations of the sentences of one side.
      cka_unbiased: linear CKA of unbiased estimates; about 0 by chance.
      svcca: mean canonical correlation.
      svcca_chance: root of the exact mean square of canonical correlations over all permutations.
      dimensions_a: directions that SVCCA keeps of the first.
      dimensions_b: of the second.
      rsa: Spearman's correlation of the dissimilarities; about 0 by chance.
      mantel_p: its two-sided p over `PERMUTATIONS` permutations of sentences.
    """

    cka: float = np.nan
    cka_chance: float = np.nan
    cka_unbiased: float = np.nan
    svcca: float = np.nan
    svcca_chance: float = np.nan
    dimensions_a: int = 0
    dimensions_b: int = 0
    rsa: float = np.nan
    mantel_p: float = np.nan


def similarity(x: Float[np.ndarray, "n D"], y: Float[np.ndarray, "n E"]) -> Similarity:
    """Similarity of two representations of the same n sentences; all NaN for n < `FEWEST`."""
    if len(x) < FEWEST:
        return Similarity()
    x, y = (side.astype(np.float64) - side.mean(0, dtype=np.float64) for side in (x, y))
    if min(_varies(x), _varies(y)) == 0:
        return Similarity()
    grams = x @ x.T, y @ y.T
    bases = [_directions(gram) for gram in grams]
    ranked = [_dissimilarities(side) for side in (x, y)]
    correlation, p = mantel(*ranked)
    return Similarity(
        cka=cka(*grams),
        cka_chance=cka_chance(*grams),
        cka_unbiased=cka_unbiased(*grams),
        svcca=float(np.linalg.svd(bases[0].T @ bases[1], compute_uv=False).mean()),
        svcca_chance=svcca_chance(len(x), *(basis.shape[1] for basis in bases)),
        dimensions_a=bases[0].shape[1],
        dimensions_b=bases[1].shape[1],
        rsa=correlation,
        mantel_p=p,
    )


def without_length(
    x: Float[np.ndarray, "n D"], frames_a: Int[np.ndarray, " n"], frames_b: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "n D"]:
    """Features without what curves in the log lengths of both recordings of a sentence say of them.

    Each feature is regressed by least squares on a constant and on polynomials of degree `DEGREE` in log
    frames in a and in log frames in b, and its residual is kept, in both representations: canonical
    correlations of such residuals are the partial ones of Rao (1969, Trabajos de Estadística 20), and with
    one feature a side CKA is the squared partial correlation. Zeros for n < `FEWEST_WITHOUT_LENGTH`.
    """
    columns = [np.ones((len(x), 1))]
    for frames in (frames_a, frames_b):
        length = np.log(frames)
        scaled = 2 * (length - length.min()) / (np.ptp(length) or 1.0) - 1
        columns.append(np.polynomial.legendre.legvander(scaled, DEGREE)[:, 1:])
    left, size, _ = np.linalg.svd(np.concatenate(columns, axis=1), full_matrices=False)
    basis = left[:, size > _NOTHING * size[0]]  # both lengths may be the same
    x = x.astype(np.float64)
    rest = x - basis @ (basis.T @ x)
    rest -= basis @ (basis.T @ rest)  # once more, for the rounding of the first
    nothing = np.linalg.norm(rest, axis=0) <= _NOTHING * np.linalg.norm(x, axis=0)
    return np.where(nothing | (len(x) < FEWEST_WITHOUT_LENGTH), 0.0, rest)


def _varies(centred: Float[np.ndarray, "n D"]) -> int:
    return int(np.abs(centred).max() > 0)


def cka(k: Float[np.ndarray, "n n"], l: Float[np.ndarray, "n n"]) -> float:  # noqa: E741 (as in the source)
    """Linear CKA of centred Gram matrices: `<K, L> / (|K| |L|)` (Kornblith et al. 2019, arXiv 1905.00414)."""
    return float((k * l).sum() / (np.linalg.norm(k) * np.linalg.norm(l)))


def cka_chance(k: Float[np.ndarray, "n n"], l: Float[np.ndarray, "n n"]) -> float:  # noqa: E741
    """Mean of `cka` over all permutations of the sentences of one side: `tr K tr L / ((n - 1) |K| |L|)`.

    A centred matrix, averaged over all permutations of its rows and columns alike, is its trace times
    `(I - 1/n) / (n - 1)`. It is far above 0 where there are more features than sentences.
    """
    scale = (len(k) - 1) * np.linalg.norm(k) * np.linalg.norm(l)
    return float(np.trace(k) * np.trace(l) / scale)


def cka_unbiased(k: Float[np.ndarray, "n n"], l: Float[np.ndarray, "n n"]) -> float:  # noqa: E741
    """CKA of unbiased estimates of HSIC (Song et al. 2012, JMLR 13, Eq. 5; Nguyen et al. 2021).

    May be negative. NaN where an estimate of a representation with itself isn't positive.
    """
    own = _hsic(k, k) * _hsic(l, l)
    return float(_hsic(k, l) / np.sqrt(own)) if own > 0 else np.nan


def _hsic(k: Float[np.ndarray, "n n"], l: Float[np.ndarray, "n n"]) -> float:  # noqa: E741
    n = len(k)
    k, l = (matrix - np.diag(np.diagonal(matrix)) for matrix in (k, l))  # noqa: E741
    sums = k.sum() * l.sum() / ((n - 1) * (n - 2)) - 2 * (k.sum(0) @ l.sum(1)) / (n - 2)
    return float(((k * l).sum() + sums) / (n * (n - 3)))


def _directions(gram: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n d"]:
    """Orthonormal directions of the sentences that hold `VARIANCE` of a centred representation's variance.

    The canonical correlations of two such sets are the singular values of their product: SVCCA (Raghu et al.
    2017, arXiv 1706.05806) of the features' singular vectors.
    """
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    share = np.cumsum(values) / values.sum()
    return vectors[:, : int((share < VARIANCE).sum()) + 1]


def svcca_chance(n: int, d: int, e: int) -> float:
    """Root mean square of canonical correlations of d and e directions by chance: `sqrt(max / (n - 1))`.

    A projection on e directions, averaged over all permutations of the sentences, is `e / (n - 1)` of the
    whole, so the mean square is `d e / (n - 1)` over the smaller number of the two.
    """
    return float(np.sqrt(max(d, e) / (n - 1)))


def _dissimilarities(centred: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n n"]:
    """Ranks of 1 - Pearson's correlation between sentences (Kriegeskorte et al. 2008), symmetric."""
    vectors = centred - centred.mean(1, keepdims=True)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(length > 0, length, 1)
    i, j = np.triu_indices(len(units), 1)
    ranked = np.zeros((len(units),) * 2)
    # Rounded, so that dissimilarities that are equal but for rounding share a rank.
    ranked[i, j] = ranked[j, i] = stats.rankdata(np.round(1 - (units @ units.T)[i, j], 12))
    return ranked


def mantel(x: Float[np.ndarray, "n n"], y: Float[np.ndarray, "n n"]) -> tuple[float, float]:
    """Pearson's correlation of two symmetric matrices, and its two-sided p (Mantel 1967).

    p is the share, the observed one among them, of permutations of one side's rows and columns whose
    correlation is as far from 0. NaN where a matrix doesn't vary.

    Args:
      x: their diagonals aren't used.
      y: as x.
    """
    i, j = np.triu_indices(len(x), 1)
    both = [matrix - matrix[i, j].mean() for matrix in (x, y)]
    scale = np.sqrt(np.prod([(matrix[i, j] ** 2).sum() for matrix in both]))
    if scale == 0:
        return np.nan, np.nan
    observed = float((both[0][i, j] * both[1][i, j]).sum() / scale)
    for matrix in both:
        np.fill_diagonal(matrix, 0)
    flat = (both[0] / (2 * np.sqrt(scale))).astype(np.float32).ravel()  # each pair stands there twice
    other = (both[1] / np.sqrt(scale)).astype(np.float32)
    drawn = np.array([flat @ other[order][:, order].ravel() for order in _orders(len(x))])
    as_far = int((np.abs(drawn) >= abs(observed) - _SLACK).sum())
    return observed, (1 + as_far) / (1 + len(drawn))


@functools.lru_cache(maxsize=4)
def _orders(n: int) -> Int[np.ndarray, "R n"]:
    """Random orders of n sentences, equal for all tests."""
    rng = np.random.default_rng(bootstrap.SEED)
    return rng.permuted(np.tile(np.arange(n), (PERMUTATIONS, 1)), axis=1)

"""Definitions of the word kernels, as NumPy loops in float64.

Like `reference`, nothing here imports JAX or a kernel. Arrays come unpadded, one sentence pair at a time;
the kernels take padded batches of the same. Words are intervals of frames, both ends included.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from isogloss.kernels import reference

Interval = tuple[int, int]


def word_vectors(x: Float[np.ndarray, "N D"], words: Sequence[Interval]) -> Float[np.ndarray, "V D"]:
    """Mean frame of every word; of a word given as (c, c) it is frame c."""
    return np.array([reference.meanpool(x[first : last + 1]) for first, last in words])


def mutual_best(similarity: Float[np.ndarray, "V W"]) -> Bool[np.ndarray, "V W"]:
    """True where i's best is j and j's best is i; of equals the first is the best.

    Source: Shim et al., arXiv 2505.19606 ("SeqSimInterp"); they don't say what ties do.
    """
    rows, columns = similarity.shape
    found = np.zeros((rows, columns), bool)
    for i in range(rows):
        for j in range(columns):
            best_of_i = max(range(columns), key=lambda k: similarity[i, k])  # max keeps the first
            best_of_j = max(range(rows), key=lambda k: similarity[k, j])
            found[i, j] = best_of_i == j and best_of_j == i
    return found


def transport(
    cost: Float[np.ndarray, "V W"],
    a: Float[np.ndarray, " V"],
    b: Float[np.ndarray, " W"],
    *,
    epsilon: float,
    iterations: int,
) -> Float[np.ndarray, "V W"]:
    """Plan of entropic optimal transport: the T that minimises <T, cost> - epsilon H(T).

    Its rows sum to a and its columns to b, each first divided by its sum. Scalings, not logarithms:
    cost / epsilon beyond 700 leaves the range of float64.

    Source: Cuturi, "Sinkhorn Distances", NIPS 2013.
    """
    rows, columns = cost.shape
    give = [float(mass) / float(a.sum()) for mass in a]
    take = [float(mass) / float(b.sum()) for mass in b]
    kernel = [[math.exp(-float(cost[i, j]) / epsilon) for j in range(columns)] for i in range(rows)]
    u, v = [1.0] * rows, [1.0] * columns
    for _ in range(iterations):
        v = [take[j] / sum(kernel[i][j] * u[i] for i in range(rows)) for j in range(columns)]
        u = [give[i] / sum(kernel[i][j] * v[j] for j in range(columns)) for i in range(rows)]
    return np.array([[u[i] * kernel[i][j] * v[j] for j in range(columns)] for i in range(rows)])


def attribution(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"], a: Sequence[Interval], b: Sequence[Interval]
) -> tuple[Float[np.ndarray, "V W"], Float[np.ndarray, "V W"], Float[np.ndarray, "V W"]]:
    """Shares of (precision, recall, F1) that each pair of words carries; frames of no word come last.

    Precision is the mean over frames i of max_j c_ij: each maximum goes to (word of i, word of j), where j
    is the first frame that attains it; recall likewise. F1 = 2PR / (P + R) = p R / (P + R) + r P / (P + R)
    summed over word pairs, because the p sum to P and the r to R; all 0 where P + R is exactly 0.
    """
    c = reference.cosines(x, y)
    of_x, of_y = (_words_of_frames(len(z), words) for z, words in ((x, a), (y, b)))
    n, m = c.shape
    precision, recall = np.zeros((2, len(a) + 1, len(b) + 1))
    for i in range(n):
        best = max(range(m), key=lambda j: c[i, j])
        precision[of_x[i], of_y[best]] += c[i, best] / n
    for j in range(m):
        best = max(range(n), key=lambda i: c[i, j])
        recall[of_x[best], of_y[j]] += c[best, j] / m
    p, r = reference.seqsim(x, y)
    total = p + r
    f1 = np.zeros_like(precision) if total == 0 else (precision * r + recall * p) / total
    return precision, recall, f1


def _words_of_frames(frames: int, words: Sequence[Interval]) -> list[int]:
    found = [len(words)] * frames
    for index, (first, last) in enumerate(words):
        for frame in range(first, last + 1):
            found[frame] = index
    return found

"""Definitions of the kernels, as NumPy loops in float64.

Nothing here imports JAX, Numba or a kernel, so a shared bug cannot hide. Slow by intent.
Arrays come unpadded, one pair at a time; the kernels take padded batches of the same.
"""

import numpy as np
from jaxtyping import Float


def cosine(a: Float[np.ndarray, " D"], b: Float[np.ndarray, " D"]) -> float:
    """Cosine of two vectors; 0 if either is all zeros."""
    return float(cosines(a[None], b[None])[0, 0])


def cosines(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]) -> Float[np.ndarray, "N M"]:
    """Cosine of every row of x with every row of y; 0 if either is all zeros."""
    rows, columns = x.tolist(), y.tolist()  # floats of Python, of 64 bits
    squares_x = [sum(p**2 for p in a) for a in rows]
    squares_y = [sum(q**2 for q in b) for b in columns]
    table = np.zeros((len(rows), len(columns)))
    for i, a in enumerate(rows):
        for j, b in enumerate(columns):
            if squares_x[i] != 0.0 and squares_y[j] != 0.0:
                dot = sum(p * q for p, q in zip(a, b, strict=True))
                table[i, j] = dot / (squares_x[i] ** 0.5 * squares_y[j] ** 0.5)
    return table


def seqsim(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]) -> tuple[float, float]:
    """(precision, recall): mean over rows of the row maxima, over columns of the column maxima.

    Source: Ma et al., arXiv 2407.01130, as the retrieval code of kalvinchang/yubao, which cites
    it, has it; SpeechBERTScore has the same formula.
    """
    c = cosines(x, y)
    n, m = c.shape
    precision = sum(max(c[i, j] for j in range(m)) for i in range(n)) / n
    recall = sum(max(c[i, j] for i in range(n)) for j in range(m)) / m
    return float(precision), float(recall)


def f1(precision: float, recall: float) -> float:
    """2PR / (P + R); 0 where P + R is exactly 0.

    Cosines may be negative. Two negatives give a negative mean like any other pair; P and R of
    opposite sign give what the formula gives, which has no bound.
    """
    total = precision + recall
    return 0.0 if total == 0.0 else 2.0 * precision * recall / total


def dtw_table(distances: Float[np.ndarray, "N M"]) -> Float[np.ndarray, "N M"]:
    """Sum along the cheapest path from (0, 0) to each cell, both ends included.

    Steps go down, right or diagonally, all of weight 1.
    """
    n, m = distances.shape
    total = np.zeros((n, m))
    for i in range(n):
        for j in range(m):
            before = [total[p, q] for p, q in _before(i, j)]
            total[i, j] = float(distances[i, j]) + min(before, default=0.0)
    return total


def dtw_cost(distances: Float[np.ndarray, "N M"], normalise: str = "none") -> float:
    """Sum along the cheapest path, as it is or divided.

    Args:
      distances: of frames.
      normalise: "none", "length_sum" (divided by N + M) or "path_length" (by the cells of `dtw_path`).
    """
    total = float(dtw_table(distances)[-1, -1])
    if normalise == "path_length":
        return total / len(dtw_path(distances))
    return total / sum(distances.shape) if normalise == "length_sum" else total


def dtw_path(distances: Float[np.ndarray, "N M"]) -> list[tuple[int, int]]:
    """Cheapest path as (i, j), first to last; of equals the diagonal, then up, then left."""
    total = dtw_table(distances)
    path = [(distances.shape[0] - 1, distances.shape[1] - 1)]
    while path[-1] != (0, 0):
        path.append(min(_before(*path[-1]), key=lambda cell: total[cell]))  # min keeps the first of equals
    return path[::-1]


def dtw_tied(distances: Float[np.ndarray, "N M"]) -> bool:
    """True if several paths have the smallest sum, by the number of those that lead to each cell."""
    total, ways = dtw_table(distances), {}
    for cell in np.ndindex(distances.shape):
        before = _before(*cell)
        least = min((total[other] for other in before), default=0.0)
        ways[cell] = sum(ways[other] for other in before if total[other] == least) if before else 1
    return ways[distances.shape[0] - 1, distances.shape[1] - 1] > 1


def transport(
    distances: Float[np.ndarray, "N M"], *, epsilon: float = 0.05, iterations: int = 40
) -> tuple[float, float]:
    """(cost, error) of Sinkhorn's plan after so many iterations, rows first; frames of equal mass.

    The error is the sum over frames of |what one gives or takes - what it holds|, the larger of both sides.
    Source: Cuturi, NIPS 2013, algorithm 1.
    """
    n, m = distances.shape
    kernel = [[float(np.exp(-distances[i, j] / epsilon)) for j in range(m)] for i in range(n)]
    u, v = [1.0] * n, [1.0] * m
    for _ in range(iterations):
        u = [1 / n / sum(kernel[i][j] * v[j] for j in range(m)) for i in range(n)]
        v = [1 / m / sum(kernel[i][j] * u[i] for i in range(n)) for j in range(m)]
    plan = np.array([[u[i] * kernel[i][j] * v[j] for j in range(m)] for i in range(n)])
    given = sum(abs(float(plan[i].sum()) - 1 / n) for i in range(n))
    taken = sum(abs(float(plan[:, j].sum()) - 1 / m) for j in range(m))
    return float((plan * distances).sum()), max(given, taken)


def _before(i: int, j: int) -> list[tuple[int, int]]:
    """Cells from which a step leads to (i, j): diagonal, up, left."""
    steps = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
    return [(p, q) for p, q in steps if p >= 0 and q >= 0]


def meanpool(x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, " D"]:
    """Mean frame of an utterance."""
    total = np.zeros(x.shape[1])
    for frame in x:
        total += frame.astype(np.float64)
    return total / len(x)


def meanpool_scores(
    x: list[Float[np.ndarray, "_ D"]], y: list[Float[np.ndarray, "_ D"]]
) -> Float[np.ndarray, "U V"]:
    """Cosine of the mean frames of every utterance of x with those of y."""
    return cosines(np.array([meanpool(a) for a in x]), np.array([meanpool(b) for b in y]))


def language_mean(x: list[Float[np.ndarray, "_ D"]]) -> Float[np.ndarray, " D"]:
    """Mean over utterances of each one's mean frame: long ones weigh no more than short ones."""
    return meanpool(np.array([meanpool(utterance) for utterance in x]))


def remove_language_mean(x: list[Float[np.ndarray, "_ D"]]) -> list[Float[np.ndarray, "_ D"]]:
    """Every frame less the language mean.

    Source: POTSA, arXiv 2511.09232, applied to every frame.
    """
    mean = language_mean(x)
    return [utterance.astype(np.float64) - mean for utterance in x]


MEASURES = {
    "seqsim": lambda x, y: f1(*seqsim(x, y)),
    "precision": lambda x, y: seqsim(x, y)[0],
    "recall": lambda x, y: seqsim(x, y)[1],
    "meanpool": lambda x, y: cosine(meanpool(x), meanpool(y)),
    "dtw": lambda x, y: dtw_cost(1 - cosines(x, y)),
    "transport": lambda x, y: transport(1 - cosines(x, y))[0],
    "transport_error": lambda x, y: transport(1 - cosines(x, y))[1],
}
"""Score of the frames of two utterances, by measure of the grid."""

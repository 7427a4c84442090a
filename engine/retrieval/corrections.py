"""Corrections of a score matrix for candidates that are near to everything (hubs), and a measure of these.

Pure NumPy; a score is larger where closer, so a cost is negated first. Both corrections are transductive:
they look at the other queries of the same test. `csls_from` is inductive: its statistics come from sentences
that are not tested, and so are those of `centred_from`.
"""

import numpy as np
from jaxtyping import Float, Int, Int32

from isogloss.engine.retrieval import metrics
from isogloss.kernels import bootstrap

NEIGHBOURS = 10
"""Neighbours of CSLS, as in its source."""
HUBS = 3
"""Number of hubs that are named."""
NO_HUB = (-1, 0)
"""Position and occurrences where there is no hub."""


def correct(scores: Float[np.ndarray, "n n"], correction: str) -> Float[np.ndarray, "n n"]:
    """Scores after a correction: "csls" or "centred", below; "none" returns them as they are.

    Args:
      scores: row = query, column = candidate, without NaN.
      correction: its name.
    """
    return {"none": lambda same: same, "csls": csls, "centred": centred}[correction](scores)


def csls(scores: Float[np.ndarray, "n n"], k: int = NEIGHBOURS) -> Float[np.ndarray, "n n"]:
    """Cross-domain similarity local scaling (Lample et al. 2018, arXiv 1710.04087).

    `2 S_ij - mean of the k largest of row i - mean of the k largest of column j`. With fewer than k
    candidates all count.
    """
    return 2 * scores - _nearest_mean(scores, k)[:, None] - _nearest_mean(scores.T, k)


def csls_from(
    scores: Float[np.ndarray, "n m"],
    rows: Float[np.ndarray, "n r"],
    columns: Float[np.ndarray, "c m"],
    k: int = NEIGHBOURS,
) -> Float[np.ndarray, "n m"]:
    """Inductive CSLS: `csls` with the neighbours of queries and candidates among other sentences.

    Args:
      scores: of the tested queries and candidates.
      rows: of the tested queries with candidates that are not tested.
      columns: of queries that are not tested with the tested candidates.
      k: number of neighbours.
    """
    return 2 * scores - _nearest_mean(rows, k)[:, None] - _nearest_mean(columns.T, k)


FORMS = (
    "recall_at_1",
    *(f"recall_at_1_{name}" for name in ("csls", "csls_inductive", "centred", "centred_inductive")),
)
"""Quantities that `in_halves` compares, as columns of a table."""


def in_halves(scores: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "2 f 3"]:
    """R@1 of rows and of columns as queries, among half of the sentences, by `FORMS`, each with its interval.

    Each half is tested once, and the inductive statistics come from the other half; the figures are means of
    both, the 95% intervals resample all sentences. A tie counts against the right answer. NaN for fewer than
    two sentences.
    """
    n = len(scores)
    if n < 2:
        return np.full((2, len(FORMS), 3), np.nan)
    # Halves depend on n alone, so states and measures are compared on the same ones.
    tested = np.random.default_rng(bootstrap.SEED).permutation(n) < n // 2
    found, hits = np.zeros((2, len(FORMS))), np.zeros((2, len(FORMS), n), bool)
    for half in (tested, ~tested):
        inner = scores[half][:, half]
        outside = scores[half][:, ~half], scores[~half][:, half]
        forms = inner, csls(inner), csls_from(inner, *outside), centred(inner), centred_from(inner, *outside)
        for form, corrected in enumerate(forms):
            gold = np.diagonal(corrected)
            for side, axis in enumerate((1, 0)):
                # Only the right answer itself is as good: a tie counts as a miss.
                beaten = corrected >= (gold[:, None] if side == 0 else gold)
                hits[side, form, half] = beaten.sum(axis) == 1
                found[side, form] += hits[side, form, half].mean() / 2
    ends = (end.reshape(found.shape) for end in metrics.interval(hits.reshape(-1, n)))
    return np.stack([found, *ends], axis=-1)


def centred(scores: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Scores without the means of their rows and columns: `S_ij - mean_j S - mean_i S + mean S`."""
    return scores - scores.mean(1, keepdims=True) - scores.mean(0) + scores.mean()


def centred_from(
    scores: Float[np.ndarray, "n m"], rows: Float[np.ndarray, "n r"], columns: Float[np.ndarray, "c m"]
) -> Float[np.ndarray, "n m"]:
    """Inductive form of `centred`: the means of rows and columns are over other sentences, as in `csls_from`.

    The mean of all scores is left out, because it orders nothing.
    """
    return scores - rows.mean(1, keepdims=True) - columns.mean(0)


def _nearest_mean(scores: Float[np.ndarray, "n m"], k: int) -> Float[np.ndarray, " n"]:
    """Mean of the k largest scores of each row."""
    k = min(k, scores.shape[1])
    return np.partition(scores, -k, axis=1)[:, -k:].mean(1)


def occurrences(scores: Float[np.ndarray, "n n"]) -> Int[np.ndarray, " n"]:
    """Number of queries for which each candidate comes first: its 1-occurrence. Of a tie the first counts."""
    return np.bincount(scores.argmax(1), minlength=scores.shape[1])


def hubs(occurrences: Int[np.ndarray, " n"]) -> Int32[np.ndarray, "h 2"]:
    """Position and occurrences of the `HUBS` candidates that come first most often, of a tie the first.

    Beside the first only those that answer more than one query; -1 and 0 in place of others.
    """
    # Stable, so that of a tie the first sentence is named in every run.
    most = np.argsort(-occurrences, kind="stable")[:HUBS]
    most = [each for place, each in enumerate(most) if place == 0 or occurrences[each] > 1]
    found = np.full((HUBS, 2), NO_HUB, np.int32)
    found[: len(most)] = np.stack([most, occurrences[most]], axis=1)
    return found


def hubness(occurrences: Int[np.ndarray, " n"]) -> float:
    """Skewness of occurrences, 0 if all are equal (Radovanovic et al. 2010, JMLR 11).

    Third central moment over the cubed standard deviation, both with the divisor n. A large positive number
    means that few candidates, the hubs, are the answer to many queries.
    """
    away = occurrences - occurrences.mean()
    deviation = np.sqrt((away**2).mean())
    return float((away**3).mean() / (deviation if deviation > 0 else 1.0) ** 3)

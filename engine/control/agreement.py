"""Agreement of two raters who mark the same sentences: Cohen's kappa (Cohen 1960)."""

import numpy as np
from jaxtyping import Bool


def kappa(a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"]) -> float:
    """`(p_o - p_e) / (1 - p_e)`: agreement beyond what the raters' shares of marks give by chance.

    NaN without a sentence, and where both mark all or none alike, which leaves nothing to agree on.
    """
    if not len(a):
        return float("nan")
    observed = (a == b).mean()
    expected = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return float((observed - expected) / (1 - expected)) if expected < 1 else float("nan")

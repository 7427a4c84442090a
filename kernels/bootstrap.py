"""Bootstrap: resamples that all figures of equally many things share, so that their differences are paired.

A resample is n draws with replacement, kept as how often each thing is drawn, so that sums over resamples are
one matrix product. Memory: 8 kB a thing.
"""

import functools

import numpy as np
from jaxtyping import Float, Float32

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 20240701


@functools.lru_cache(maxsize=16)
def resamples(n: int, side: int = 0) -> Float32[np.ndarray, "R n"]:
    """Counts of each of n things in each resample, n draws with replacement a row.

    Args:
      n: number of things.
      side: things of different sides are drawn independently.
    """
    drawn = np.random.default_rng([SEED, side] if side else SEED).integers(n, size=(RESAMPLES, n))
    # One count for all resamples: each has its own n cells.
    cells = drawn + n * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(cells.ravel(), minlength=RESAMPLES * n)
    return counts.reshape(RESAMPLES, n).astype(np.float32)


def ends(values: Float[np.ndarray, "R K"]) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Percentile interval of figures of the resamples: attained values, NumPy's "inverted_cdf"."""
    low, high = (round(RESAMPLES * (1 + side * CONFIDENCE) / 2) - 1 for side in (-1, 1))
    ordered = np.partition(values, (low, high), axis=0)  # half the time of a sort
    return ordered[low], ordered[high]

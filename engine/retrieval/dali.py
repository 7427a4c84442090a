"""DALI: discriminative alignment of groups of sentences (arXiv 2504.09378).

In a group of g sentences every sentence of one language has its translation and g - 1 others. A group counts
if every matched pair scores better than every mismatched one.
"""

import functools

import numpy as np
from jaxtyping import Float, Int

from isogloss.kernels import bootstrap

GROUP = 4
GROUPS = 1000


@functools.lru_cache(maxsize=16)
def groups(n: int) -> Int[np.ndarray, "G g"]:
    """Groups of distinct sentences out of n, the same for all states and measures."""
    shuffled = np.random.default_rng(bootstrap.SEED).random((GROUPS, n))
    return np.argpartition(shuffled, GROUP - 1, axis=1)[:, :GROUP]


def dali(scores: Float[np.ndarray, "n n"], own: tuple[Float[np.ndarray, "n n"], ...] = ()) -> float:
    """Share of the groups in which every matched pair beats every mismatched one; NaN for n < `GROUP`.

    Args:
      scores: row = query, column = candidate, larger is closer.
      own: matrices of each language with itself. With them this is DALI_S: a matched pair must also beat
        every two different sentences of one language.
    """
    n = len(scores)
    if n < GROUP:
        return float("nan")
    where = groups(n)
    off = ~np.eye(GROUP, dtype=bool)
    pick = where[:, :, None], where[:, None, :]
    matched = np.diagonal(scores)[where].min(1)
    mismatched = np.max([matrix[pick][:, off].max(1) for matrix in (scores, *own)], axis=0)
    return float((matched > mismatched).mean())

"""SeqSim, the frame-by-frame similarity of utterances; `reference.seqsim` defines it.

Precision and recall of one pair of utterances, from its cosines; `frame_scores` maps it over all pairs.

Source: Ma et al., arXiv 2407.01130; SpeechBERTScore (arXiv 2401.16812) has the same formula.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from isogloss.kernels.unit_vectors import unit_vectors


def f1(
    precision: Float[np.ndarray | Array, "*S"], recall: Float[np.ndarray | Array, "*S"]
) -> Float[np.ndarray | Array, "*S"]:
    """2PR / (P + R), of NumPy's or JAX's arrays; 0 where P + R is exactly 0.

    With P and R of opposite signs it has no bound.
    """
    xp, total = precision.__array_namespace__(), precision + recall
    zero = total == 0
    return xp.where(zero, 0, 2 * precision * recall / xp.where(zero, 1, total))


def maxima(
    c: Float[Array, "N M"], n: Int[Array, ""], m: Int[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(precision, recall) of one pair: means of the row maxima and of the column maxima, of frames in use.

    NaN where a cosine in use is NaN; padding may hold anything.
    """
    rows, columns = jnp.arange(c.shape[0]) < n, jnp.arange(c.shape[1]) < m
    # -inf, not 0, in the padding: all cosines of a frame may be negative.
    row_maxima = jnp.where(columns[None, :], c, -jnp.inf).max(axis=1)
    column_maxima = jnp.where(rows[:, None], c, -jnp.inf).max(axis=0)
    precision = jnp.where(rows, row_maxima, 0).sum() / n.astype(jnp.float32)
    recall = jnp.where(columns, column_maxima, 0).sum() / m.astype(jnp.float32)
    return precision, recall


def unit_frames(x: Float[Array, "V M D"], m: Int[Array, " V"]) -> Float[Array, "V M D"]:
    """Frames of length 1 in float32; padding and all-zero frames become zeros."""
    used = jnp.arange(x.shape[1])[None, :] < m[:, None]
    return jnp.asarray(unit_vectors(jnp.where(used[:, :, None], x.astype(jnp.float32), 0)))

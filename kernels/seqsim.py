"""SeqSim, the frame-by-frame similarity of utterances; `reference.seqsim` defines it.

One product per utterance of A and block of B serves the maxima of both directions; a slab of
(N, BLOCK * M) cosines is all that is ever held. Every step of the loops is the same program on the same
shape, so at real sizes a pair has the same bits whatever else is in the batch; where a loop has a single step
of some thousand cosines, XLA's CPU compiler may fuse and round it otherwise. Runs on any device.

Source: Ma et al., arXiv 2407.01130; SpeechBERTScore (arXiv 2401.16812) has the same formula.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from isogloss.kernels.unit_vectors import unit_vectors

BLOCK = 32  # utterances of B in one product: wide enough for a product's best speed


@jax.jit
def seqsim(
    x: Float[Array, "U N D"], n: Int[Array, " U"], y: Float[Array, "V M D"], m: Int[Array, " V"]
) -> tuple[Float[Array, "U V"], Float[Array, "U V"]]:
    """(precision, recall) of every utterance of A with every one of B, float32.

    Args:
      x: frames of A, any scale, any float type; padding may hold anything, NaN included.
      n: frames in use, 1 <= n <= N.
      y: frames of B, like x.
      m: frames in use, 1 <= m <= M.

    Returns:
      Mean of row maxima and mean of column maxima of the cosines. NaN where a length is out of
      range, because a traced value cannot raise, and where a frame in use is not finite.
    """
    return for_each_slab(maxima, x, n, y, m)


def f1(
    precision: Float[np.ndarray | Array, "*S"], recall: Float[np.ndarray | Array, "*S"]
) -> Float[np.ndarray | Array, "*S"]:
    """2PR / (P + R), of NumPy's or JAX's arrays; 0 where P + R is exactly 0.

    With P and R of opposite signs it has no bound.
    """
    xp, total = precision.__array_namespace__(), precision + recall
    zero = total == 0
    return xp.where(zero, 0, 2 * precision * recall / xp.where(zero, 1, total))


def for_each_slab(
    score: Callable[[Float[Array, "N V M"], Int[Array, ""], Int[Array, " V"]], PyTree[Float[Array, " V"]]],
    x: Float[Array, "U N D"],
    n: Int[Array, " U"],
    y: Float[Array, "V M D"],
    m: Int[Array, " V"],
) -> PyTree[Float[Array, "U V"]]:
    """Results of `score` for the cosines of each utterance of A with each block of B.

    Cosines outside the frames in use are 0, not NaN. Scores with a length out of range are NaN.
    """
    pairs = y.shape[0]
    blocks = -(-pairs // BLOCK)
    fill = blocks * BLOCK - pairs
    frames, used = unit_frames(y, m), m
    frames = jnp.pad(frames, ((0, fill), (0, 0), (0, 0))).reshape(blocks, BLOCK, *y.shape[1:])
    # Utterances that fill the last block have a length of 1, so that no mean divides by 0.
    used = jnp.pad(used, (0, fill), constant_values=1).reshape(blocks, BLOCK)

    def one_utterance(
        row: tuple[Float[Array, "N D"], Int[Array, ""]],
    ) -> PyTree[Float[Array, " V"]]:
        ours = unit_frames(row[0][None], row[1][None])[0]

        def one_block(
            block: tuple[Float[Array, "B M D"], Int[Array, " B"]],
        ) -> PyTree[Float[Array, " B"]]:
            # "highest", because accelerators would otherwise round the factors to fewer bits.
            slab = jnp.einsum("nd,bmd->nbm", ours, block[0], precision="highest")
            return score(slab, row[1], block[1])

        # Loops instead of `vmap`, which would hold the slabs of all blocks at once.
        scores = jax.lax.map(one_block, (frames, used))
        return jax.tree.map(lambda s: s.reshape(blocks * BLOCK)[:pairs], scores)

    possible = _possible(n, x.shape[1])[:, None] & _possible(m, y.shape[1])[None, :]
    scores = jax.lax.map(one_utterance, (x, n))
    return jax.tree.map(lambda s: jnp.where(possible, s, jnp.nan), scores)


def maxima(
    c: Float[Array, "N V M"], n: Int[Array, ""], m: Int[Array, " V"]
) -> tuple[Float[Array, " V"], Float[Array, " V"]]:
    """Mean over rows of the row maxima, and the same for columns, over the frames in use."""
    rows = (jnp.arange(c.shape[0]) < n)[:, None]
    columns = jnp.arange(c.shape[2])[None, :] < m[:, None]
    # -inf, not 0, in the padding: all cosines of a frame may be negative.
    row_maxima = jnp.where(columns[None], c, -jnp.inf).max(axis=2)
    column_maxima = jnp.where(rows[:, :, None], c, -jnp.inf).max(axis=0)
    precision = jnp.where(rows, row_maxima, 0).sum(axis=0) / n.astype(jnp.float32)
    recall = jnp.where(columns, column_maxima, 0).sum(axis=1) / m.astype(jnp.float32)
    return precision, recall


def unit_frames(x: Float[Array, "V M D"], m: Int[Array, " V"]) -> Float[Array, "V M D"]:
    """Frames of length 1 in float32; padding and all-zero frames become zeros."""
    used = jnp.arange(x.shape[1])[None, :] < m[:, None]
    return jnp.asarray(unit_vectors(jnp.where(used[:, :, None], x.astype(jnp.float32), 0)))


def _possible(lengths: Int[Array, " V"], longest: int) -> Bool[Array, " V"]:
    return (lengths >= 1) & (lengths <= longest)

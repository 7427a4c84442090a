"""SeqSim's score divided among the words: which word pairs carry it.

Precision and recall are means of per-frame maxima, so each maximum belongs to one pair of frames and, with
them, to one pair of words. `word_reference.attribution` defines the shares; they sum to the score. Memory:
one sentence pair's (N, M) cosines, 9 MB for two windows of 30 s; no scatter, so reruns have equal bits.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isogloss.kernels import seqsim


class Shares(NamedTuple):
    """By words of A and of B; frames of no word are the last row and column.

    Attributes:
      precision: sums to P.
      recall: sums to R.
      f1: sums to 2PR / (P + R).
      scores: P, R and F1 as `seqsim` has them.
    """

    precision: Float[Array, "*B V W"]
    recall: Float[Array, "*B V W"]
    f1: Float[Array, "*B V W"]
    scores: Float[Array, "*B 3"]


@functools.partial(jax.jit, static_argnames=("words",))
def attribution(
    x: Float[Array, "B N D"],
    n: Int[Array, " B"],
    of_x: Int[Array, "B N"],
    y: Float[Array, "B M D"],
    m: Int[Array, " B"],
    of_y: Int[Array, "B M"],
    *,
    words: tuple[int, int],
) -> Shares:
    """Shares of the score of x[b] with y[b] that every word pair carries, float32.

    Of frames that attain a maximum equally the first counts.

    Args:
      x: frames of A, any scale, any float type; padding may hold anything, NaN included.
      n: frames in use, 1 <= n <= N.
      of_x: word of every frame of A in use, from 0; words[0] for a frame of no word.
      y: frames of B, like x.
      m: frames of B in use.
      of_y: word of every frame of B.
      words: numbers of words that the shares have room for; their axes are one longer.

    Returns:
      NaN for a row with a length or a word out of range, or a frame in use that is not finite.
    """
    one = functools.partial(_one_pair, words=words)
    return jax.lax.map(lambda row: one(*row), (x, n, of_x, y, m, of_y))


def _one_pair(
    x: Float[Array, "N D"],
    n: Int[Array, ""],
    of_x: Int[Array, " N"],
    y: Float[Array, "M D"],
    m: Int[Array, ""],
    of_y: Int[Array, " M"],
    *,
    words: tuple[int, int],
) -> Shares:
    """One row of `attribution`."""
    ours, theirs = seqsim.unit_frames(x[None], n[None])[0], seqsim.unit_frames(y[None], m[None])[0]
    c = jnp.einsum("nd,md->nm", ours, theirs, precision="highest")
    rows, columns = jnp.arange(x.shape[0]) < n, jnp.arange(y.shape[0]) < m
    # Masked on the side that is searched only: a padded row's own maximum is set to 0 afterwards.
    by_row = jnp.where(columns[None, :], c, -jnp.inf)
    by_column = jnp.where(rows[:, None], c, -jnp.inf)
    row_maxima = jnp.where(rows, by_row.max(axis=1), 0)
    column_maxima = jnp.where(columns, by_column.max(axis=0), 0)
    left, right = _indicator(of_x, words[0]), _indicator(of_y, words[1])
    # Products with indicators instead of scattered sums, whose order may change from run to run on a GPU.
    p = _sums(row_maxima[:, None] * left, right[by_row.argmax(axis=1)]) / n.astype(jnp.float32)
    r = _sums(left[by_column.argmax(axis=0)], column_maxima[:, None] * right) / m.astype(jnp.float32)
    precision, recall = row_maxima.sum() / n.astype(jnp.float32), column_maxima.sum() / m.astype(jnp.float32)
    total = precision + recall
    zero = total == 0
    # F1 = 2PR / (P + R), with one factor of each term divided among the words by its own shares.
    f1 = jnp.where(zero, 0, (p * recall + r * precision) / jnp.where(zero, 1, total))
    scores = jnp.stack([precision, recall, seqsim.f1(precision, recall)])
    possible = (n >= 1) & (n <= x.shape[0]) & (m >= 1) & (m <= y.shape[0])
    possible &= jnp.isfinite(total)  # a product may skip zeros, so that a NaN stays in its word
    possible &= _known(of_x, rows, words[0]) & _known(of_y, columns, words[1])
    found = Shares(p, r, f1, scores)
    return jax.tree.map(lambda value: jnp.where(possible, value, jnp.nan), found)


def _indicator(words: Int[Array, " N"], room: int) -> Float[Array, "N V"]:
    return (words[:, None] == jnp.arange(room + 1)[None, :]).astype(jnp.float32)


def _sums(left: Float[Array, "N V"], right: Float[Array, "N W"]) -> Float[Array, "V W"]:
    return jnp.einsum("nv,nw->vw", left, right, precision="highest")


def _known(words: Int[Array, " N"], used: Bool[Array, " N"], room: int) -> Bool[Array, ""]:
    return jnp.where(used, (words >= 0) & (words <= room), True).all()

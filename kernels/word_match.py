"""Words of two utterances against each other: their vectors, cosines and mutual best matches.

`word_reference` defines them. A word's vector is one frame or the mean of its frames; a batch holds one
sentence pair a row. Memory: the frames in float32 and (B, V, N) weights.

Source: Shim et al., arXiv 2505.19606, where a word is its centre frame and matches are mutual best ones.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isogloss.kernels.unit_vectors import unit_vectors


class Matches(NamedTuple):
    """Words of A against words of B, by sentence pair.

    Attributes:
      similarity: cosines, float32; NaN in the padding, and where a word's interval is impossible.
      mutual: where either word is the other's best; at most one in a row and in a column.
    """

    similarity: Float[Array, "B V W"]
    mutual: Bool[Array, "B V W"]


@jax.jit
def match(
    x: Float[Array, "B N D"],
    a: Int[Array, "B V 2"],
    v: Int[Array, " B"],
    y: Float[Array, "B M D"],
    b: Int[Array, "B W 2"],
    w: Int[Array, " B"],
) -> Matches:
    """Similarities and mutual best matches of the words of each sentence pair.

    Args:
      x: frames of A, any float type; those of no word may hold anything, NaN included. A frame of a word
        that isn't finite makes all similarities of its row NaN.
      a: first and last frame of each word of A, both included; (c, c) takes frame c alone.
      v: words in use, 0 <= v <= V; the intervals of the others don't matter.
      y: frames of B, like x.
      b: words of B.
      w: words of B in use.
    """
    left, right = word_vectors(x, a, v), word_vectors(y, b, w)
    c = jnp.einsum("bvd,bwd->bvw", unit_vectors(left), unit_vectors(right), precision="highest")
    return Matches(c, mutual_best(c))


@jax.jit
def word_vectors(
    x: Float[Array, "B N D"], words: Int[Array, "B V 2"], v: Int[Array, " B"]
) -> Float[Array, "B V D"]:
    """Mean frame of every word, float32; NaN beyond the words in use and for impossible intervals."""
    frames = jnp.arange(x.shape[1])[None, None, :]
    first, last = words[..., 0], words[..., 1]
    inside = (frames >= first[..., None]) & (frames <= last[..., None])
    in_use = jnp.arange(words.shape[1])[None, :] < v[:, None]
    possible = in_use & (first >= 0) & (first <= last) & (last < x.shape[1])
    inside = inside & possible[..., None]
    used = jnp.where(inside.any(axis=1)[..., None], x.astype(jnp.float32), 0)  # 0 * NaN would be NaN
    # Words are intervals of any length, so their sums are one product with indicators.
    total = jnp.einsum("bvn,bnd->bvd", inside.astype(jnp.float32), used, precision="highest")
    length = jnp.where(possible, (last - first + 1).astype(jnp.float32), jnp.nan)
    return total / length[..., None]


@jax.jit
def mutual_best(similarity: Float[Array, "B V W"]) -> Bool[Array, "B V W"]:
    """True where i's best is j and j's best is i; NaN is never best, and of equals the first is.

    So matches are one to one even with ties, and those of the transpose are the transpose.
    """
    known = ~jnp.isnan(similarity)
    values = jnp.where(known, similarity, -jnp.inf)
    # By index, not by value: two columns may share the largest value, but only the first is the argmax.
    best_of_row = jnp.arange(similarity.shape[2])[None, None, :] == values.argmax(axis=2, keepdims=True)
    best_of_column = jnp.arange(similarity.shape[1])[None, :, None] == values.argmax(axis=1, keepdims=True)
    return best_of_row & best_of_column & known

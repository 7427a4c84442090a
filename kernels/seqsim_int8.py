"""SeqSim from frames rounded to eight bits: one byte a feature, a scale of its own for every frame.

A frame's largest feature becomes 127 and its length is taken after rounding. Products and sums are exact
integers, so a cosine is off by what rounding turns its two frames: at most e + f + (e^3 + f^3) / 2, with
e = sqrt(D) * largest feature / length / 254 of either (`bound`), and in practice some 30 times less, as
roundings cancel. Faster than float32 where XLA's int8 product is (its CPU, from JAX 0.12 on). Memory: a slab
of (N, BLOCK * M) products; padding costs as much as frames in use.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Int8

BLOCK = 8  # utterances of B in one product; the maxima read it again, so it had better stay in the cache


@jax.jit
def seqsim(
    x: Float[Array, "U N D"], n: Int[Array, " U"], y: Float[Array, "V M D"], m: Int[Array, " V"]
) -> tuple[Float[Array, "U V"], Float[Array, "U V"]]:
    """(precision, recall) as `seqsim.seqsim` states them, from rounded frames."""
    pairs = y.shape[0]
    blocks = -(-pairs // BLOCK)
    fill = blocks * BLOCK - pairs
    ours, our_factors, our_sound = _rounded(x, n)
    theirs, their_factors, their_sound = _rounded(y, m)
    theirs = jnp.pad(theirs, ((0, fill), (0, 0), (0, 0))).reshape(blocks, BLOCK * y.shape[1], y.shape[2])
    their_factors = jnp.pad(their_factors, ((0, fill), (0, 0))).reshape(blocks, BLOCK, y.shape[1])
    used = jnp.pad(m, (0, fill), constant_values=1).reshape(blocks, BLOCK)

    def one_utterance(
        row: tuple[Int8[Array, "N D"], Float[Array, " N"], Int[Array, ""]],
    ) -> tuple[Float[Array, "blocks B"], Float[Array, "blocks B"]]:
        frames, factors, length = row

        def one_block(
            block: tuple[Int8[Array, "BM D"], Float[Array, "B M"], Int[Array, " B"]],
        ) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
            slab = jnp.einsum("nd,md->nm", frames, block[0], preferred_element_type=jnp.int32)
            products = slab.reshape(len(slab), *block[1].shape).astype(jnp.float32)
            row_maxima = (products * block[1][None]).max(axis=2) * factors[:, None]
            column_maxima = (products * factors[:, None, None]).max(axis=0) * block[1]
            return _mean(row_maxima.T, length[None]), _mean(column_maxima, block[2])

        return jax.lax.map(one_block, (theirs, their_factors, used))

    scores = jax.lax.map(one_utterance, (ours, our_factors, n))
    sound = our_sound[:, None] & their_sound[None, :]
    precision, recall = (jnp.where(sound, s.reshape(len(s), -1)[:, :pairs], jnp.nan) for s in scores)
    return precision, recall


@jax.jit
def bound(x: Float[Array, "U N D"], n: Int[Array, " U"]) -> Float[Array, " U"]:
    """Largest e of each utterance: by how much rounding may turn one of its frames.

    A unit vector u plus an error of length e = sqrt(D) * max |u| / 254 at most is turned by asin(e) at most,
    and a cosine changes no more than its angle; a mean of maxima no more than the cosines.
    """
    frames = _filled(x, n)
    length = jnp.sqrt(jnp.square(frames).sum(axis=2))
    largest = jnp.abs(frames).max(axis=2)
    return (jnp.sqrt(jnp.float32(x.shape[2])) * largest / jnp.where(length == 0, 1, length) / 254).max(axis=1)


def _filled(x: Float[Array, "U N D"], n: Int[Array, " U"]) -> Float[Array, "U N D"]:
    """Frames of largest feature 1; padding repeats the first one, which changes no maximum."""
    used = (jnp.arange(x.shape[1])[None, :] < n[:, None])[:, :, None]
    frames = jnp.where(used, x, x[:, :1]).astype(jnp.float32)
    largest = jnp.abs(frames).max(axis=2, keepdims=True)
    return frames / jnp.where(largest == 0, 1, largest)


def _rounded(
    x: Float[Array, "U N D"], n: Int[Array, " U"]
) -> tuple[Int8[Array, "U N D"], Float[Array, "U N"], Bool[Array, " U"]]:
    """Frames as integers, 1 / length of each (0 for zeros), and whether an utterance is sound."""
    frames = _filled(x, n)
    rounded = jnp.round(127 * frames)
    length = jnp.sqrt(jnp.square(rounded).sum(axis=2))
    factors = jnp.where(length == 0, 0, 1 / jnp.where(length == 0, 1, length))
    sound = jnp.isfinite(frames).all(axis=(1, 2)) & (n >= 1) & (n <= x.shape[1])
    return rounded.astype(jnp.int8), factors, sound


def _mean(values: Float[Array, "B N"], count: Int[Array, "#B"]) -> Float[Array, " B"]:
    """Mean of the first `count` values of each row."""
    used = jnp.arange(values.shape[1])[None, :] < count[:, None]
    return jnp.where(used, values, 0).sum(axis=1) / count.astype(jnp.float32)

"""SeqSim from frames rounded to eight bits: one byte a feature, a scale of its own for every frame.

Few features of Whisper's states are huge and would take the whole range; so frames are turned first, by a
Hadamard matrix with random signs, which spreads them and leaves cosines as they are. Then each is scaled to
one length, the largest at which no feature of its utterance exceeds 127: maxima are those of exact integers,
and a cosine is off by e + f + e f at most, with `bound` giving e and f; in practice far less, as roundings
cancel. This is XLA's form, for accelerators; on a CPU `packing_numba` rounds as it does.

Source: turning before rounding is QuaRot's, arXiv 2404.00456.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int8

BLOCK = 8  # utterances of B in one product; the maxima read it again, so it had better stay in the cache


@jax.jit
def seqsim(
    x: Float[Array, "U N D"], n: Int[Array, " U"], y: Float[Array, "V M D"], m: Int[Array, " V"]
) -> tuple[Float[Array, "U V"], Float[Array, "U V"]]:
    """(precision, recall) as `seqsim.seqsim` states them, from rounded frames."""
    pairs = y.shape[0]
    blocks = -(-pairs // BLOCK)
    fill = blocks * BLOCK - pairs
    ours, our_scales = _rounded(x, n)
    theirs, their_scales = _rounded(y, m)
    theirs = jnp.pad(theirs, ((0, fill), (0, 0), (0, 0))).reshape(blocks, BLOCK * y.shape[1], y.shape[2])
    used = jnp.pad(m, (0, fill), constant_values=1).reshape(blocks, BLOCK)

    def one_utterance(
        row: tuple[Int8[Array, "N D"], Int[Array, ""]],
    ) -> tuple[Float[Array, "blocks B"], Float[Array, "blocks B"]]:
        def one_block(
            block: tuple[Int8[Array, "BM D"], Int[Array, " B"]],
        ) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
            slab = jnp.einsum("nd,md->nm", row[0], block[0], preferred_element_type=jnp.int32)
            products = slab.reshape(len(slab), BLOCK, -1)
            return _mean(products.max(axis=2).T, row[1][None]), _mean(products.max(axis=0), block[1])

        return jax.lax.map(one_block, (theirs, used))

    found = jax.lax.map(one_utterance, (ours, n))
    scales = our_scales[:, None] * their_scales[None, :]
    precision, recall = (means.reshape(len(means), -1)[:, :pairs] * scales for means in found)
    return precision, recall


@jax.jit
def bound(x: Float[Array, "U N D"], n: Int[Array, " U"]) -> Float[Array, " U"]:
    """Largest e of each utterance: by how much a frame of length 1 is off, half a step in every feature."""
    return jnp.sqrt(jnp.float32(x.shape[2])) / 2 * _rounded(x, n)[1]


def signs(features: int) -> Float[np.ndarray, " D"]:
    """The random signs that features get before they are mixed."""
    return (1 - 2 * np.random.default_rng(0).integers(0, 2, features)).astype(np.float32)


def stretch(features: int) -> float:
    """By how much mixing makes a frame longer."""
    return float(np.sqrt(features & -features))


def _rounded(
    x: Float[Array, "U N D"], n: Int[Array, " U"]
) -> tuple[Int8[Array, "U N D"], Float[Array, " U"]]:
    """Frames as integers and the step of each utterance; the step is NaN where it has no score.

    Padding repeats the first frame, which changes no maximum.
    """
    used = (jnp.arange(x.shape[1])[None, :] < n[:, None])[:, :, None]
    frames = jnp.where(used, x, x[:, :1]).astype(jnp.float32)
    sound = jnp.isfinite(frames).all(axis=(1, 2)) & (n >= 1) & (n <= x.shape[1])
    largest = jnp.abs(frames).max(axis=2, keepdims=True)
    frames = _turned(frames / jnp.where(largest == 0, 1, largest))
    length = jnp.sqrt(jnp.square(frames).sum(axis=2, keepdims=True))
    frames = frames / jnp.where(length == 0, 1, length)
    step = jnp.abs(frames).max(axis=(1, 2)) / 127
    whole = jnp.round(frames / jnp.where(step == 0, 1, step)[:, None, None])
    return whole.astype(jnp.int8), jnp.where(sound, step, jnp.nan)


def _turned(frames: Float[Array, "U N D"]) -> Float[Array, "U N D"]:
    """Frames times a multiple of an orthogonal matrix: random signs, then sums and differences.

    The features are mixed in blocks of the largest power of two that divides their number.
    """
    users, longest, features = frames.shape
    mixed = frames * signs(features)[None, None, :]
    step = 1
    while features % (2 * step) == 0:
        halves = mixed.reshape(users, longest, -1, 2, step)
        a, b = halves[:, :, :, 0], halves[:, :, :, 1]
        mixed = jnp.stack([a + b, a - b], axis=3).reshape(frames.shape)
        step *= 2
    return mixed


def _mean(values: Int[Array, "B N"], count: Int[Array, "#B"]) -> Float[Array, " B"]:
    """Mean of the first `count` values of each row."""
    used = jnp.arange(values.shape[1])[None, :] < count[:, None]
    return jnp.where(used, values.astype(jnp.float32), 0).sum(axis=1) / count.astype(jnp.float32)

"""Neurons of an encoder's blocks: the hidden layer of each perceptron, gelu(mlp_in), pooled over frames.

What NeuronXA (arXiv 2507.14900) compares between languages is how often a neuron is above 0, and how
strongly it answers. A window of Whisper base has 6 blocks of 2,048 neurons; only their statistics leave the
device.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32

STATISTICS = ("rate", "magnitude", "mean", "maximum")
"""Over an utterance's own frames: mean of 1[h > 0], of |h| and of h, and the largest h."""


def statistics(hidden: Float[Array, "B N F"], used: Bool[Array, "B N"]) -> Float32[Array, "B K F"]:
    """STATISTICS of every neuron of one block, float32.

    Args:
      hidden: of each frame; what isn't used may hold anything.
      used: frames of the utterance, at least one.
    """
    mask, h = used[:, :, None], hidden.astype(jnp.float32)
    count = used.sum(axis=1, dtype=jnp.float32)[:, None]

    def mean(values: Float32[Array, "B N F"]) -> Float32[Array, "B F"]:
        return jnp.where(mask, values, 0).sum(axis=1) / count

    rate = mean((h > 0).astype(jnp.float32))
    return jnp.stack([rate, mean(jnp.abs(h)), mean(h), jnp.where(mask, h, -jnp.inf).max(axis=1)], axis=1)

"""Neurons of an encoder's blocks: the hidden layer of each perceptron, gelu(mlp_in), pooled over frames.

What NeuronXA (arXiv 2507.14900) compares between languages is how often a neuron is above 0, and how
strongly it answers. A window of Whisper base has 6 blocks of 2,048 neurons; only their statistics leave the
device. XLA's reductions over frames take 13 ms a block of base on two cores of a CPU, slabs of a few frames
that are added up 2; an accelerator reduces all frames at once.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32

STATISTICS = ("rate", "magnitude", "mean", "maximum")
"""Over an utterance's own frames: mean of 1[h > 0], of |h| and of h, and the largest h."""
_SLAB = 15  # frames, which divide Whisper's 1500; what they add up to stays in the cache
_Values = tuple[Float32[Array, "B M F"], ...]
_Totals = tuple[Float32[Array, "B F"], ...]


def statistics(hidden: Float[Array, "B N F"], used: Bool[Array, "B N"]) -> Float32[Array, "B K F"]:
    """STATISTICS of every neuron of one block, float32.

    Args:
      hidden: of each frame; what isn't used may hold anything.
      used: frames of the utterance, at least one.
    """
    *sums, highest = jax.lax.platform_dependent(hidden, used, cpu=_by_slabs, default=_at_once)
    count = used.sum(axis=1, dtype=jnp.float32)[:, None]
    return jnp.stack([*(each / count for each in sums), highest], axis=1)


def _at_once(hidden: Float[Array, "B N F"], used: Bool[Array, "B N"]) -> _Totals:
    return _reduced(_values(hidden, used))


def _by_slabs(hidden: Float[Array, "B N F"], used: Bool[Array, "B N"]) -> _Totals:
    rows, frames, neurons = hidden.shape
    slab = _SLAB if frames % _SLAB == 0 else frames

    def add(totals: _Values, start: Array) -> tuple[_Values, None]:
        some = (jax.lax.dynamic_slice_in_dim(each, start, slab, axis=1) for each in (hidden, used))
        *sums, highest = _values(*some)
        added = (total + each for total, each in zip(totals, sums, strict=False))
        return (*added, jnp.maximum(totals[-1], highest)), None

    none = jnp.zeros((rows, slab, neurons), jnp.float32)
    nothing = (none, none, none, jnp.full_like(none, -jnp.inf))
    totals, _ = jax.lax.scan(add, nothing, jnp.arange(0, frames, slab))
    return _reduced(totals)


def _values(hidden: Float[Array, "B N F"], used: Bool[Array, "B N"]) -> _Values:
    """Terms whose sums are the STATISTICS, and those of which the largest is taken."""
    mask, h = used[:, :, None], hidden.astype(jnp.float32)
    own = jnp.where(mask, h, 0)
    return (own > 0).astype(jnp.float32), jnp.abs(own), own, jnp.where(mask, h, -jnp.inf)


def _reduced(values: _Values) -> _Totals:
    *sums, highest = values
    return (*(each.sum(axis=1) for each in sums), highest.max(axis=1))

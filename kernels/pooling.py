"""One vector per utterance: mean pooling, cosines of pooled vectors, language-mean removal.

`reference` defines them. float32 sums whatever the input type. Costs one pass over the frames.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isogloss.kernels.unit_vectors import unit_vectors


@jax.jit
def meanpool(x: Float[Array, "U N D"], n: Int[Array, " U"]) -> Float[Array, "U D"]:
    """Mean frame of every utterance, float32.

    Args:
      x: frames, any float type; padding may hold anything, NaN included.
      n: frames in use, 1 <= n <= N. A length out of range gives NaN.
    """
    used = jnp.arange(x.shape[1])[None, :] < n[:, None]
    total = jnp.where(used[:, :, None], x.astype(jnp.float32), 0).sum(axis=1)
    possible = (n >= 1) & (n <= x.shape[1])
    # A traced length can't raise, so an impossible one turns the mean into NaN.
    divisor = jnp.where(possible, n.astype(jnp.float32), jnp.nan)
    return total / divisor[:, None]


@jax.jit
def cosine(a: Float[Array, "U D"], b: Float[Array, "V D"]) -> Float[Array, "U V"]:
    """Cosine of every row of a with every row of b, float32; 0 where either is all zeros."""
    units = (unit_vectors(vectors.astype(jnp.float32)) for vectors in (a, b))
    return jnp.einsum("ud,vd->uv", *units, precision="highest")


@jax.jit
def language_mean(pooled: Float[Array, "U D"]) -> Float[Array, " D"]:
    """Mean over utterances of their mean frames: long ones weigh no more than short ones."""
    return pooled.astype(jnp.float32).sum(axis=0) / jnp.float32(pooled.shape[0])


@jax.jit
def remove_mean(x: Float[Array, "*axes D"], mean: Float[Array, " D"]) -> Float[Array, "*axes D"]:
    """Vectors less the language mean, float32: frames (U, N, D), or what was pooled (U, D).

    Padding stays padding: NaN stays NaN. Source: POTSA, arXiv 2511.09232, for every frame.
    """
    return x.astype(jnp.float32) - mean.astype(jnp.float32).reshape((1,) * (x.ndim - 1) + (-1,))

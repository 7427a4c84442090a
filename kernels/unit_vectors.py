"""Vectors of length 1, of NumPy's arrays as of JAX's; under jit too."""

import numpy as np
from jaxtyping import Array, Float


def unit_vectors(x: Float[np.ndarray | Array, "*axes D"]) -> Float[np.ndarray | Array, "*axes D"]:
    """Vectors divided by their lengths, in the dtype of x; zeros stay zeros, NaN stays NaN."""
    xp = x.__array_namespace__()
    # Squares of tiny and of huge entries leave the range of float32, those of entries up to 1 do not.
    scale = xp.abs(x).max(axis=-1, keepdims=True)
    x = x / xp.where(scale == 0, 1, scale)
    length = xp.sqrt(xp.square(x).sum(axis=-1, keepdims=True))
    return x / xp.where(length == 0, 1, length)

"""The warping path of every pair, walked back from its end through a table of where each sum came from."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

Whence = Callable[[Int[Array, " P"], Int[Array, " P"]], Int[Array, " P"]]
"""Whence each pair's sum at cell (i, j), both at least 0, came: 0 diagonal, 1 up, 2 left."""


def walk_back(
    whence: Whence,
    possible: Bool[Array, " P"],
    n: Int[Array, " P"],
    m: Int[Array, " P"],
    steps: int,
) -> tuple[Int[Array, "P K 2"], Int[Array, " P"]]:
    """(path, length) of every pair from (0, 0) to (n - 1, m - 1); K = `steps`, -1 beyond a path's end.

    Args:
      whence: lookup in the table.
      possible: whether the pair has a path; one that hasn't has length 0.
      n: rows in use.
      m: columns in use.
      steps: cells of the longest path there can be.
    """

    def back(cell, _):  # noqa: ANN001, ANN202 (i, j) of every pair, to its predecessor's
        i, j = cell
        source = whence(jnp.clip(i, 0, None), jnp.clip(j, 0, None))
        inside = (i >= 0) & (j >= 0)
        here = jnp.where(inside, i, -1), jnp.where(inside, j, -1)
        return (i - (source != 2).astype(i.dtype), j - (source != 1).astype(j.dtype)), here

    ends = jnp.where(possible, n.astype(jnp.int32) - 1, -1), m.astype(jnp.int32) - 1
    _, cells = jax.lax.scan(back, ends, length=steps)
    reverse = jnp.stack(cells, axis=2)  # (K, P, 2), last cell first
    length = (reverse[:, :, 0] >= 0).sum(axis=0, dtype=jnp.int32)
    order = length[None, :] - 1 - jnp.arange(steps, dtype=jnp.int32)[:, None]
    path = jnp.take_along_axis(reverse, jnp.clip(order, 0, None)[:, :, None], axis=0)
    return jnp.where((order >= 0)[:, :, None], path, -1).swapaxes(0, 1), length

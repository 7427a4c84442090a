"""Entropic optimal transport between all frames of two utterances; `reference.transport` defines it.

Every frame of an utterance holds the same mass, and the cost of moving it is 1 - cosine. Sinkhorn's
iteration stops after ITERATIONS, and says how far it came. It runs on scalings, not on their logarithms,
which would cost an exponential a cell and iteration. float32 has room for that: costs lie in [0, 2], so a
cell of the kernel is at least exp(-2 / EPSILON) = 4e-18; with the largest column scaling set to 1, row
scalings lie between 1 / (N M) and exp(2 / EPSILON) / N, and sums of N M frames stay between 1e-21 and 1e18.
Words, whose masses differ and whose plans are sharper, have `transport`.

Sources: Cuturi, NIPS 2013; of frames of speech in two languages, POTSA (arXiv 2511.09232), whose constants
aren't known to us.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int

EPSILON = 0.05  # in units of the cost
ITERATIONS = 40  # of both sides


def transport(
    c: Float[Array, "N M"], n: Int[Array, ""], m: Int[Array, ""]
) -> tuple[Float32[Array, ""], Float32[Array, ""]]:
    """(cost, error) of one pair of utterances, from the cosines of its frames.

    The cost is <T, 1 - c> of the plan T that was reached, in [0, 2]; the error is the sum of |what a frame
    gives or takes - what it holds|, the larger of the two sides. NaN where a cosine in use is NaN; padding
    may hold anything.
    """
    rows, columns = jnp.arange(c.shape[0]) < n, jnp.arange(c.shape[1]) < m
    both = rows[:, None] & columns[None, :]
    distances = jnp.where(both, 1 - c.astype(jnp.float32), 0)
    kernel = jnp.where(both, jnp.exp(-distances / jnp.float32(EPSILON)), 0)
    give, take = (1 / k.astype(jnp.float32) for k in (n, m))

    # Sums of products, not matrix products, which accelerators would round to fewer bits.
    def of_rows(v: Float32[Array, " M"]) -> Float32[Array, " N"]:
        return jnp.where(rows, give / (kernel * v[None, :]).sum(axis=1), 0)

    def of_columns(u: Float32[Array, " N"]) -> Float32[Array, " M"]:
        return jnp.where(columns, take / (kernel * u[:, None]).sum(axis=0), 0)

    def advance(
        _: Int[Array, ""], scalings: tuple[Float32[Array, " N"], Float32[Array, " M"]]
    ) -> tuple[Float32[Array, " N"], Float32[Array, " M"]]:
        u = of_rows(scalings[1] / scalings[1].max())
        return u, of_columns(u)

    start = jnp.where(rows, give, 0), columns.astype(jnp.float32)
    u, v = jax.lax.fori_loop(0, ITERATIONS, advance, start)
    plan = u[:, None] * kernel * v[None, :]
    given = jnp.where(rows, jnp.abs(plan.sum(axis=1) - give), 0).sum()
    taken = jnp.where(columns, jnp.abs(plan.sum(axis=0) - take), 0).sum()
    return (plan * distances).sum(), jnp.maximum(given, taken)

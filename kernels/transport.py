"""Entropic optimal transport between the words of two utterances, so that one word may map to several.

Sinkhorn's iteration on logarithms, because exp(-cost / epsilon) itself would vanish for sharp plans; in
float32, a sentence pair a row; each row stops by itself and has the
same bits whatever else is in the batch. `word_reference.transport` defines the plan. OTT-JAX 0.6 gives the
same plans (to 3e-7, 24 words a side) but is not a dependency: it brings jaxopt, lineax, equinox and optax
along, and masks and the error reached, which it lacks, are most of this file.

Sources: Cuturi, NIPS 2013; Peyre & Cuturi, "Computational Optimal Transport", section 4.4.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Int


class Transport(NamedTuple):
    """Plans of a batch, or of one sentence pair without the leading axis.

    Attributes:
      plan: mass from word to word, sums to 1; 0 in the padding. NaN where there is no such plan.
      error: of the plan returned: sum of |what a word gives or takes - what it holds|, the larger of
        the two sides. Converged where it is at most the tolerance.
      iterations: done, at most the limit.
    """

    plan: Float[Array, "*B V W"]
    error: Float[Array, "*B"]
    iterations: Int[Array, "*B"]


class _Step(NamedTuple):
    """Logarithms of the scalings, the error of their plan, and the number of iterations."""

    rows: Float[Array, " V"]
    columns: Float[Array, " W"]
    error: Float[Array, ""]
    iterations: Int[Array, ""]


@functools.partial(jax.jit, static_argnames=("epsilon", "tolerance", "iterations"))
def transport(
    cost: Float[Array, "B V W"],
    a: Float[Array, "B V"],
    v: Int[Array, " B"],
    b: Float[Array, "B W"],
    w: Int[Array, " B"],
    *,
    epsilon: float,
    tolerance: float,
    iterations: int,
) -> Transport:
    """The T that minimises <T, cost> - epsilon H(T) between masses a and b, for each row.

    Args:
      cost: finite for words in use; padding may hold anything, NaN included.
      a: mass of each word of A, positive, of any scale: each side is divided by its sum.
      v: words in use, 1 <= v <= V.
      b: mass of each word of B.
      w: words of B in use.
      epsilon: in units of the cost. The smaller, the sharper and the slower.
      tolerance: of the error. float32 can't keep it much below 1e-7 cost / epsilon.
      iterations: at most, of both sides.

    Returns:
      NaN plans and errors for a number of words out of range, masses not positive, costs not finite.
    """
    solve = functools.partial(_solve, epsilon=epsilon, tolerance=tolerance, iterations=iterations)
    return jax.vmap(solve)(cost, a, v, b, w)


@jax.jit
def links(
    plan: Float[Array, "B V W"],
    a: Float[Array, "B V"],
    v: Int[Array, " B"],
    b: Float[Array, "B W"],
    w: Int[Array, " B"],
    threshold: Float[Array, ""],
) -> Bool[Array, "B V W"]:
    """Word pairs that exchange at least `threshold` of the most they could, min(a_i, b_j).

    A long word may so be linked to several short ones, each of which gives it most of what it holds.
    """
    give, take = jax.vmap(_shares)(a, v), jax.vmap(_shares)(b, w)
    most = jnp.minimum(give[:, :, None], take[:, None, :])
    return (plan >= threshold * most) & (most > 0)


def _shares(masses: Float[Array, " V"], words: Int[Array, ""]) -> Float[Array, " V"]:
    """Masses divided by their sum; 0 beyond the words in use."""
    held = jnp.where(jnp.arange(masses.shape[0]) < words, masses.astype(jnp.float32), 0)
    return held / held.sum()


def _solve(
    cost: Float[Array, "V W"],
    a: Float[Array, " V"],
    v: Int[Array, ""],
    b: Float[Array, " W"],
    w: Int[Array, ""],
    *,
    epsilon: float,
    tolerance: float,
    iterations: int,
) -> Transport:
    """One row of `transport`."""
    rows, columns = jnp.arange(cost.shape[0]) < v, jnp.arange(cost.shape[1]) < w
    both = rows[:, None] & columns[None, :]
    give, take = _shares(a, v), _shares(b, w)
    kernel = jnp.where(both, -cost.astype(jnp.float32) / jnp.float32(epsilon), -jnp.inf)
    log_give, log_take = jnp.log(give), jnp.log(take)

    def plan_of(step: _Step) -> Float[Array, "V W"]:
        return jnp.where(both, jnp.exp(step.rows[:, None] + kernel + step.columns[None, :]), 0)

    def advance(step: _Step) -> _Step:
        # The columns get what they hold, then the rows, which disturbs the columns a little less each time.
        on_columns = jnp.where(columns, log_take - logsumexp(kernel + step.rows[:, None], axis=0), -jnp.inf)
        on_rows = jnp.where(rows, log_give - logsumexp(kernel + on_columns[None, :], axis=1), -jnp.inf)
        scaled = _Step(on_rows, on_columns, step.error, step.iterations + 1)
        plan = plan_of(scaled)
        given, taken = jnp.abs(plan.sum(axis=1) - give), jnp.abs(plan.sum(axis=0) - take)
        return scaled._replace(error=jnp.maximum(given.sum(), taken.sum()))

    def unfinished(step: _Step) -> Bool[Array, ""]:
        return (step.error > tolerance) & (step.iterations < iterations)  # an error of NaN ends it

    start = _Step(
        rows=jnp.where(rows, 0.0, -jnp.inf).astype(jnp.float32),  # padded words take nothing
        columns=jnp.where(columns, 0.0, -jnp.inf).astype(jnp.float32),
        error=jnp.float32(jnp.inf),  # so that there is a first iteration
        iterations=jnp.int32(0),
    )
    last = jax.lax.while_loop(unfinished, advance, start)
    possible = (v >= 1) & (v <= a.shape[0]) & (w >= 1) & (w <= b.shape[0])
    possible &= jnp.where(rows, give > 0, True).all() & jnp.where(columns, take > 0, True).all()
    possible &= jnp.where(both, jnp.isfinite(kernel), True).all()
    plan, error = (jnp.where(possible, value, jnp.nan) for value in (plan_of(last), last.error))
    return Transport(plan, error, last.iterations)

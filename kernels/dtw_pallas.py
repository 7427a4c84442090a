"""DTW on a GPU, by a Pallas kernel that Triton compiles: a pair in every thread.

The table is cut into strips of rows by columns. Strips on an anti-diagonal don't depend on each other: one
launch fills them all, for every pair, and leaves its last row and column to the next launch. Within a strip
the row above stays in registers. Distances are turned first so that pairs lie side by side, as threads read
them: 8 bytes a cell for that and 4 to read them bound it by 358 GCUPS at 4.3 TB/s. **Nobody has run it on a
GPU**: interpreted and lowered only. JAX calls its Triton backend deprecated from 0.11 on.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Float, Int, Int8

from isogloss.kernels import block_sizes
from isogloss.kernels.block_sizes import Blocks, Strip
from isogloss.kernels.warping_path import walk_back


def blocks_here(*, interpret: bool) -> Blocks:
    """Block sizes for this process's GPU, the smallest there are for the interpreter.

    Raises:
      ValueError: there is no GPU to run on.
    """
    if interpret:
        return block_sizes.INTERPRETED
    if (platform := jax.default_backend()) != "gpu":
        raise ValueError(
            f"implementation 'pallas' needs a GPU, JAX runs on {platform}. Remedy: 'xla', which runs anywhere"
        )
    return block_sizes.blocks(jax.devices()[0].device_kind)


@functools.partial(jax.jit, static_argnames=("blocks", "normalise", "band", "interpret"))
def dtw_cost(
    distances: Float[Array, "P N M"],
    n: Int[Array, " P"],
    m: Int[Array, " P"],
    *,
    blocks: Blocks,
    normalise: bool = False,
    band: int | None = None,
    interpret: bool = False,
) -> Float[Array, " P"]:
    """Cost of every pair, as `isogloss.kernels.dtw.dtw_cost` states it; impossible lengths give NaN."""
    cost, _ = table(distances, n, m, band, blocks.strip, sources=False, interpret=interpret)
    return cost / (n + m).astype(jnp.float32) if normalise else cost


@functools.partial(jax.jit, static_argnames=("blocks", "band", "interpret"))
def dtw_path(
    distances: Float[Array, "P N M"],
    n: Int[Array, " P"],
    m: Int[Array, " P"],
    *,
    blocks: Blocks,
    band: int | None = None,
    interpret: bool = False,
) -> tuple[Int[Array, "P K 2"], Int[Array, " P"]]:
    """(path, length) of every pair, as `isogloss.kernels.dtw.dtw_path` states it."""
    cost, sources = table(distances, n, m, band, blocks.strip, sources=True, interpret=interpret)
    assert sources is not None
    pairs = jnp.arange(len(n))
    steps = distances.shape[1] + distances.shape[2] - 1
    return walk_back(lambda i, j: sources[i, j, pairs], jnp.isfinite(cost), n, m, steps)


def table(
    distances: Float[Array, "P N M"],
    n: Int[Array, " P"],
    m: Int[Array, " P"],
    band: int | None,
    strip: Strip,
    *,
    sources: bool,
    interpret: bool,
) -> tuple[Float[Array, " P"], Int8[Array, "N2 M2 P2"] | None]:
    """Cost of every pair and, if asked for, whence each sum came: 0 diagonal, 1 up, 2 left."""
    pairs, height, width = distances.shape
    fill = (0, -height % strip.rows), (0, -width % strip.columns), (0, -pairs % strip.lanes)
    turned = jnp.pad(distances.transpose(1, 2, 0), fill)
    rows, columns, lanes = turned.shape
    limits = tuple(jnp.pad(lengths.astype(jnp.int32), (0, lanes - pairs)) for lengths in (n, m))
    down, across = rows // strip.rows, columns // strip.columns
    state = [
        jnp.full((columns, lanes), jnp.inf),  # the table's last row so far
        jnp.full((rows, lanes), jnp.inf),  # its last column so far
        jnp.full((across, lanes), jnp.inf).at[0].set(0),  # the cell above and left of each strip
        jnp.zeros((across, lanes), jnp.int32),  # whether a column's strips met a NaN in use
    ]
    state += [jnp.zeros((rows, columns, lanes), jnp.int8)] if sources else []
    fill_strips = _launch(strip, band, (down, across), turned, state, interpret)

    def one_launch(k: Int[Array, ""], state: list[Array]) -> list[Array]:
        return list(fill_strips(k.reshape(1), *limits, turned, *state))

    state = jax.lax.fori_loop(0, down + across - 1, one_launch, state)
    ends = jnp.clip(m.astype(jnp.int32) - 1, 0, None)
    cost = jnp.take_along_axis(state[0][:, :pairs], ends[None, :], axis=0, mode="clip")[0]
    sound = (n >= 1) & (n <= height) & (m >= 1) & (m <= width) & (state[3][:, :pairs].max(axis=0) == 0)
    return jnp.where(sound, cost, jnp.nan), state[4] if sources else None


def _launch(strip, band, cut, turned, state, interpret):  # noqa: ANN001, ANN202
    """Function that fills all strips on anti-diagonal k and gives the state after it, in place."""

    def lanes(array: Array) -> pl.BlockSpec:
        return pl.BlockSpec((*array.shape[:-1], strip.lanes), lambda p, _: (*[0] * (array.ndim - 1), p))

    one = pl.BlockSpec((strip.lanes,), lambda p, _: (p,))
    given = [pl.BlockSpec((1,), lambda *_: (0,)), one, one, lanes(turned)]
    return pl.pallas_call(
        functools.partial(_kernel, strip, band, cut),
        out_shape=[jax.ShapeDtypeStruct(array.shape, array.dtype) for array in state],
        grid=(turned.shape[-1] // strip.lanes, min(cut)),
        in_specs=given + [lanes(array) for array in state],
        out_specs=[lanes(array) for array in state],
        input_output_aliases={len(given) + at: at for at in range(len(state))},
        compiler_params=triton.CompilerParams(num_warps=strip.lanes // 32 or 1, num_stages=1),
        interpret=interpret,
        name="isogloss_dtw_strips",
    )


def _kernel(strip, band, cut, k, n, m, distances, *state):  # noqa: ANN001, ANN002, ANN202
    """One strip of `lanes` pairs: (row, column, lane) references to memory. A row is the loop's step.

    Rows past n repeat the last one in use, so that the table's last row is row n - 1 of every pair.
    Triton's minimum drops a NaN: what is in use is looked at for one.
    """
    (down, across), half = cut, len(state) // 2
    last_row, last_column, corners, spoiled, *sources = state[half:]  # what was given is there too, in place
    a = jnp.maximum(0, k[0] - across + 1) + pl.program_id(1)
    b = k[0] - a
    n, m = n[:], m[:]
    first, left = a * strip.rows, b * strip.columns

    def one_row(r, carry):  # noqa: ANN001, ANN202 (row above, its corner, whether a NaN was met)
        above, diagonal, bad = list(carry[0]), carry[1], carry[2]
        i = first + r
        here = edge = last_column[i, :]
        for c, up in enumerate(above):
            j = left + c
            distance = distances[i, j, :].astype(jnp.float32)
            before = jnp.minimum(jnp.minimum(diagonal, up), here)
            for to in sources:
                to[i, j, :] = jnp.where(diagonal == before, 0, jnp.where(up == before, 1, 2)).astype(jnp.int8)
            here = distance + before
            if band is not None:
                here = jnp.where(jnp.abs(i - j) > band, jnp.inf, here)
            in_use = (i < n) & (j < m)
            bad = jnp.where(in_use & (jnp.isnan(distance)), 1, bad)
            diagonal, above[c] = up, jnp.where(i < n, here, up)
        last_column[i, :] = here
        return tuple(above), edge, bad

    @pl.when((a < down) & (b >= 0) & (first < n.max()) & (left < m.max()))
    def _() -> None:
        above = tuple(last_row[left + c, :] for c in range(strip.columns))
        start = above, corners[b, :], spoiled[b, :]
        above, corner, bad = jax.lax.fori_loop(0, strip.rows, one_row, start)
        for c, values in enumerate(above):
            last_row[left + c, :] = values
        corners[b, :], spoiled[b, :] = corner, bad

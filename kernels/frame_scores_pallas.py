"""SeqSim and DTW of all pairs on a GPU, by a Pallas kernel that Triton compiles.

A program takes a block of an utterance's frames past all frames of another, tile by tile: each tile of
cosines gives maxima of its rows and columns and, with DTW, its distances. One pass over the frames serves
precision and recall; only the column maxima of each block leave the chip, 1 / rows of the cosines. Frames of
two bytes are multiplied as they are, with float32 sums; lengths divide afterwards. **Never run on a GPU.**

Distances do go through device memory, 2 GB at a time: writing them takes 4 bytes a cell, 0.93 ps at 4.3 TB/s,
against 5.0 ps for the product of 1280 features at 65% of 790 TFLOP/s and 2.8 ps for DTW. To keep a tile
on the chip, a program would have to walk its 255 anti-diagonals while its tensor cores wait.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Bool, Float, Int

from isogloss.kernels import dtw_pallas
from isogloss.kernels.block_sizes import Blocks, Tile

_SLAB = 1 << 29  # float32 that go through memory at a time, 2 GB; no less than one utterance of A makes


@functools.partial(jax.jit, static_argnames=("maxima", "dtw", "blocks", "interpret"))
def frame_scores(
    x: Float[Array, "U N D"],
    n: Int[Array, " U"],
    y: Float[Array, "V M D"],
    m: Int[Array, " V"],
    *,
    maxima: bool,
    dtw: bool,
    blocks: Blocks,
    interpret: bool = False,
) -> tuple[Float[Array, "U V"], Float[Array, "U V"], Float[Array, "U V"]]:
    """Precision, recall and DTW cost of every pair; NaN for what is not asked for.

    NaN, too, where a length is out of range and for an utterance with a frame in use that is not finite.

    Args:
      x: frames of A, any scale; bfloat16 and float16 are multiplied as such, other types as float32.
      n: frames in use.
      y: frames of B, like x.
      m: frames in use.
      maxima: whether to give precision and recall.
      dtw: whether to give the cost.
      blocks: from `block_sizes`.
      interpret: run the kernels without a GPU, slowly.
    """
    tile = blocks.tile
    kind = jnp.result_type(x.dtype, y.dtype) if x.dtype == y.dtype else jnp.float32
    kind = kind if jnp.dtype(kind).itemsize == 2 else jnp.float32
    ours, our_factors, ours_sound = _prepared(x.astype(kind), n, tile.rows, tile)
    theirs, their_factors, theirs_sound = _prepared(y.astype(kind), m, tile.columns, tile)
    kept = ours.shape[1] if dtw else ours.shape[1] // tile.rows  # rows of cosines, or of their maxima
    size = max(1, min(x.shape[0], _SLAB // (kept * theirs.shape[1] * y.shape[0])))
    slabs = -(-x.shape[0] // size)

    def one_slab(
        slab: tuple[Float[Array, "A N D"], Float[Array, "A N"], Int[Array, " A"]],
    ) -> tuple[Float[Array, "A V"], Float[Array, "A V"], Float[Array, "A V"]]:
        a, factors, lengths = slab
        rows, columns, distances = _tiles(
            (a, factors, lengths), (theirs, their_factors, m), tile, dtw, interpret
        )
        nothing = jnp.full((size, y.shape[0]), jnp.nan, jnp.float32)
        return (
            _mean(rows, lengths[:, None]) if maxima else nothing,
            _mean(_highest(columns, lengths, tile.rows), m[None, :]) if maxima else nothing,
            _cost(distances, lengths, m, blocks, interpret) if dtw else nothing,
        )

    fill = lambda array: jnp.pad(array, ((0, slabs * size - len(array)), *[(0, 0)] * (array.ndim - 1)))  # noqa: E731
    cut = lambda array: fill(array).reshape(slabs, size, *array.shape[1:])  # noqa: E731
    found = jax.lax.map(one_slab, (cut(ours), cut(our_factors), cut(n)))
    sound = ours_sound[:, None] & theirs_sound[None, :]
    every = (scores.reshape(slabs * size, -1)[: x.shape[0]] for scores in found)
    precision, recall, cost = (jnp.where(sound, scores, jnp.nan) for scores in every)
    return precision, recall, cost


def _prepared(
    x: Float[Array, "U N D"], n: Int[Array, " U"], frames: int, tile: Tile
) -> tuple[Float[Array, "U N2 D2"], Float[Array, "U N2"], Bool[Array, " U"]]:
    """Frames cut to whole blocks, 1 / length of each (0 for zeros), and whether an utterance is sound.

    Padding repeats an utterance's first frame, which changes no maximum; features are padded with zeros.
    Powers of two bring huge and tiny frames into the range of float32 sums, exactly: float16 needs none.
    """
    used = (jnp.arange(x.shape[1])[None, :] < n[:, None])[:, :, None]
    x = jnp.where(used, x, x[:, :1])
    sound = jnp.isfinite(x).all(axis=(1, 2)) & (n >= 1) & (n <= x.shape[1])
    if x.dtype != jnp.float16:
        _, exponent = jnp.frexp(jnp.abs(x.astype(jnp.float32)).max(axis=2, keepdims=True))
        x = x * jnp.exp2(-jnp.clip(exponent, -126, 126).astype(jnp.float32)).astype(x.dtype)
    norm = jnp.sqrt(jnp.square(x.astype(jnp.float32)).sum(axis=2))
    factors = jnp.where(norm == 0, 0, 1 / jnp.where(norm == 0, 1, norm))
    more, deeper = -x.shape[1] % frames, -x.shape[2] % (tile.depth // x.dtype.itemsize)
    x = jnp.pad(jnp.pad(x, ((0, 0), (0, more), (0, 0)), mode="edge"), ((0, 0), (0, 0), (0, deeper)))
    return x, jnp.pad(factors, ((0, 0), (0, more)), mode="edge"), sound


def _tiles(
    ours: tuple[Float[Array, "U N D"], Float[Array, "U N"], Int[Array, " U"]],
    theirs: tuple[Float[Array, "V M D"], Float[Array, "V M"], Int[Array, " V"]],
    tile: Tile,
    with_distances: bool,
    interpret: bool,
) -> tuple[Float[Array, "U V N"], Float[Array, "U V blocks M"], Float[Array, "U V N M"] | None]:
    """Row maxima, column maxima of every block of rows, and 1 - cosine if asked for.

    What lies past the frames in use is anything.
    """
    (x, _, _), (y, _, _) = ours, theirs
    (users, n, d), (others, m, _) = x.shape, y.shape
    grid = (n // tile.rows, others, users)  # programs side by side share an utterance of B
    frames = [
        pl.BlockSpec((None, tile.rows, d), lambda i, _, u: (u, i, 0)),
        pl.BlockSpec((None, tile.rows), lambda i, _, u: (u, i)),
        pl.BlockSpec((None,), lambda i, _, u: (u,)),
        pl.BlockSpec((None, m, d), lambda i, v, _: (v, 0, 0)),
        pl.BlockSpec((None, m), lambda i, v, _: (v, 0)),
        pl.BlockSpec((None,), lambda i, v, _: (v,)),
    ]
    out = [
        ((users, others, n), pl.BlockSpec((None, None, tile.rows), lambda i, v, u: (u, v, i))),
        ((users, others, grid[0], m), pl.BlockSpec((None, None, None, m), lambda i, v, u: (u, v, i, 0))),
        ((users, others, n, m), pl.BlockSpec((None, None, tile.rows, m), lambda i, v, u: (u, v, i, 0))),
    ][: 3 if with_distances else 2]
    found = pl.pallas_call(
        functools.partial(_kernel, tile),
        out_shape=[jax.ShapeDtypeStruct(shape, jnp.float32) for shape, _ in out],
        grid=grid,
        in_specs=frames,
        out_specs=[spec for _, spec in out],
        compiler_params=triton.CompilerParams(num_warps=tile.warps, num_stages=tile.stages),
        interpret=interpret,
        name="isogloss_cosine_tiles",
    )(*ours, *theirs)
    return found[0], found[1], found[2] if with_distances else None


def _kernel(tile, x, our_factors, n, y, their_factors, m, row_maxima, column_maxima, *distances):  # noqa: ANN001, ANN002, ANN202
    """One block of rows, x (rows, D), past all frames of y (M, D): references to memory, n and m scalars."""
    depth = tile.depth // np.dtype(x.dtype).itemsize

    def one_tile(j: Int[Array, ""], highest: Float[Array, " rows"]) -> Float[Array, " rows"]:
        here = pl.ds(j * tile.columns, tile.columns)

        def one_slice(k: Int[Array, ""], sums: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
            features = pl.ds(k * depth, depth)
            return sums + triton.dot(x[:, features], y[here, features], trans_b=True, precision="highest")

        c = jax.lax.fori_loop(0, x.shape[1] // depth, one_slice, jnp.zeros((tile.rows, tile.columns)))
        c = c * our_factors[:][:, None] * their_factors[here][None, :]
        column_maxima[here] = c.max(axis=0)
        for kept in distances:
            kept[:, here] = 1 - c
        return jnp.maximum(highest, c.max(axis=1))

    @pl.when(pl.program_id(0) * tile.rows < n[...])
    def _() -> None:
        start = jnp.full(tile.rows, -jnp.inf, jnp.float32)
        row_maxima[:] = jax.lax.fori_loop(0, pl.cdiv(m[...], tile.columns), one_tile, start)


def _highest(columns: Float[Array, "U V blocks M"], n: Int[Array, " U"], rows: int) -> Float[Array, "U V M"]:
    """Column maxima over the blocks of rows that hold a frame in use."""
    in_use = (jnp.arange(columns.shape[2])[None, :] * rows < n[:, None])[:, None, :, None]
    return jnp.where(in_use, columns, -jnp.inf).max(axis=2)


def _mean(values: Float[Array, "U V N"], count: Int[Array, "#U #V"]) -> Float[Array, "U V"]:
    """Mean of the first `count` values."""
    used = jnp.arange(values.shape[2])[None, None, :] < count[:, :, None]
    return jnp.where(used, values, 0).sum(axis=2) / count.astype(jnp.float32)


def _cost(
    distances: Float[Array, "U V N M"] | None,
    n: Int[Array, " U"],
    m: Int[Array, " V"],
    blocks: Blocks,
    interpret: bool,
) -> Float[Array, "U V"]:
    assert distances is not None
    users, others, longest, widest = distances.shape
    pairs = distances.reshape(users * others, longest, widest)
    lengths = jnp.repeat(n, others), jnp.tile(m, users)
    cost, _ = dtw_pallas.table(pairs, *lengths, None, blocks.strip, sources=False, interpret=interpret)
    return cost.reshape(users, others)

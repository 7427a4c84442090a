"""Dynamic time warping of padded batches; `reference.dtw_cost` and `dtw_path` define it.

Implementations, chosen by name: "xla" runs on any device, under jit too; "numba" is the fast one on a CPU. In
XLA a cell needs only the two anti-diagonals before it, so one step of a scan fills an anti-diagonal of every
pair: N + M - 1 steps, each of N lanes for every pair. A step reads its anti-diagonal where it stands, so the
distances are in memory once. Nothing flows backwards, so cells past (n, m) may hold anything, NaN included.
Lanes never mix: a pair has the same bits whatever else is in the batch.

Source: Sakoe & Chiba, IEEE TASSP 26(1), 1978; symmetric steps, all weights 1.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

IMPLEMENTATIONS = ("xla", "numba")
NORMALISATIONS = ("none", "length_sum", "path_length")


def dtw_cost(
    distances: Float[np.ndarray | Array, "P N M"],
    n: Int[np.ndarray | Array, " P"],
    m: Int[np.ndarray | Array, " P"],
    *,
    normalise: str = "none",
    implementation: str = "xla",
) -> Float[np.ndarray | Array, " P"]:
    """Sum along the cheapest warping path of every pair p: distances[p, :n[p], :m[p]].

    Args:
      distances: frame distances, padded to (N, M); any float type, added in float32.
      n: rows in use, 1 <= n <= N.
      m: columns in use, 1 <= m <= M.
      normalise: "length_sum" divides by n + m, "path_length" by the number of cells of the path that
        `dtw_path` gives.
      implementation: one of IMPLEMENTATIONS.

    Returns:
      Costs in the unit of `distances`, NaN where a distance in use is NaN. A length out of range gives NaN
      in XLA, because a traced value cannot raise.

    Raises:
      ValueError: an unknown implementation or normalisation, a length out of range in Numba.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation must be one of {IMPLEMENTATIONS}, got {implementation!r}")
    check_normalise(normalise)
    if implementation == "numba":
        from isogloss.kernels.cpu import dtw  # noqa: PLC0415 Numba takes long to import

        cost = dtw.dtw_cost(*map(np.asarray, (distances, n, m)), per_cell=normalise == "path_length")
    else:
        cost = _xla_cost(distances, n, m, per_cell=normalise == "path_length")
    return cost / (n + m).astype(np.float32) if normalise == "length_sum" else cost


def check_normalise(normalise: str) -> None:
    """Raise ValueError unless it is one of NORMALISATIONS."""
    if normalise not in NORMALISATIONS:
        raise ValueError(f"DTW is normalised by one of {NORMALISATIONS}, got {normalise!r}")


@jax.jit
def dtw_path(
    distances: Float[np.ndarray | Array, "P N M"],
    n: Int[np.ndarray | Array, " P"],
    m: Int[np.ndarray | Array, " P"],
) -> tuple[Int[Array, "P K 2"], Int[Array, " P"], Bool[Array, " P"]]:
    """(path, length, tied): the cells (i, j) of every pair's cheapest path, K = N + M - 1.

    path[p, :length[p]] leads from (0, 0) to (n - 1, m - 1), the rest is -1. Of equal predecessors it takes
    the diagonal, then the one above, then the left one. `tied` says whether another path has the same sum
    in float32. Arguments are those of `dtw_cost`; where the cost is not finite, length is 0 and nothing tied.
    """
    n, m = jnp.asarray(n), jnp.asarray(m)
    found, predecessors = _warp(jnp.asarray(distances)[..., None], n[:, None], m[:, None])
    path, length = _walk_back(predecessors[..., 0], jnp.isfinite(found.cost[:, 0]), n, m)
    return path, length, (found.ways[:, 0] > 1) & (length > 0)


def lanes_cost(
    distances: Float[Array, "U N M V"], n: Int[Array, "U V"], m: Int[Array, "U V"], *, per_cell: bool = False
) -> Float[Array, "U V"]:
    """`dtw_cost` of a table of pairs, their distances as products of frames put them.

    Neighbours in memory are pairs, so a device reads and writes whole lines. Divided by the number of the
    path's cells if `per_cell`.
    """
    found, _ = _warp(distances, n, m)
    return found.cost / found.cells.astype(jnp.float32) if per_cell else found.cost


@functools.partial(jax.jit, static_argnames="per_cell")
def _xla_cost(
    distances: Float[Array, "P N M"], n: Int[Array, " P"], m: Int[Array, " P"], *, per_cell: bool
) -> Float[Array, " P"]:
    return lanes_cost(distances[..., None], n[:, None], m[:, None], per_cell=per_cell)[:, 0]


class _Sums(NamedTuple):
    """Values that flow along the paths, by cell of an anti-diagonal or at the paths' ends.

    Attributes:
      cost: sum along the cheapest path to the cell; infinite outside the table.
      cells: number of that path's cells.
      ways: number of paths with that sum, counted up to 2.
    """

    cost: Float[Array, "U *S V"]
    cells: Int[Array, "U *S V"]
    ways: Int[Array, "U *S V"]


def _warp(
    distances: Float[Array, "U N M V"], n: Int[Array, "U V"], m: Int[Array, "U V"]
) -> tuple[_Sums, Int[Array, "K U N V"]]:
    """(sums at every pair's last cell, predecessor of every cell: 0 diagonal, 1 up, 2 left).

    The compiler drops from the loop what the caller doesn't use.
    """
    users, rows, columns, pairs = distances.shape

    def step(
        carry: tuple[_Sums, _Sums, _Sums], k: Int[Array, ""]
    ) -> tuple[tuple[_Sums, _Sums, _Sums], Int[Array, "U N V"]]:
        two_ago, one_ago, last = carry
        now, predecessor = _next_sums(_anti_diagonal(distances, k), two_ago, one_ago)
        # Lane n is cell (n - 1, ...), see `_next_sums`. Lengths out of range read some other lane, and their
        # result is dropped below.
        at_end = [jnp.take_along_axis(lanes, n[:, None, :], axis=1, mode="clip")[:, 0] for lanes in now]
        ends_here = k == n + m - 2
        last = _Sums(*(jnp.where(ends_here, a, b) for a, b in zip(at_end, last, strict=True)))
        return (one_ago, now, last), predecessor

    # Of the cells before the table only (-1, -1) is a way in: no cost, no cells, one way.
    none = jnp.zeros((users, rows + 1, pairs), jnp.int32)
    outside = _Sums(jnp.full(none.shape, jnp.inf, jnp.float32), none, none)
    corner = outside._replace(cost=outside.cost.at[:, 0].set(0), ways=none.at[:, 0].set(1))
    nowhere = _Sums(jnp.full((users, pairs), jnp.nan, jnp.float32), none[:, 0], none[:, 0])
    steps = jnp.arange(rows + columns - 1)
    (_, _, last), predecessors = jax.lax.scan(step, (corner, outside, nowhere), steps)
    possible = (n >= 1) & (n <= rows) & (m >= 1) & (m <= columns)
    return last._replace(cost=jnp.where(possible, last.cost, jnp.nan)), predecessors


def _next_sums(
    distance: Float[Array, "U N V"], two_ago: _Sums, one_ago: _Sums
) -> tuple[_Sums, Int[Array, "U N V"]]:
    """Sums on an anti-diagonal of the table, and each cell's predecessor.

    On anti-diagonal k, lane i + 1 is cell (i, k - i), and lane 0 stands above the table. So the cells above
    and left of lane i + 1 are lanes i and i + 1 of the anti-diagonal before, and the diagonal one is lane i
    of the one before that.
    """
    diagonal, up, left = (
        _Sums(*(lanes[:, some] for lanes in sums))
        for sums, some in ((two_ago, slice(None, -1)), (one_ago, slice(None, -1)), (one_ago, slice(1, None)))
    )
    # A NaN passes jnp.minimum, so it reaches every cell after it, and the cost.
    least = jnp.minimum(jnp.minimum(diagonal.cost, up.cost), left.cost)
    predecessor = jnp.where(diagonal.cost == least, 0, jnp.where(up.cost == least, 1, 2)).astype(jnp.int8)
    # Whether there is a tie is all that is asked, so 2 stands for more; a full count would overflow.
    as_cheap = (jnp.where(before.cost == least, before.ways, 0) for before in (diagonal, up, left))
    cells = jnp.where(predecessor == 0, diagonal.cells, jnp.where(predecessor == 1, up.cells, left.cells))
    now = _Sums(distance + least, 1 + cells, jnp.minimum(sum(as_cheap), 2))
    # Lane 0 of every anti-diagonal stands outside of the table.
    fills = zip(now, (jnp.inf, 0, 0), strict=True)
    above = _Sums(*(jnp.full_like(lanes[:, :1], fill) for lanes, fill in fills))
    return jax.tree.map(lambda *lanes: jnp.concatenate(lanes, axis=1), above, now), predecessor


def _anti_diagonal(distances: Float[Array, "U N M V"], k: Int[Array, ""]) -> Float[Array, "U N V"]:
    """distances[u, i, k - i, v], infinite outside the table, for k < N + M - 1.

    In a table written row after row, cell (i, k - i) is number k + i (M - 1): a slice from k on in strides of
    M - 1, whose last element is in the table for the last k. The compiler reads these cells and no others.
    """
    users, rows, columns, pairs = distances.shape
    stride, cells = max(columns - 1, 1), (rows - 1) * (columns - 1) + 1
    flat = distances.reshape(users, rows * columns, pairs)
    slab = jax.lax.dynamic_slice_in_dim(flat, k, cells, axis=1)[:, ::stride]
    column = k - jnp.arange(rows)  # of tables of one column `slab` has one row, and the mask picks it out
    inside = (column >= 0) & (column < columns)
    here = jnp.broadcast_to(slab, (users, rows, pairs)).astype(jnp.float32)
    return jnp.where(inside[None, :, None], here, jnp.inf)


def _walk_back(
    predecessors: Int[Array, "K P N"], possible: Bool[Array, " P"], n: Int[Array, " P"], m: Int[Array, " P"]
) -> tuple[Int[Array, "P K 2"], Int[Array, " P"]]:
    """(path, length) of every pair; length 0 where no path is `possible`."""
    steps, pairs, _ = predecessors.shape

    def back(
        cell: tuple[Int[Array, " P"], Int[Array, " P"]], _: None
    ) -> tuple[tuple[Int[Array, " P"], Int[Array, " P"]], tuple[Int[Array, " P"], Int[Array, " P"]]]:
        # All pairs walk as many steps; those that have arrived go on outside, clipped and marked -1.
        i, j = cell
        before = predecessors[jnp.clip(i + j, 0), jnp.arange(pairs), jnp.clip(i, 0)]
        inside = (i >= 0) & (j >= 0)
        here = jnp.where(inside, i, -1), jnp.where(inside, j, -1)
        return (i - (before != 2).astype(i.dtype), j - (before != 1).astype(j.dtype)), here

    ends = jnp.where(possible, n.astype(jnp.int32) - 1, -1), m.astype(jnp.int32) - 1
    _, cells = jax.lax.scan(back, ends, length=steps)
    reverse = jnp.stack(cells, axis=2)  # (K, P, 2), last cell first
    length = (reverse[:, :, 0] >= 0).sum(axis=0, dtype=jnp.int32)
    # The walk came backwards: turn each path round on its own length.
    order = length[None, :] - 1 - jnp.arange(steps, dtype=jnp.int32)[:, None]
    path = jnp.take_along_axis(reverse, jnp.clip(order, 0)[:, :, None], axis=0)
    return jnp.where((order >= 0)[:, :, None], path, -1).swapaxes(0, 1), length

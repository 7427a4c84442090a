"""Dynamic time warping of padded batches; `reference.dtw_cost` and `dtw_path` define it.

Implementations, chosen by name: "xla" runs on any device, under jit too; "numba" is the fast
one on a CPU, "pallas" is for a GPU, where nobody has seen it run yet. In XLA a cell needs
only the two anti-diagonals before it, so one step of a scan fills an anti-diagonal of every pair:
N + M - 1 steps of (N, P) lanes, on a skewed copy of the distances. Nothing flows backwards, so cells
past (n, m) may hold anything, NaN included.

Source: Sakoe & Chiba, IEEE TASSP 26(1), 1978; symmetric steps, all weights 1.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from isogloss.kernels.warping_path import walk_back

IMPLEMENTATIONS = ("xla", "numba", "pallas")


def dtw_cost(
    distances: Float[np.ndarray | Array, "P N M"],
    n: Int[np.ndarray | Array, " P"],
    m: Int[np.ndarray | Array, " P"],
    *,
    normalise: bool = False,
    band: int | None = None,
    implementation: str = "xla",
    interpret: bool = False,
) -> Float[np.ndarray | Array, " P"]:
    """Sum along the cheapest warping path of every pair p: distances[p, :n[p], :m[p]].

    Args:
      distances: frame distances, padded to (N, M); any float type, added in float32.
      n: rows in use, 1 <= n <= N.
      m: columns in use, 1 <= m <= M.
      normalise: divide by n + m.
      band: use only cells with |i - j| <= band (Sakoe-Chiba); no bound if None.
      implementation: one of IMPLEMENTATIONS.
      interpret: run "pallas" without a GPU, slowly, as tests do.

    Returns:
      Costs in the unit of `distances`; infinite where the band admits no path, NaN where a
      distance in use is NaN. A length out of range gives NaN in XLA, because a traced value
      cannot raise.

    Raises:
      ValueError: a negative band, an unknown implementation, "pallas" without a GPU, a length out
        of range in Numba.
    """
    _check(band, implementation)
    if implementation == "numba":
        from isogloss.kernels.cpu import dtw  # noqa: PLC0415 Numba takes long to import

        given = (np.asarray(array) for array in (distances, n, m))
        return dtw.dtw_cost(*given, normalise=normalise, band=band)
    if implementation == "pallas":
        from isogloss.kernels import dtw_pallas  # noqa: PLC0415 Pallas takes a second to import

        chosen = {"blocks": dtw_pallas.blocks_here(interpret=interpret), "interpret": interpret}
        return dtw_pallas.dtw_cost(distances, n, m, normalise=normalise, band=band, **chosen)
    return _xla_cost(distances, n, m, normalise=normalise, band=band)


def dtw_path(
    distances: Float[np.ndarray | Array, "P N M"],
    n: Int[np.ndarray | Array, " P"],
    m: Int[np.ndarray | Array, " P"],
    *,
    band: int | None = None,
    implementation: str = "xla",
    interpret: bool = False,
) -> tuple[Int[np.ndarray | Array, "P K 2"], Int[np.ndarray | Array, " P"]]:
    """(path, length): the cells (i, j) of every pair's cheapest path, K = N + M - 1.

    path[p, :length[p]] leads from (0, 0) to (n - 1, m - 1), the rest is -1. Of equal predecessors
    it takes the diagonal, then the one above, then the left one. Arguments and errors are those
    of `dtw_cost`; length is 0 where the cost is not finite.
    """
    _check(band, implementation)
    if implementation == "numba":
        from isogloss.kernels.cpu import dtw  # noqa: PLC0415 Numba takes long to import

        return dtw.dtw_path(*(np.asarray(a) for a in (distances, n, m)), band=band)
    if implementation == "pallas":
        from isogloss.kernels import dtw_pallas  # noqa: PLC0415 Pallas takes a second to import

        chosen = {"blocks": dtw_pallas.blocks_here(interpret=interpret), "interpret": interpret}
        return dtw_pallas.dtw_path(distances, n, m, band=band, **chosen)
    return _xla_path(distances, n, m, band=band)


def lanes_cost(
    distances: Float[Array, "N P M"],
    n: Int[Array, " P"],
    m: Int[Array, " P"],
    band: int | None = None,
) -> Float[Array, " P"]:
    """`dtw_cost` of distances with the pairs in the middle, where a similarity product puts them."""

    def step(
        carry: tuple[Float[Array, "N1 P"], Float[Array, "N1 P"], Float[Array, " P"]],
        given: tuple[Int[Array, ""], Float[Array, "N P"]],
    ) -> tuple[tuple[Float[Array, "N1 P"], Float[Array, "N1 P"], Float[Array, " P"]], None]:
        two_ago, one_ago, cost = carry
        k, here = given
        now, _ = _anti_diagonal(k, here, two_ago, one_ago, band)
        last = jnp.take_along_axis(now, n[None, :], axis=0, mode="clip")[0]
        return (one_ago, now, jnp.where(k == n + m - 2, last, cost)), None

    steps, start = _skew(distances), _start(distances)
    carry = (*start, jnp.full(distances.shape[1], jnp.nan, jnp.float32))
    (_, _, cost), _ = jax.lax.scan(step, carry, (jnp.arange(steps.shape[0]), steps))
    return jnp.where(_possible(n, m, distances), cost, jnp.nan)


@functools.partial(jax.jit, static_argnames=("normalise", "band"))
def _xla_cost(
    distances: Float[Array, "P N M"],
    n: Int[Array, " P"],
    m: Int[Array, " P"],
    *,
    normalise: bool,
    band: int | None,
) -> Float[Array, " P"]:
    cost = lanes_cost(distances.swapaxes(0, 1), n, m, band)
    return cost / (n + m).astype(jnp.float32) if normalise else cost


@functools.partial(jax.jit, static_argnames="band")
def _xla_path(
    distances: Float[Array, "P N M"], n: Int[Array, " P"], m: Int[Array, " P"], *, band: int | None
) -> tuple[Int[Array, "P K 2"], Int[Array, " P"]]:
    lanes = distances.swapaxes(0, 1)
    pairs = jnp.arange(lanes.shape[1])

    def down(carry, given):  # noqa: ANN001, ANN202 one anti-diagonal, as in lanes_cost
        two_ago, one_ago = carry
        k, here = given
        now, source = _anti_diagonal(k, here, two_ago, one_ago, band)
        return (one_ago, now), source

    steps = _skew(lanes)
    count = steps.shape[0]
    _, sources = jax.lax.scan(down, _start(lanes), (jnp.arange(count), steps))
    possible = _possible(n, m, lanes) & jnp.isfinite(lanes_cost(lanes, n, m, band))

    def whence(i: Int[Array, " P"], j: Int[Array, " P"]) -> Int[Array, " P"]:
        return sources[jnp.clip(i + j, 0, count - 1), i, pairs]

    return walk_back(whence, possible, n, m, count)


def _anti_diagonal(
    k: Int[Array, ""],
    distance: Float[Array, "N P"],
    two_ago: Float[Array, "N1 P"],
    one_ago: Float[Array, "N1 P"],
    band: int | None,
) -> tuple[Float[Array, "N1 P"], Int[Array, "N P"]]:
    """Anti-diagonal k of the table, and whence each sum came: 0 diagonal, 1 up, 2 left.

    Lane i + 1 is cell (i, k - i); lane 0 stands above the table.
    """
    diagonal, up, left = two_ago[:-1], one_ago[:-1], one_ago[1:]
    before = jnp.minimum(jnp.minimum(diagonal, up), left)
    source = jnp.where(diagonal == before, 0, jnp.where(up == before, 1, 2)).astype(jnp.int8)
    now = distance + before
    if band is not None:
        far = jnp.abs(k - 2 * jnp.arange(distance.shape[0])) > band
        now = jnp.where(far[:, None], jnp.inf, now)
    return jnp.concatenate([jnp.full_like(now[:1], jnp.inf), now]), source


def _start(distances: Float[Array, "N P M"]) -> tuple[Float[Array, "N1 P"], Float[Array, "N1 P"]]:
    """The two anti-diagonals before the table: of their cells only (-1, -1) is a way in."""
    off = jnp.full((distances.shape[0] + 1, distances.shape[1]), jnp.inf, jnp.float32)
    return off.at[0].set(0), off


def _skew(distances: Float[Array, "N P M"]) -> Float[Array, "K N P"]:
    """Entry [k, i, p] is distances[i, p, k - i], infinite outside; K = N + M - 1.

    Rows padded by N, read as one flat row of N cells less, begin one column later each.
    """
    rows, pairs, columns = distances.shape
    lanes = distances.astype(jnp.float32).transpose(1, 0, 2)
    padded = jnp.pad(lanes, ((0, 0), (0, 0), (0, rows)), constant_values=jnp.inf)
    flat = padded.reshape(pairs, rows * (columns + rows))[:, : rows * (columns + rows - 1)]
    return flat.reshape(pairs, rows, columns + rows - 1).transpose(2, 1, 0)


def _possible(
    n: Int[Array, " P"], m: Int[Array, " P"], distances: Float[Array, "N P M"]
) -> Bool[Array, " P"]:
    rows, _, columns = distances.shape
    return (n >= 1) & (n <= rows) & (m >= 1) & (m <= columns)


def _check(band: int | None, implementation: str) -> None:
    if band is not None and band < 0:
        raise ValueError(f"a band is at least 0, got {band}")
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation must be one of {IMPLEMENTATIONS}, got {implementation!r}")

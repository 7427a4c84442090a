"""DTW of given distances on the CPU; `reference.dtw_cost` defines it.

A pair's table is filled in strips of sixteen rows, an anti-diagonal of the strip at a time. The cells of an
anti-diagonal don't depend on each other, so they fill a register; and each pair is computed by itself,
whatever the lengths of the others. Memory: a row of sums per thread.
Threads are Python's (compiled code lets go of the interpreter): safe beside JAX and under a caller's own
threads, which Numba's default threading layer is not.

Arrays are made in Python, and small functions are put into their callers before types are found: to compile
an allocation, or a function by itself, takes Numba 0.1 s.
"""

import concurrent.futures
import typing
from collections.abc import Sequence

import numba
import numpy as np
from jaxtyping import Float, Int

from isogloss.kernels.cpu import microkernels
from isogloss.kernels.cpu.compiled import compiled
from isogloss.kernels.cpu.microkernels import LANES

_SMALL = 1 << 20  # cells that one thread computes before others have started
SHARES = 4  # portions of the work per thread, so that one that is held up has less to do
_strip = microkernels.strip(count=False)
_counting_strip = microkernels.strip(count=True)
Room = tuple[
    Float[np.ndarray, "2 edge"],
    Float[np.ndarray, " spare"],
    Int[np.ndarray, " lanes"],
    Float[np.ndarray, " LANES"],
]
"""(edge, spare, lanes, state) of `cost`, whose content means nothing between calls."""


def dtw_cost(
    distances: Float[np.ndarray, "P N M"],
    n: Int[np.ndarray, " P"],
    m: Int[np.ndarray, " P"],
    *,
    per_cell: bool,
) -> Float[np.ndarray, " P"]:
    """Cost of every pair, divided by the cells of its path if `per_cell`.

    Raises:
      ValueError: a length is out of range.
    """
    check_lengths(n, m, distances.shape)
    # Numba has another type, and other code, for arrays that can't be written.
    flat = np.require(distances, np.float32, ["C", "W"]).reshape(-1)
    rows, columns = n.astype(np.int64), m.astype(np.int64)
    costs = np.zeros(len(n), np.float32)

    def work(pairs: Int[np.ndarray, " share"]) -> None:
        _costs(flat, distances.shape, pairs, rows, columns, per_cell, room(distances.shape[2]), costs)

    # Threads cost more than they bring for a few small pairs.
    cells = rows * columns
    order = np.argsort(-cells, kind="stable")  # the largest first, dealt out like cards
    if cells.sum() <= _SMALL or len(order) == 1:
        work(order)
        return costs
    count = min(len(order), SHARES * numba.get_num_threads())
    with concurrent.futures.ThreadPoolExecutor(numba.get_num_threads()) as threads:
        for _ in threads.map(work, [order[share::count] for share in range(count)]):
            pass  # the results are in `costs`; asking for them raises what a thread raised
    return costs


def check_lengths(n: Int[np.ndarray, " P"], m: Int[np.ndarray, " P"], shape: Sequence[int]) -> None:
    """Raise ValueError unless 1 <= n <= N and 1 <= m <= M for every pair."""
    for name, lengths, longest in (("n", n, shape[-2]), ("m", m, shape[-1])):
        if len(lengths) and not (lengths.min() >= 1 and lengths.max() <= longest):
            raise ValueError(
                f"{name} must lie in [1, {longest}], the padded length; "
                f"got {lengths.min()} to {lengths.max()}"
            )


@compiled()
@typing.no_type_check
def _costs(
    flat: Float[np.ndarray, " cells"],
    shape: tuple[int, int, int],
    pairs: Int[np.ndarray, " share"],
    n: Int[np.ndarray, " P"],
    m: Int[np.ndarray, " P"],
    per_cell: bool,
    scratch: Room,
    costs: Float[np.ndarray, " P"],
) -> None:
    """Write to `costs` those of `pairs`."""
    for p in pairs:
        table = p * shape[1] * shape[2], shape[2], n[p], m[p]
        costs[p] = cost(flat, table, scratch, per_cell)


def room(columns: int) -> Room:
    """Memory that `cost` needs for tables of so many columns."""
    steps = columns + 2 * LANES
    edge, spare = np.empty((2, steps + 2 * LANES), np.float32), np.empty(LANES * steps, np.float32)
    return edge, spare, np.empty(2 * LANES, np.int64), np.empty(LANES, np.float32)


@compiled(inline="always")
@typing.no_type_check
def cost(
    flat: Float[np.ndarray, " cells"],
    table: tuple[int, int, int, int],
    scratch: Room,
    per_cell: bool,
) -> float:
    """Cost of one pair, divided by the cells of its path if `per_cell`; NaN if a distance in use is.

    Strips end with the last row, so the first strip may begin with rows above the table. They have no cell,
    and the strip starts at the step at which row 0 enters.

    Args:
      flat: distances.
      table: where in `flat` it starts, length of its rows there, rows and columns in use.
      scratch: from `room`, whose edge holds the sums of the row above a strip, and the cells of their paths.
      per_cell: whether to count and divide.
    """
    _, width, n, m = table
    edge, spare, lanes, state = scratch
    above = -n % LANES
    sums, cells = edge[0], edge[1]
    sums[:] = np.inf  # nothing is above the first strip
    cells[:] = 0
    nan = False
    for s in range((n + above) // LANES):
        first = above if s == 0 else 0
        # The highest row needs m steps, the lowest begins LANES - 1 steps later.
        blocks = (m + 2 * LANES - 2 - first) // LANES
        furthest = _set_lanes(table, s * LANES - above, first, lanes, state)
        source = flat
        if furthest + blocks * LANES > len(flat):
            _copy(flat, lanes, blocks * LANES, spare)
            source = spare
        if per_cell:
            _counting_strip(source, LANES * width, lanes, state, sums, cells, first, blocks)
        else:
            _strip(source, LANES * width, lanes, state, sums, cells, first, blocks)
        for lane in range(LANES):  # every row: a minimum avoids a NaN, so the last sum needn't have met it
            nan |= np.isnan(state[lane])
    last = LANES + m - 1
    found = sums[last] / cells[last] if per_cell else sums[last]
    return np.float32(np.nan) if nan else found


@compiled(inline="always")
@typing.no_type_check
def _set_lanes(
    table: tuple[int, int, int, int],
    top: int,
    first: int,
    lanes: Int[np.ndarray, " lanes"],
    state: Float[np.ndarray, " LANES"],
) -> int:
    """Write the `lanes` and the `state` that a strip starts with, whose highest row is `top` of the table.

    Returns the furthest entry at which a lane starts.
    """
    start, width, _, m = table
    furthest = start
    for lane in range(LANES):
        i = LANES - 1 - lane
        row = top + i
        # Skewed: at step k the row i rows below the highest is at column k - i.
        lanes[lane] = start + row * width + first - i if row >= 0 else start
        lanes[LANES + lane] = m if row >= 0 else 0
        # Every path begins at the cell (0, 0), as if a sum of 0 stood diagonally before it.
        state[lane] = 0.0 if row == 0 else np.inf
        furthest = max(furthest, lanes[lane])
    return furthest


@compiled(inline="always")
@typing.no_type_check
def _copy(
    flat: Float[np.ndarray, " cells"],
    lanes: Int[np.ndarray, " lanes"],
    steps: int,
    spare: Float[np.ndarray, " spare"],
) -> None:
    """Copy what a strip reads to `spare`, because the last strip would read past the end of `flat`."""
    for lane in range(LANES):
        for k in range(min(steps, len(flat) - lanes[lane])):
            spare[lane * steps + k] = flat[lanes[lane] + k]
        lanes[lane] = lane * steps

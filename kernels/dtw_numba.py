"""DTW on the CPU: sixteen pairs in the lanes of a register; `reference.dtw_cost` defines it.

The table is filled in strips of a few columns: within a strip the row above stays in registers,
only the strip's last column is kept for the next one. Memory: one tile per thread, no table.
Threads are Python's (compiled code lets go of the interpreter): safe beside JAX and under a
caller's own threads, which Numba's default threading layer is not.
"""

import concurrent.futures
from collections.abc import Sequence

import numba
import numpy as np
from jaxtyping import Float, Int

from isogloss.kernels import registers_numba
from isogloss.kernels.registers_numba import COLUMNS, LANES

_ROWS = 64  # rows of distances interleaved at a time: 32 KB


def dtw_cost(
    distances: Float[np.ndarray, "P N M"],
    n: Int[np.ndarray, " P"],
    m: Int[np.ndarray, " P"],
    *,
    normalise: bool = False,
    band: int | None = None,
) -> Float[np.ndarray, " P"]:
    """Cost of every pair, as `isogloss.kernels.dtw.dtw_cost` states it.

    Raises:
      ValueError: a length is out of range.
    """
    check_lengths(n, m, distances.shape)
    distances = np.ascontiguousarray(distances, np.float32)
    order = np.lexsort((n, m)).astype(np.int64)  # neighbours of equal size leave few lanes idle
    groups = [order[at : at + LANES] for at in range(0, len(order), LANES)]
    costs = np.zeros(len(order), np.float32)
    widest = max(distances.shape[1:]) if band is None else band
    ends = np.stack([n, m]).astype(np.int64)
    with concurrent.futures.ThreadPoolExecutor(numba.get_num_threads()) as threads:
        for _ in threads.map(lambda group: _group_costs(distances, group, ends, widest, costs), groups):
            pass
    return costs / (n + m).astype(np.float32) if normalise else costs


def dtw_path(
    distances: Float[np.ndarray, "P N M"],
    n: Int[np.ndarray, " P"],
    m: Int[np.ndarray, " P"],
    *,
    band: int | None = None,
) -> tuple[Int[np.ndarray, "P K 2"], Int[np.ndarray, " P"]]:
    """(path, length) of every pair, as `isogloss.kernels.dtw.dtw_path` states it.

    Raises:
      ValueError: a length is out of range.
    """
    check_lengths(n, m, distances.shape)
    pairs, rows, columns = distances.shape
    distances = np.ascontiguousarray(distances, np.float32)
    paths = np.full((pairs, rows + columns - 1, 2), -1, np.int32)
    lengths = np.zeros(pairs, np.int32)
    widest = max(rows, columns) if band is None else band

    def one(p: int) -> None:
        lengths[p] = _one_path(distances[p, : n[p], : m[p]], widest, paths[p])

    with concurrent.futures.ThreadPoolExecutor(numba.get_num_threads()) as threads:
        for _ in threads.map(one, range(pairs)):
            pass
    return paths, lengths


def check_lengths(n: Int[np.ndarray, " P"], m: Int[np.ndarray, " P"], shape: Sequence[int]) -> None:
    """Raise ValueError unless 1 <= n <= N and 1 <= m <= M for every pair."""
    for name, lengths, longest in (("n", n, shape[-2]), ("m", m, shape[-1])):
        if len(lengths) and not (lengths.min() >= 1 and lengths.max() <= longest):
            raise ValueError(
                f"{name} must lie in [1, {longest}], the padded length; "
                f"got {lengths.min()} to {lengths.max()}"
            )


@numba.njit(nogil=True)
def new_state(rows):
    """(edge, state) of `registers_numba.advance` for a table of so many rows."""
    edge = np.full(rows * LANES, np.inf, np.float32)
    return edge, np.zeros((COLUMNS + 2) * LANES, np.float32)


@numba.njit(nogil=True)
def open_strip(state, first):
    """Set what stands above a strip: the table is entered at its first cell only."""
    state[: (COLUMNS + 1) * LANES] = np.float32(np.inf)
    if first:
        state[COLUMNS * LANES : (COLUMNS + 1) * LANES] = np.float32(0)


@numba.njit(nogil=True)
def take_costs(state, row, column, ends, costs):
    """Write the costs of lanes whose table ends in row - 1 and in the strip from `column`.

    NaN if any distance so far was: every later cell's path may have passed it.
    """
    for lane in range(LANES):
        last = ends[1, lane] - 1 - column
        if ends[0, lane] == row and 0 <= last < COLUMNS:
            poisoned = np.isnan(state[(COLUMNS + 1) * LANES + lane])
            costs[lane] = np.nan if poisoned else state[last * LANES + lane]


@numba.njit(nogil=True)
def _group_costs(distances, group, ends, band, costs):
    """Write to `costs` those of up to LANES pairs."""
    lanes = np.zeros((2, LANES), np.int64)
    lanes[:, : len(group)] = ends[:, group]
    found = np.zeros(LANES, np.float32)
    stops = _stops(lanes[0])
    edge, state = new_state(stops[-1])
    tile = np.empty((_ROWS, COLUMNS, LANES), np.float32)
    for column in range(0, lanes[1].max(), COLUMNS):
        open_strip(state, column == 0)
        row = 0
        for stop in stops:
            tile[:] = np.float32(0)
            for lane in range(len(group)):
                _interleave(distances[group[lane]], lanes[:, lane], row, column, lane, tile)
            _leave_band(tile, row, stop, column, band)
            left = edge[row * LANES :]
            registers_numba.advance(tile.reshape(-1), left, state, stop - row, 1)
            take_costs(state, stop, column, lanes, found)
            row = stop
    for lane in range(len(group)):
        costs[group[lane]] = found[lane]


@numba.njit(nogil=True)
def _stops(n):
    """Rows at which a tile ends: after _ROWS rows, and wherever a lane does."""
    stops = np.concatenate((n, np.arange(_ROWS, n.max(), _ROWS)))
    return np.unique(stops[stops > 0])


@numba.njit(nogil=True)
def _interleave(distances, end, row, column, lane, tile):
    """Copy the pair's cells of this tile into its lane."""
    rows, columns = min(_ROWS, end[0] - row), min(COLUMNS, end[1] - column)
    if columns == COLUMNS:  # a constant number of columns, so that the loop unrolls
        for r in range(rows):
            for c in range(COLUMNS):
                tile[r, c, lane] = distances[row + r, column + c]
    else:
        for r in range(rows):
            for c in range(columns):
                tile[r, c, lane] = distances[row + r, column + c]


@numba.njit(nogil=True)
def _leave_band(tile, row, stop, column, band):
    """Make every cell with |i - j| > band impassable."""
    for i in range(row, stop):
        for c in range(COLUMNS):
            if abs(i - column - c) > band:
                tile[i - row, c, :] = np.float32(np.inf)


@numba.njit(nogil=True)
def _one_path(distances, band, path):
    """Length of the cheapest path of one pair, written to `path`; 0 if there is none."""
    n, m = distances.shape
    steps = np.zeros((n, m), np.uint8)  # 0 diagonal, 1 up, 2 left
    total = np.full(m + 1, np.inf, np.float32)
    total[0] = np.float32(0)
    for i in range(n):
        diagonal, left = total[0], np.float32(np.inf)
        total[0] = left
        for j in range(m):
            up = total[j + 1]
            before, step = diagonal, 0
            if up < before:
                before, step = up, 1
            if left < before:
                before, step = left, 2
            left = before + distances[i, j] if abs(i - j) <= band else np.float32(np.inf)
            steps[i, j], total[j + 1], diagonal = step, left, up
    if not np.isfinite(total[m]):
        return 0
    return _walk_back(steps, path)


@numba.njit(nogil=True)
def _walk_back(steps, path):
    """Length of the path that `steps` leads back along from the last cell, written first to last."""
    i, j = steps.shape[0] - 1, steps.shape[1] - 1
    length = 1
    while i > 0 or j > 0:
        i, j, length = i - (steps[i, j] != 2), j - (steps[i, j] != 1), length + 1
    i, j = steps.shape[0] - 1, steps.shape[1] - 1
    for k in range(length - 1, -1, -1):
        path[k, 0], path[k, 1] = i, j
        i, j = i - (steps[i, j] != 2), j - (steps[i, j] != 1)
    return length

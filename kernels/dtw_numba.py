"""DTW on the CPU: sixteen pairs in the lanes of a register; `reference.dtw_cost` defines it.

The table is filled in strips of a few columns: within a strip the row above stays in registers,
only the strip's last column is kept for the next one. Memory: one tile per thread, no table.
Threads are Python's (compiled code lets go of the interpreter): safe beside JAX and under a
caller's own threads, which Numba's default threading layer is not.
"""

import concurrent.futures
import typing
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
    distances = np.require(distances, np.float32, ["C", "W"])  # writeable, or it is another type to Numba
    tail = np.zeros((*distances.shape[:2], COLUMNS), np.float32)
    rest = distances.shape[2] % COLUMNS
    tail[:, :, :rest] = distances[:, :, distances.shape[2] - rest :]
    groups = _like_sized(n, m)
    costs = np.zeros(len(n), np.float32)
    widest = max(distances.shape[1:]) if band is None else band

    def one(group: Int[np.ndarray, " lanes"]) -> None:
        pairs = np.resize(group, LANES)  # repeats pairs in idle lanes
        rows, columns = n[pairs].astype(np.int64), m[pairs].astype(np.int64)
        stops = np.union1d(rows, np.arange(_ROWS, rows.max(), _ROWS))
        found = np.zeros(LANES, np.float32)
        _group_costs(distances, tail, pairs, rows, columns, stops, widest, found)
        costs[group] = found[: len(group)]

    with concurrent.futures.ThreadPoolExecutor(numba.get_num_threads()) as threads:
        for _ in threads.map(one, groups):
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
    distances = np.require(distances, np.float32, ["C", "W"])  # writeable, or it is another type to Numba
    paths = np.full((pairs, rows + columns - 1, 2), -1, np.int32)
    lengths = np.zeros(pairs, np.int32)
    widest = max(rows, columns) if band is None else band

    def one(p: int) -> None:
        lengths[p] = _one_path(distances[p], int(n[p]), int(m[p]), widest, paths[p])

    with concurrent.futures.ThreadPoolExecutor(numba.get_num_threads()) as threads:
        for _ in threads.map(one, range(pairs)):
            pass
    return paths, lengths


def _like_sized(n: Int[np.ndarray, " P"], m: Int[np.ndarray, " P"]) -> list[Int[np.ndarray, " lanes"]]:
    """Pairs in groups of LANES: sorted by n into blocks, by m within each, so that few lanes idle."""
    block = LANES * max(1, round((len(n) / LANES) ** 0.5))
    rank = np.argsort(np.argsort(n, kind="stable"), kind="stable")
    order = np.lexsort((m, rank // block))
    return [order[at : at + LANES] for at in range(0, len(order), LANES)]


def check_lengths(n: Int[np.ndarray, " P"], m: Int[np.ndarray, " P"], shape: Sequence[int]) -> None:
    """Raise ValueError unless 1 <= n <= N and 1 <= m <= M for every pair."""
    for name, lengths, longest in (("n", n, shape[-2]), ("m", m, shape[-1])):
        if len(lengths) and not (lengths.min() >= 1 and lengths.max() <= longest):
            raise ValueError(
                f"{name} must lie in [1, {longest}], the padded length; "
                f"got {lengths.min()} to {lengths.max()}"
            )


@numba.njit(nogil=True)
@typing.no_type_check
def filled(size: int, value: float) -> Float[np.ndarray, " size"]:
    """Flat float32 array of one value (np.full takes Numba a second to compile)."""
    array = np.empty(size, np.float32)
    for k in range(size):
        array[k] = value
    return array


@numba.njit(nogil=True)
@typing.no_type_check
def new_state(rows: int) -> tuple[Float[np.ndarray, " edge"], Float[np.ndarray, " state"]]:
    """(edge, state) of `registers_numba.advance` for a table of so many rows."""
    return filled(rows * LANES, np.inf), filled((COLUMNS + 1) * LANES, np.inf)


@numba.njit(nogil=True)
@typing.no_type_check
def open_strip(state: Float[np.ndarray, " state"], first: bool) -> None:
    """Set what stands above a strip: the table is entered at its first cell only."""
    for k in range((COLUMNS + 1) * LANES):
        state[k] = 0.0 if first and k >= COLUMNS * LANES else np.inf


@numba.njit(nogil=True)
@typing.no_type_check
def take_cost(
    state: Float[np.ndarray, " state"], lane: int, column: int, m: int, costs: Float[np.ndarray, " lanes"]
) -> None:
    """Take what a lane's last row in the strip from `column` says: its cost, or that it has none.

    Once a column of the m in use has brought down a NaN, the cost is NaN; costs start as 0.
    """
    for c in range(min(COLUMNS, m - column)):
        total = state[c * LANES + lane]
        if np.isnan(total) or (column + c == m - 1 and not np.isnan(costs[lane])):
            costs[lane] = total


@numba.njit(nogil=True)
@typing.no_type_check
def _group_costs(
    distances: Float[np.ndarray, "P N M"],
    tail: Float[np.ndarray, "P N columns"],
    pairs: Int[np.ndarray, " lanes"],
    n: Int[np.ndarray, " lanes"],
    m: Int[np.ndarray, " lanes"],
    stops: Int[np.ndarray, " stops"],
    band: int,
    costs: Float[np.ndarray, " lanes"],
) -> None:
    """Write to `costs` those of LANES pairs.

    tail holds the columns of `distances` that are left after whole strips; pairs, n and m are by
    lane; stops are the rows at which a tile ends, among them every n.
    """
    whole = distances.shape[2] - distances.shape[2] % COLUMNS
    longest = 0
    for lane in range(LANES):
        longest = max(longest, m[lane])
    edge, state = new_state(stops[-1])
    tile = np.empty(_ROWS * COLUMNS * LANES, np.float32)
    for column in range(0, longest, COLUMNS):
        open_strip(state, column == 0)
        row = 0
        for stop in stops:
            rows = stop - row
            if column < whole:
                _interleave(distances, tile, pairs, row, column, rows)
            else:
                _interleave(tail, tile, pairs, row, 0, rows)
            if band < max(stop, longest):
                _leave_band(tile, rows, row, column, band)
            registers_numba.advance(tile, edge[row * LANES :], state, rows, 1)
            for lane in range(LANES):
                if n[lane] == stop:
                    take_cost(state, lane, column, m[lane], costs)
            row = stop


@numba.njit(nogil=True)
@typing.no_type_check
def _interleave(
    distances: Float[np.ndarray, "P N M"],
    tile: Float[np.ndarray, " tile"],
    pairs: Int[np.ndarray, " lanes"],
    row: int,
    column: int,
    rows: int,
) -> None:
    _, height, width = distances.shape
    starts = pairs * (height * width)
    flat = distances.reshape(-1)[row * width + column :]
    registers_numba.interleave(flat, tile, starts, width, rows)


@numba.njit(nogil=True)
@typing.no_type_check
def _leave_band(tile: Float[np.ndarray, " tile"], rows: int, row: int, column: int, band: int) -> None:
    """Make every cell with |i - j| > band impassable."""
    for r in range(rows):
        for c in range(COLUMNS):
            if abs(row + r - column - c) > band:
                at = (r * COLUMNS + c) * LANES
                for lane in range(LANES):
                    tile[at + lane] = np.inf


@numba.njit(nogil=True)
@typing.no_type_check
def _one_path(
    distances: Float[np.ndarray, "N M"], n: int, m: int, band: int, path: Int[np.ndarray, "K 2"]
) -> int:
    """Length of the cheapest path of one pair, written to `path`; 0 if there is none."""
    steps = np.zeros((n, m), np.uint8)  # 0 diagonal, 1 up, 2 left
    total = filled(m + 1, np.inf)
    total[0] = np.float32(0)
    spoiled = np.float32(0)
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
            left = np.float32(np.inf)
            if abs(i - j) <= band:
                left = before + distances[i, j]
                spoiled += distances[i, j]  # a minimum may lose a NaN, a sum does not
            steps[i, j], total[j + 1], diagonal = step, left, up
    if not np.isfinite(total[m]) or np.isnan(spoiled):
        return 0
    return _walk_back(steps, path)


@numba.njit(nogil=True)
@typing.no_type_check
def _walk_back(steps: Int[np.ndarray, "n m"], path: Int[np.ndarray, "K 2"]) -> int:
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

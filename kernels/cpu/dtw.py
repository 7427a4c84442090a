"""DTW of given distances on the CPU, cost and path; `reference.dtw_cost` and `dtw_path` define them.

A pair's table is filled in strips of sixteen rows, an anti-diagonal of the strip at a time: its cells
depend on earlier ones only, so they fill a register, and each pair has the machine for itself, whatever
the lengths of the others. Memory: one row of sums per thread; for paths two bits per cell besides.
Threads are Python's (compiled code lets go of the interpreter): safe beside JAX and under a
caller's own threads, which Numba's default threading layer is not.
"""

import concurrent.futures
import typing
from collections.abc import Callable, Sequence

import numba
import numpy as np
from jaxtyping import Float, Int, UInt16

from isogloss.kernels.cpu import microkernels
from isogloss.kernels.cpu.microkernels import LANES

_SMALL = 1 << 20  # cells that one thread has done before others are up
SHARES = 4  # portions of the work per thread, so that one that is held up has less to do
_strip = microkernels.strip(record=False)
_recording_strip = microkernels.strip(record=True)


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
    given = _Given(distances, n, m, band)
    costs = np.zeros(len(n), np.float32)
    given.share(lambda pairs: _costs(given.flat, given.shape, pairs, given.n, given.m, given.band, costs))
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
    given = _Given(distances, n, m, band)
    pairs, rows, columns = distances.shape
    paths = np.full((pairs, rows + columns - 1, 2), -1, np.int32)
    lengths = np.zeros(pairs, np.int32)
    given.share(
        lambda pairs: _paths(given.flat, given.shape, pairs, given.n, given.m, given.band, paths, lengths)
    )
    return paths, lengths


class _Given:
    """Arguments as the compiled code takes them."""

    def __init__(
        self,
        distances: Float[np.ndarray, "P N M"],
        n: Int[np.ndarray, " P"],
        m: Int[np.ndarray, " P"],
        band: int | None,
    ) -> None:
        # writeable, or it is another type to Numba
        self.flat = np.require(distances, np.float32, ["C", "W"]).reshape(-1)
        self.shape = distances.shape
        self.n, self.m = n.astype(np.int64), m.astype(np.int64)
        self.band = max(self.shape[1:]) if band is None else band

    def share(self, work: Callable[[Int[np.ndarray, " share"]], None]) -> None:
        """Do all pairs, on all threads if that pays: the largest first, dealt out like cards."""
        cells = self.n * self.m
        order = np.argsort(-cells, kind="stable")
        if cells.sum() <= _SMALL or len(order) == 1:
            work(order)
            return
        count = min(len(order), SHARES * numba.get_num_threads())
        with concurrent.futures.ThreadPoolExecutor(numba.get_num_threads()) as threads:
            for _ in threads.map(work, [order[share::count] for share in range(count)]):
                pass


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
def _costs(
    flat: Float[np.ndarray, " cells"],
    shape: tuple[int, int, int],
    pairs: Int[np.ndarray, " share"],
    n: Int[np.ndarray, " P"],
    m: Int[np.ndarray, " P"],
    band: int,
    costs: Float[np.ndarray, " P"],
) -> None:
    """Write to `costs` those of `pairs`."""
    edge, spare = room(shape[2])
    choices = np.empty((1, 1, 2), np.uint16)
    for p in pairs:
        table = p * shape[1] * shape[2], shape[2], n[p], m[p], band
        costs[p] = fill(flat, table, edge, spare, choices, False)


@numba.njit(nogil=True)
@typing.no_type_check
def _paths(
    flat: Float[np.ndarray, " cells"],
    shape: tuple[int, int, int],
    pairs: Int[np.ndarray, " share"],
    n: Int[np.ndarray, " P"],
    m: Int[np.ndarray, " P"],
    band: int,
    paths: Int[np.ndarray, "P K 2"],
    lengths: Int[np.ndarray, " P"],
) -> None:
    """Write to `paths` and `lengths` those of `pairs`."""
    edge, spare = room(shape[2])
    choices = np.empty((-(-shape[1] // LANES), len(spare) // LANES + LANES, 2), np.uint16)
    for p in pairs:
        table = p * shape[1] * shape[2], shape[2], n[p], m[p], band
        if np.isfinite(fill(flat, table, edge, spare, choices, True)):
            lengths[p] = _walk_back(choices, n[p], m[p], paths[p])


@numba.njit(nogil=True)
@typing.no_type_check
def room(columns: int) -> tuple[Float[np.ndarray, " edge"], Float[np.ndarray, " spare"]]:
    """(edge, spare) of `fill` for tables of so many columns."""
    steps = columns + 2 * LANES
    return np.empty(steps + 2 * LANES, np.float32), np.empty(LANES * steps, np.float32)


@numba.njit(nogil=True)
@typing.no_type_check
def fill(
    flat: Float[np.ndarray, " cells"],
    table: tuple[int, int, int, int, int],
    edge: Float[np.ndarray, " edge"],
    spare: Float[np.ndarray, " spare"],
    choices: UInt16[np.ndarray, "strips steps 2"],
    record: bool,
) -> float:
    """Cost of one pair; NaN if a distance in use is. Of choices (strip, k, 2) those in use are set.

    table: where in `flat` it starts, length of its rows there, rows and columns in use, band. The
    last strip ends with the last row; of the first one's rows, some may lie above the table.
    """
    start, width, n, m, band = table
    above = -n % LANES
    edge[:] = np.inf
    lanes = np.empty(3 * LANES, np.int64)
    state = np.empty(LANES, np.float32)
    nan = False
    for s in range((n + above) // LANES):
        first = above if s == 0 else 0  # the step at which row 0 enters
        blocks = (m + 2 * LANES - 2 - first) // LANES
        for lane in range(LANES):
            i = LANES - 1 - lane
            row = s * LANES + i - above
            low, high = max(0, row - band), min(m, row + band + 1)
            lanes[lane] = start + row * width + first - i if row >= 0 else start
            lanes[LANES + lane] = i + low
            lanes[2 * LANES + lane] = max(0, high - low) if row >= 0 else 0
            state[lane] = 0.0 if row == 0 else np.inf
        source = flat
        if lanes[:LANES].max() + blocks * LANES > len(flat):
            _copy(flat, lanes, blocks * LANES, spare)
            source = spare
        if record:
            _recording_strip(
                source, LANES * width, lanes, state, edge, first, blocks, choices[s, first:].reshape(-1)
            )
        else:
            _strip(source, LANES * width, lanes, state, edge, first, blocks, choices.reshape(-1))
        for lane in range(LANES):
            nan |= np.isnan(state[lane])
    return np.float32(np.nan) if nan else edge[LANES + m - 1]


@numba.njit(nogil=True)
@typing.no_type_check
def _copy(
    flat: Float[np.ndarray, " cells"],
    lanes: Int[np.ndarray, " lanes"],
    steps: int,
    spare: Float[np.ndarray, " spare"],
) -> None:
    """Copy what a strip reads, as far as there is any: the last one would read past the end."""
    for lane in range(LANES):
        for k in range(min(steps, len(flat) - lanes[lane])):
            spare[lane * steps + k] = flat[lanes[lane] + k]
        lanes[lane] = lane * steps


@numba.njit(nogil=True)
@typing.no_type_check
def _walk_back(
    choices: UInt16[np.ndarray, "strips steps 2"], n: int, m: int, path: Int[np.ndarray, "K 2"]
) -> int:
    """Length of the path that `choices` lead back along from the last cell, written first to last."""
    above = -n % LANES
    i, j, length = n - 1, m - 1, 0
    while i >= 0 and j >= 0:
        path[length, 0], path[length, 1] = i, j
        length += 1
        s, below = divmod(i + above, LANES)
        up, left = choices[s, j + below]
        lane = LANES - 1 - below
        came_left = left >> lane & 1
        i -= 1 - came_left
        j -= came_left or not up >> lane & 1
    for k in range(length // 2):
        for c in range(2):
            path[k, c], path[length - 1 - k, c] = path[length - 1 - k, c], path[k, c]
    return length

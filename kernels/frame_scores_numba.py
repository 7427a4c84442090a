"""SeqSim and DTW of all pairs on the CPU, from one cosine tile that never leaves the cache.

Sixteen utterances of B lie side by side in the lanes of a register, sorted by length so that few
lanes idle; an utterance of A meets them tile by tile, and each tile serves the row maxima, the
column maxima and the DTW recursion before the next overwrites it. A pair's bits depend on its
own frames only. Memory: float32 copies of BATCH utterances of B, of one of A per thread.
"""

import concurrent.futures
import typing

import numba
import numpy as np
from jaxtyping import Bool, Float, Int

from isogloss.kernels import registers_numba
from isogloss.kernels.registers_numba import COLUMNS, LANES, PANELS, ROWS

BATCH = 4 * LANES  # utterances of B packed at a time
_TILE_ROWS = 4 * ROWS  # frames of A in a tile of at most 28 KB
_DEPTH = 96  # features at a time: those of two panels and a sliver take 18 KB
_product = registers_numba.product(ROWS, PANELS)


def frame_scores(
    x: Float[np.ndarray, "U N D"],
    n: Int[np.ndarray, " U"],
    y: Float[np.ndarray, "V M D"],
    m: Int[np.ndarray, " V"],
    *,
    maxima: bool,
    dtw: bool,
) -> Float[np.ndarray, "3 U V"]:
    """Precision, recall and DTW cost of every pair; NaN for what is not asked for.

    NaN, too, for an utterance with a frame in use that is not finite. Lengths are in range:
    `isogloss.kernels.frame_scores` has seen to that.
    """
    scores = np.full((3, len(x), len(y)), np.nan, np.float32)
    order = np.argsort(m, kind="stable")
    with concurrent.futures.ThreadPoolExecutor(numba.get_num_threads()) as threads:
        for start in range(0, len(y), BATCH):
            batch = order[start : start + BATCH]
            groups = [batch[at : at + LANES] for at in range(0, len(batch), LANES)]
            panels = list(threads.map(lambda group: _panels(y, m, group), groups))

            def row(u: int, groups: list = groups, panels: list = panels) -> None:
                slivers = _slivers(x[u, : n[u]])
                for group, panel in zip(groups, panels, strict=True):
                    lengths = np.ones(LANES, np.int64)
                    lengths[: len(group)] = m[group]
                    found = np.full((3, LANES), np.nan, np.float32)
                    found[2] = 0 if dtw else np.nan  # `_take_cost` keeps a NaN
                    task = (slivers, panel, int(n[u]), lengths, x.shape[2], maxima, dtw, found)
                    _group_scores(*task)
                    scores[:, u, group] = found[:, : len(group)]

            for _ in threads.map(row, range(len(x))):
                pass
    scores[:, ~_finite(x, n)] = np.nan  # a maximum or a minimum may lose a NaN
    scores[:, :, ~_finite(y, m)] = np.nan
    return scores


def _finite(x: Float[np.ndarray, "U N D"], n: Int[np.ndarray, " U"]) -> Bool[np.ndarray, " U"]:
    """Whether all frames in use of each utterance are finite."""
    finite = [np.isfinite(x[u, :length].astype(np.float32)).all() for u, length in enumerate(n)]
    return np.array(finite, np.bool_)


def _slivers(x: Float[np.ndarray, "n D"]) -> Float[np.ndarray, " size"]:
    """One utterance of A, flat (sliver, feature, row of ROWS), frames of length 1."""
    out = np.zeros((-(-len(x) // ROWS), x.shape[1], ROWS), np.float32)
    _pack_slivers(x.astype(np.float32), out)
    return out.reshape(-1)


def _panels(
    y: Float[np.ndarray, "V M D"], m: Int[np.ndarray, " V"], group: Int[np.ndarray, " lanes"]
) -> Float[np.ndarray, " size"]:
    """Up to LANES utterances of B, flat (frame, feature, lane), frames of length 1.

    A lane that ends early repeats its last frame, which changes no row maximum.
    """
    lengths = m[group].astype(np.int64)
    frames = -(-int(lengths.max()) // COLUMNS) * COLUMNS
    out = np.zeros((frames, y.shape[2], LANES), np.float32)
    _pack_panels(y[group, : lengths.max()].astype(np.float32), lengths, out)
    return out.reshape(-1)


@numba.njit(nogil=True)
@typing.no_type_check
def _pack_slivers(x: Float[np.ndarray, "n D"], out: Float[np.ndarray, "slivers D rows"]) -> None:
    for i in range(len(x)):
        factor = _factor(x[i])
        for k in range(x.shape[1]):
            out[i // ROWS, k, i % ROWS] = x[i, k] * factor


@numba.njit(nogil=True)
@typing.no_type_check
def _pack_panels(
    y: Float[np.ndarray, "lanes m D"], m: Int[np.ndarray, " lanes"], out: Float[np.ndarray, "frames D 16"]
) -> None:
    for j in range(len(out)):
        for lane in range(len(y)):
            frame = y[lane, min(j, m[lane] - 1)]
            factor = _factor(frame)
            for k in range(len(frame)):
                out[j, k, lane] = frame[k] * factor


@numba.njit(nogil=True, fastmath={"reassoc"})
@typing.no_type_check
def _factor(frame: Float[np.ndarray, " D"]) -> float:
    """1 / length of a frame in float64, which holds any float32 squared; 0 for an all-zero one."""
    square = 0.0
    for value in frame:
        square += np.float64(value) * np.float64(value)
    return 1.0 / np.sqrt(square) if square != 0.0 else 0.0


@numba.njit(nogil=True)
@typing.no_type_check
def _group_scores(
    slivers: Float[np.ndarray, " A"],
    panels: Float[np.ndarray, " B"],
    n: int,
    m: Int[np.ndarray, " lanes"],
    depth: int,
    maxima: bool,
    dtw: bool,
    scores: Float[np.ndarray, "3 lanes"],
) -> None:
    """Write to `scores` precision, recall and cost by lane: one utterance of A, a group of B."""
    tile = np.empty(_TILE_ROWS * COLUMNS * LANES, np.float32)
    row_maxima = _filled(n * LANES, -np.inf)
    column_maxima = _filled(len(panels) // depth, -np.inf)
    edge, state = _filled(n * LANES, np.inf), _filled((COLUMNS + 1) * LANES, np.inf)
    for column in range(0, len(panels) // (depth * LANES), COLUMNS):
        _open_strip(state, column == 0)
        for row in range(0, n, _TILE_ROWS):
            rows = min(_TILE_ROWS, n - row)
            _fill(tile, slivers[row * depth :], panels[column * LANES * depth :], rows, depth)
            if maxima:
                tops = row_maxima[row * LANES :], column_maxima[column * LANES :]
                registers_numba.raise_maxima(tile, tops[0], tops[1], rows)
            if dtw:
                registers_numba.advance(tile, edge[row * LANES :], state, rows, -1)
        if dtw:
            for lane in range(LANES):
                _take_cost(state, lane, column, m[lane], scores[2])
    if maxima:
        for lane in range(LANES):
            scores[0, lane] = _lane_mean(row_maxima, lane, n)
            scores[1, lane] = _lane_mean(column_maxima, lane, m[lane])


@numba.njit(nogil=True)
@typing.no_type_check
def _filled(size: int, value: float) -> Float[np.ndarray, " size"]:
    """Flat float32 array of one value (np.full takes Numba a second to compile)."""
    array = np.empty(size, np.float32)
    for k in range(size):
        array[k] = value
    return array


@numba.njit(nogil=True)
@typing.no_type_check
def _open_strip(state: Float[np.ndarray, " state"], first: bool) -> None:
    """Set what stands above a strip of columns: the table is entered at its first cell only."""
    for k in range((COLUMNS + 1) * LANES):
        state[k] = 0.0 if first and k >= COLUMNS * LANES else np.inf


@numba.njit(nogil=True)
@typing.no_type_check
def _take_cost(
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
def _lane_mean(values: Float[np.ndarray, " size"], lane: int, count: int) -> float:
    total = np.float32(0)
    for k in range(count):
        total += values[k * LANES + lane]
    return total / np.float32(count)


@numba.njit(nogil=True)
@typing.no_type_check
def _fill(
    tile: Float[np.ndarray, " tile"],
    slivers: Float[np.ndarray, " A"],
    panels: Float[np.ndarray, " B"],
    rows: int,
    depth: int,
) -> None:
    """Cosines of the next frames of A with COLUMNS frames of every lane.

    Features are taken _DEPTH at a time: what two panels and a sliver hold of them stays near, while
    whole panels of a large model would push each other out of the cache.
    """
    for start in range(0, depth, _DEPTH):
        count = min(_DEPTH, depth - start)
        for c in range(0, COLUMNS, PANELS):
            right = panels[(c * depth + start) * LANES :]
            for r in range(0, rows, ROWS):
                at = (r * COLUMNS + c) * LANES
                left = slivers[r * depth + start * ROWS :]
                _product(left, right, tile[at:], COLUMNS * LANES, depth, count, start)

"""SeqSim and DTW of all pairs on the CPU, from one cosine tile that never leaves the cache.

Sixteen frames of an utterance of B, a block, lie side by side in the lanes of a register; an utterance of A
meets them tile by tile. A tile raises the row maxima and the column maxima before the next overwrites it, and
for DTW leaves its distances in a table of the pair. A pair's bits depend on its own frames only. Memory:
float32 copies of BATCH utterances of B, and for each thread one of A and, for DTW, a table.
"""

import concurrent.futures
import itertools
import typing

import numba
import numpy as np
from jaxtyping import Bool, Float, Int

from isogloss.kernels import dtw_numba, registers_numba
from isogloss.kernels.registers_numba import COLUMNS, LANES, PANELS, ROWS

BATCH = 64  # utterances of B packed at a time
_TILE_ROWS = 4 * ROWS  # frames of A in a tile of at most 28 KB
_DEPTH = 96  # features at a time: those of two blocks and a sliver take 18 KB
_product = registers_numba.product(ROWS, PANELS)
_product_of_one = registers_numba.product(ROWS, 1)


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
    cores, depth = numba.get_num_threads(), x.shape[2]
    longest_first = np.argsort(-n, kind="stable").tolist()  # the last one done leaves threads idle
    with concurrent.futures.ThreadPoolExecutor(cores) as threads:
        for start in range(0, len(y), BATCH):
            batch = np.arange(start, min(start + BATCH, len(y)))
            frames = m[batch].astype(np.int64)
            blocks, begins = _blocks(y[batch[0] : batch[-1] + 1], frames, threads)

            def some(
                task: tuple[int, Int[np.ndarray, " share"]],
                batch: Int[np.ndarray, " batch"] = batch,
                frames: Int[np.ndarray, " batch"] = frames,
                blocks: Float[np.ndarray, " size"] = blocks,
                begins: Int[np.ndarray, " batch"] = begins,
            ) -> None:
                u, share = task
                slivers = np.empty(-(-int(n[u]) // ROWS) * ROWS * depth, np.float32)
                _pack(x[u, : n[u]].astype(np.float32, order="C"), ROWS, slivers)
                lengths = int(n[u]), frames[share]
                found = _scores(slivers, blocks, begins[share], *lengths, depth, maxima, dtw)
                scores[:, u, batch[share]] = found

            shares = min(len(batch), -(-dtw_numba.SHARES * cores // max(1, len(x))))
            tasks = itertools.product(longest_first, np.array_split(np.arange(len(batch)), shares))
            for _ in threads.map(some, tasks):
                pass
            del blocks, some  # before the next are packed
    scores[:, ~_finite(x, n)] = np.nan  # a maximum or a minimum may lose a NaN
    scores[:, :, ~_finite(y, m)] = np.nan
    return scores


def _finite(x: Float[np.ndarray, "U N D"], n: Int[np.ndarray, " U"]) -> Bool[np.ndarray, " U"]:
    """Whether all frames in use of each utterance are finite."""
    finite = [np.isfinite(x[u, :length].astype(np.float32, copy=False)).all() for u, length in enumerate(n)]
    return np.array(finite, np.bool_)


def _blocks(
    y: Float[np.ndarray, "batch M D"],
    m: Int[np.ndarray, " batch"],
    threads: concurrent.futures.ThreadPoolExecutor,
) -> tuple[Float[np.ndarray, " size"], Int[np.ndarray, " batch"]]:
    """Utterances of B, one after the other, flat (block, feature, lane), and where each begins."""
    ends = np.cumsum(-(-m // LANES) * LANES * y.shape[2])
    flat = np.empty(ends[-1], np.float32)
    begins = np.concatenate([[0], ends[:-1]])

    def pack(v: int) -> None:
        _pack(y[v, : m[v]].astype(np.float32, order="C"), LANES, flat[begins[v] : ends[v]])

    for _ in threads.map(pack, range(len(y))):
        pass
    return flat, begins


@numba.njit(nogil=True)
@typing.no_type_check
def _pack(x: Float[np.ndarray, "n D"], width: int, out: Float[np.ndarray, " size"]) -> None:
    """Frames of length 1 as flat (block, feature, frame of `width`); the last one is repeated to fill up.

    A few features at a time, so that what is written stays near.
    """
    depth = x.shape[1]
    factors = np.empty(width, np.float64)
    for first in range(0, len(out) // depth, width):
        for i in range(width):
            factors[i] = _factor(x[min(first + i, len(x) - 1)])
        for start in range(0, depth, LANES):
            for i in range(width):
                frame = x[min(first + i, len(x) - 1)]
                for k in range(start, min(start + LANES, depth)):
                    out[first * depth + k * width + i] = frame[k] * factors[i]


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
def _scores(
    slivers: Float[np.ndarray, " A"],
    blocks: Float[np.ndarray, " B"],
    begins: Int[np.ndarray, " share"],
    n: int,
    m: Int[np.ndarray, " share"],
    depth: int,
    maxima: bool,
    dtw: bool,
) -> Float[np.ndarray, "3 share"]:
    """Precision, recall and cost of one utterance of A with some of B."""
    found = np.empty((3, len(m)), np.float32)
    found[:] = np.nan
    width = -(-m.max() // (COLUMNS * LANES)) * COLUMNS * LANES
    tile = np.empty(_TILE_ROWS * COLUMNS * LANES, np.float32)
    row_maxima, column_maxima = np.empty(n * LANES, np.float32), np.empty(width, np.float32)
    table = np.empty(n * width if dtw else 0, np.float32)
    edge, spare = dtw_numba.room(width)
    choices = np.empty((1, 1, 2), np.uint16)
    for v in range(len(m)):
        right, columns = blocks[begins[v] :], -(-m[v] // LANES)
        row_maxima[:] = -np.inf
        column_maxima[:] = -np.inf
        for column in range(0, columns, COLUMNS):
            count = min(COLUMNS, columns - column)
            for row in range(0, n, _TILE_ROWS):
                rows = min(_TILE_ROWS, n - row)
                _fill(tile, slivers[row * depth :], right[column * LANES * depth :], rows, count, depth)
                if maxima:
                    tops = row_maxima[row * LANES :], column_maxima[column * LANES :]
                    registers_numba.raise_maxima(tile, tops[0], tops[1], rows)
                if dtw:
                    _keep(tile, table[row * width + column * LANES :], rows, count * LANES, width)
        if maxima:
            found[0, v] = _mean_of_highest(row_maxima, n)
            found[1, v] = _mean(column_maxima, m[v])
        if dtw:
            shape = 0, width, n, m[v], max(n, width)
            found[2, v] = dtw_numba.fill(table, shape, edge, spare, choices, False)
    return found


@numba.njit(nogil=True)
@typing.no_type_check
def _fill(
    tile: Float[np.ndarray, " tile"],
    slivers: Float[np.ndarray, " A"],
    blocks: Float[np.ndarray, " B"],
    rows: int,
    columns: int,
    depth: int,
) -> None:
    """Cosines of the next frames of A with the next blocks of B; in columns beyond, nothing is higher.

    Features are taken _DEPTH at a time: what two blocks and a sliver hold of them stays near, while
    whole blocks of a large model would push each other out of the cache.
    """
    for start in range(0, depth, _DEPTH):
        count = min(_DEPTH, depth - start)
        for c in range(0, columns, PANELS):
            right = blocks[(c * depth + start) * LANES :]
            for r in range(0, rows, ROWS):
                out = tile[(r * COLUMNS + c) * LANES :]
                left = slivers[r * depth + start * ROWS :]
                if c + PANELS <= columns:
                    _product(left, right, out, COLUMNS * LANES, depth, count, start)
                else:
                    _product_of_one(left, right, out, COLUMNS * LANES, depth, count, start)
    for r in range(rows if columns < COLUMNS else 0):
        tile[(r * COLUMNS + columns) * LANES : (r + 1) * COLUMNS * LANES] = -np.inf


@numba.njit(nogil=True)
@typing.no_type_check
def _keep(
    tile: Float[np.ndarray, " tile"], table: Float[np.ndarray, " table"], rows: int, count: int, width: int
) -> None:
    """Distances of a tile, `count` a row, to a table of rows of `width`."""
    for r in range(rows):
        for j in range(count):
            table[r * width + j] = np.float32(1) - tile[r * COLUMNS * LANES + j]


@numba.njit(nogil=True)
@typing.no_type_check
def _mean_of_highest(values: Float[np.ndarray, " size"], count: int) -> float:
    """Mean over rows of the highest of LANES."""
    total = np.float32(0)
    for i in range(count):
        highest = values[i * LANES]
        for lane in range(1, LANES):
            highest = max(highest, values[i * LANES + lane])
        total += highest
    return total / np.float32(count)


@numba.njit(nogil=True)
@typing.no_type_check
def _mean(values: Float[np.ndarray, " size"], count: int) -> float:
    total = np.float32(0)
    for k in range(count):
        total += values[k]
    return total / np.float32(count)

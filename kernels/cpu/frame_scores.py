"""SeqSim, DTW and transport of all pairs on the CPU, from one cosine tile that never leaves the cache.

Sixteen frames of an utterance of B, a block, lie side by side in the lanes of a register. An utterance of A
is multiplied with them tile by tile. Each tile updates the row and column maxima before the next overwrites
it, and for DTW and transport its distances are copied to a table of the pair. A pair's bits depend on its
own frames only. Memory: packed copies of BATCH utterances of B; for each thread one of A and, for DTW, a
table, for transport two.
"""

import concurrent.futures
import itertools
import typing

import numba
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from isogloss.kernels.cpu import dtw, microkernels, tiles, transport
from isogloss.kernels.cpu.microkernels import COLUMNS, HEIGHTS, LANES
from isogloss.kernels.cpu.packing import FLOATS, Form

BATCH = 64  # utterances of B packed at a time
_TILE_SLIVERS = 8  # of up to 14 frames of A: a tile of at most 57 KB, and B is read once for all of them


def frame_scores(
    x: Float[np.ndarray, "U N D"],
    n: Int[np.ndarray, " U"],
    y: Float[np.ndarray, "V M D"],
    m: Int[np.ndarray, " V"],
    *,
    maxima: bool,
    with_dtw: bool,
    per_cell: bool,
    with_transport: bool,
    form: Form = FLOATS,
    among: Bool[np.ndarray, "U V"] | None = None,
) -> Float[np.ndarray, "5 U V"]:
    """Precision, recall, DTW cost, transport and its error of every pair; NaN for what is not asked for.

    NaN, too, for an utterance with a frame in use that is not finite. `isogloss.kernels.frame_scores` has
    checked the lengths, and that DTW and transport are asked of FLOATS only. With `per_cell` a cost is
    divided by the number of its path's cells. `among` are the pairs that are asked for, all by default.
    """
    assert form is FLOATS or not (with_dtw or with_transport)
    scores = np.empty((5, len(x), len(y)), np.float32)
    wanted = maxima, with_dtw, per_cell, with_transport
    with concurrent.futures.ThreadPoolExecutor(numba.get_num_threads()) as threads:
        for start in range(0, len(y), BATCH):
            batch = slice(start, start + BATCH)
            lengths = m[batch].astype(np.int64)
            chosen = None if among is None else among[:, batch]
            scores[:, :, batch] = _batch_scores(x, n, y[batch], lengths, wanted, form, chosen, threads)
    return scores


def _batch_scores(
    x: Float[np.ndarray, "U N D"],
    n: Int[np.ndarray, " U"],
    y: Float[np.ndarray, "batch M D"],
    m: Int[np.ndarray, " batch"],
    wanted: tuple[bool, bool, bool, bool],
    form: Form,
    among: Bool[np.ndarray, "U batch"] | None,
    threads: concurrent.futures.ThreadPoolExecutor,
) -> Float[np.ndarray, "5 U batch"]:
    """Scores of all of A with a batch of B, which stays packed until the end."""
    scores = np.full((5, len(x), len(y)), np.nan, np.float32)
    blocks, begins, factors = _blocks(y, m, form, threads)

    def score(task: tuple[int, Int[np.ndarray, " share"]]) -> None:
        u, share = task
        share = share if among is None else share[among[u, share]]
        if not len(share):
            return
        length = int(n[u])
        height = _height(length)
        slivers = np.empty(form.size(length, height, x.shape[2]), form.dtype)
        factor = form.pack(np.ascontiguousarray(x[u, :length], np.float32), height, slivers, True)
        sizes = length, m[share], height, form.entries(x.shape[2])
        found = _scores(slivers, blocks, begins[share], *sizes, *wanted)
        # The factor is NaN for frames that aren't finite; float64 holds a product of any two.
        scores[:, u, share] = found * (factor * factors[share]).astype(np.float32)

    # If A has few utterances, B is divided too, so that all threads have something to do.
    shares = min(len(y), -(-dtw.SHARES * numba.get_num_threads() // max(1, len(x))))
    longest_first = np.argsort(-n, kind="stable").tolist()  # so that threads end at about the same time
    tasks = itertools.product(longest_first, np.array_split(np.arange(len(y)), shares))
    for _ in threads.map(score, tasks):
        pass
    return scores


def _height(length: int) -> int:
    """Frames of a sliver: the height of least cost, counting the rows padded and one load of B a sliver."""
    return min(HEIGHTS, key=lambda height: -(-length // height) * (height + 1))


def _blocks(
    y: Float[np.ndarray, "batch M D"],
    m: Int[np.ndarray, " batch"],
    form: Form,
    threads: concurrent.futures.ThreadPoolExecutor,
) -> tuple[Shaped[np.ndarray, " size"], Int[np.ndarray, " batch"], Float[np.ndarray, " batch"]]:
    """(packed utterances of B one after the other, the entry at which each begins, the factor of each)."""
    ends = np.cumsum([form.size(frames, LANES, y.shape[2]) for frames in m.tolist()])
    flat = np.empty(ends[-1], form.dtype)
    begins = np.concatenate([[0], ends[:-1]])

    def pack(v: int) -> float:
        return form.pack(
            np.ascontiguousarray(y[v, : m[v]], np.float32), LANES, flat[begins[v] : ends[v]], False
        )

    return flat, begins, np.array([*threads.map(pack, range(len(y)))])


@numba.njit(nogil=True)
@typing.no_type_check
def _scores(
    slivers: Shaped[np.ndarray, " A"],
    blocks: Shaped[np.ndarray, " B"],
    begins: Int[np.ndarray, " share"],
    n: int,
    m: Int[np.ndarray, " share"],
    height: int,
    depth: int,
    maxima: bool,
    with_dtw: bool,
    per_cell: bool,
    with_transport: bool,
) -> Float[np.ndarray, "5 share"]:
    """Precision, recall, cost, transport and its error of one utterance of A with some of B."""
    found = np.empty((5, len(m)), np.float32)
    found[:] = np.nan
    # Whole tiles: the last one may write columns that no utterance has.
    width = -(-m.max() // (COLUMNS * LANES)) * COLUMNS * LANES
    tile_rows = _TILE_SLIVERS * height
    tile = np.empty(tile_rows * COLUMNS * LANES, np.float32)
    row_maxima, column_maxima = np.empty(n * LANES, np.float32), np.empty(width, np.float32)
    table = np.empty(n * width if with_dtw or with_transport else 0, np.float32)
    kernel = np.empty(n * width + LANES if with_transport else 0, np.float32)
    vectors = np.empty((3, max(n, width) if with_transport else 0), np.float32)
    edge, spare = dtw.room(width)
    room = tile, row_maxima, column_maxima, table
    for v in range(len(m)):
        row_maxima[:] = -np.inf  # not 0: all cosines of a frame may be negative
        column_maxima[:] = -np.inf
        keep = width if with_dtw or with_transport else 0
        _fill(slivers, blocks[begins[v] :], (n, m[v]), (height, depth), maxima, keep, room)
        if maxima:
            found[0, v] = _mean_of_highest(row_maxima, n)
            found[1, v] = _mean(column_maxima, m[v])
        if with_dtw:
            found[2, v] = dtw.cost(table, (0, width, n, m[v]), edge, spare, per_cell)
        if with_transport:
            found[3, v], found[4, v] = transport.cost(table, width, n, m[v], kernel, vectors)
    return found


@numba.njit(nogil=True)
@typing.no_type_check
def _fill(
    slivers: Shaped[np.ndarray, " A"],
    right: Shaped[np.ndarray, " B"],
    lengths: tuple[int, int],
    shape: tuple[int, int],
    maxima: bool,
    width: int,
    room: tuple[
        Float[np.ndarray, " tile"], Float[np.ndarray, " R"], Float[np.ndarray, " C"], Float[np.ndarray, " T"]
    ],
) -> None:
    """Maxima of the cosines of two utterances, and their distances in rows of `width`, if it isn't 0.

    Columns are outside, so that the blocks of B stay in the cache for all frames of A.
    """
    tile, row_maxima, column_maxima, table = room
    (n, m), (height, depth) = lengths, shape
    columns, tile_rows = -(-m // LANES), _TILE_SLIVERS * height
    for column in range(0, columns, COLUMNS):
        count = min(COLUMNS, columns - column)
        for row in range(0, n, tile_rows):
            rows = min(tile_rows, n - row)
            tiles.fill(tile, slivers[row * depth :], right[column * LANES * depth :], rows, count, shape)
            if maxima:
                tops = row_maxima[row * LANES :], column_maxima[column * LANES :]
                microkernels.raise_maxima(tile, tops[0], tops[1], rows)
            if width:
                _keep(tile, table[row * width + column * LANES :], rows, count * LANES, width)


@numba.njit(nogil=True)
@typing.no_type_check
def _keep(
    tile: Float[np.ndarray, " tile"], table: Float[np.ndarray, " table"], rows: int, count: int, width: int
) -> None:
    """Distances of a tile, `count` a row, to a table of rows of `width`."""
    for r in range(rows):
        for j in range(count):
            # Columns of repeated frames are copied too; those who read the table pass them by.
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

"""SeqSim, DTW and transport of all pairs on the CPU, from one cosine tile that never leaves the cache.

Sixteen frames of B, a block, lie side by side in the lanes of a register. An utterance of A is multiplied
with them tile by tile. Each tile updates the row and column maxima before the next overwrites it, and for DTW
and transport its distances are copied to a table of the pair. Where maxima alone are wanted, utterances of B
follow one another without gaps, in runs, so that short ones don't leave an eighth of the product to padding;
a block that two of them share counts for each by its own lanes. A pair's bits depend on its own frames only.
Memory: packed copies of BATCH utterances of B; for each thread one of A and, for DTW, a table, for transport
two.
"""

import concurrent.futures
import itertools
import typing

import numba
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from isogloss.kernels.cpu import dtw, microkernels, tiles, transport
from isogloss.kernels.cpu.compiled import compiled
from isogloss.kernels.cpu.microkernels import COLUMNS, HEIGHTS, LANES
from isogloss.kernels.cpu.packing import FLOATS, Form

BATCH = 64  # utterances of B packed at a time
_TILE_SLIVERS = 8  # of up to 14 frames of A: a tile of at most 57 KB, and B is read once for all of them
_RUN = 1024  # frames of B, or a few more, in a run: what pads its end is at most a hundredth of it


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
    # Distances are kept in a table for each utterance, and bytes are rounded for each.
    together = form is FLOATS and not (wanted[1] or wanted[3])
    runs = _runs(m) if together else np.arange(len(m) + 1)
    sizes = np.stack([np.diff(runs), np.add.reduceat(m, runs[:-1])], axis=1)
    run_of = np.repeat(np.arange(len(sizes)), sizes[:, 0])
    blocks, begins, factors = _blocks(y, m, runs, form, threads)

    def score(task: tuple[int, Int[np.ndarray, " share"]]) -> None:
        u, share = task
        share = share if among is None else share[among[u, share]]
        if not len(share):
            return
        length = int(n[u])
        height = _height(length)
        slivers = np.empty(form.size(length, height, x.shape[2]), form.dtype)
        factor = form.pack(np.ascontiguousarray(x[u, :length], np.float32), height, slivers, True)
        columns = np.flatnonzero(np.isin(run_of, share))
        shape = height, form.entries(x.shape[2]), _tile_rows(length, height)
        given = slivers, blocks, begins[share], length, m[columns], sizes[share], shape, *wanted[1:3]
        found = _scores(*given, *_room(length, m[columns], sizes[share], shape[2], wanted))
        # The factor is NaN for frames that aren't finite; float64 holds a product of any two.
        scores[:, u, columns] = found * (factor * factors[columns]).astype(np.float32)

    # If A has few utterances, B is divided too, so that all threads have something to do.
    shares = min(len(begins), -(-dtw.SHARES * numba.get_num_threads() // max(1, len(x))))
    longest_first = np.argsort(-n, kind="stable").tolist()  # so that threads end at about the same time
    tasks = itertools.product(longest_first, np.array_split(np.arange(len(begins)), shares))
    for _ in threads.map(score, tasks):
        pass
    return scores


def _height(length: int) -> int:
    """Frames of a sliver: the height of least cost, counting the rows padded and one load of B a sliver."""
    return min(HEIGHTS, key=lambda height: -(-length // height) * (height + 1))


def _tile_rows(length: int, height: int) -> int:
    """Rows of a tile, so that all tiles of an utterance are about as high."""
    slivers = -(-length // height)
    return -(-slivers // -(-slivers // _TILE_SLIVERS)) * height


def _runs(m: Int[np.ndarray, " batch"]) -> Int[np.ndarray, " runs_and_one"]:
    """First utterance of each run, and their number."""
    before = np.cumsum(m) - m
    firsts = [0]
    for v in range(1, len(m)):
        if before[v] - before[firsts[-1]] >= _RUN:
            firsts.append(v)
    return np.array([*firsts, len(m)])


def _blocks(
    y: Float[np.ndarray, "batch M D"],
    m: Int[np.ndarray, " batch"],
    runs: Int[np.ndarray, " runs_and_one"],
    form: Form,
    threads: concurrent.futures.ThreadPoolExecutor,
) -> tuple[Shaped[np.ndarray, " size"], Int[np.ndarray, " runs"], Float[np.ndarray, " batch"]]:
    """(packed runs of B one after the other, where each begins, the factor of each utterance)."""
    frames = np.add.reduceat(m, runs[:-1])
    ends = np.cumsum([form.size(count, LANES, y.shape[2]) for count in frames.tolist()])
    flat = np.empty(ends[-1], form.dtype)
    begins = np.concatenate([[0], ends[:-1]])

    def pack(run: int) -> list[float]:
        several = [y[v, : m[v]] for v in range(runs[run], runs[run + 1])]
        one = len(several) == 1  # which may need no copy
        frames = np.ascontiguousarray(several[0], np.float32) if one else np.concatenate(several, dtype="f4")
        factor = form.pack(frames, LANES, flat[begins[run] : ends[run]], False)
        if one or np.isfinite(factor):
            return [factor] * len(several)
        # Of the float32 copy, because what float64 holds may be infinite there.
        parts = np.split(frames, np.cumsum([len(each) for each in several])[:-1])
        return [1.0 if np.isfinite(part).all() else np.nan for part in parts]

    return flat, begins, np.concatenate([*threads.map(pack, range(len(begins)))])


_Room = tuple[
    Float[np.ndarray, " tile"], Float[np.ndarray, " R"], Float[np.ndarray, " C"], Float[np.ndarray, " T"]
]
_Sinkhorn = tuple[Float[np.ndarray, " kernel"], Float[np.ndarray, "3 most"]]


def _room(
    n: int,
    m: Int[np.ndarray, " share"],
    sizes: Int[np.ndarray, "runs 2"],
    tile_rows: int,
    wanted: tuple[bool, bool, bool, bool],
) -> tuple[Float[np.ndarray, "5 share"], int, _Room, dtw.Room, _Sinkhorn | None]:
    """Memory of `_scores`: scores, the width of its tables, and arrays, those of transport if wanted.

    Maxima that nobody wants have no room. Numba compiles no transport for a caller that gives None:
    it takes a second, and few want it.
    """
    maxima, with_dtw, _, with_transport = wanted
    width = -(-int(m.max()) // LANES) * LANES if with_dtw or with_transport else 0
    found = np.full((5, len(m)), np.nan, np.float32)
    tile = np.empty(tile_rows * COLUMNS * LANES, np.float32)
    most, longest = sizes.max(axis=0).tolist()
    row_maxima = np.empty(most * n * LANES if maxima else 0, np.float32)
    room = tile, row_maxima, np.empty(longest + LANES, np.float32), np.empty(n * width, np.float32)
    if not with_transport:
        return found, width, room, dtw.room(width), None
    sinkhorn = np.empty(n * width + LANES, np.float32), np.empty((3, max(n, width)), np.float32)
    return found, width, room, dtw.room(width), sinkhorn


@compiled()
@typing.no_type_check
def _scores(
    slivers: Shaped[np.ndarray, " A"],
    blocks: Shaped[np.ndarray, " B"],
    begins: Int[np.ndarray, " runs"],
    n: int,
    m: Int[np.ndarray, " share"],
    sizes: Int[np.ndarray, "runs 2"],
    shape: tuple[int, int, int],
    with_dtw: bool,
    per_cell: bool,
    found: Float[np.ndarray, "5 share"],
    width: int,
    room: _Room,
    warp: dtw.Room,
    sinkhorn: _Sinkhorn | None,
) -> Float[np.ndarray, "5 share"]:
    """Precision, recall, cost, transport and its error of one utterance of A with some of B.

    These are in runs, of which `sizes` has the numbers of utterances and of frames.
    """
    _, row_maxima, column_maxima, table = room
    first = 0
    for run in range(len(sizes)):
        count, total = sizes[run, 0], sizes[run, 1]
        lengths = m[first : first + count]
        # Not 0: all cosines of a frame may be negative.
        row_maxima[: count * n * LANES] = -np.inf
        column_maxima[: total + LANES] = -np.inf
        _fill(slivers, blocks[begins[run] :], (n, total), lengths, shape, width, room)
        column = 0
        for k in range(count if len(row_maxima) else 0):
            found[0, first + k] = _mean_of_highest(row_maxima[k * n * LANES :], n)
            found[1, first + k] = _mean(column_maxima[column:], lengths[k])
            column += lengths[k]
        if with_dtw:
            found[2, first] = dtw.cost(table, (0, width, n, total), warp, per_cell)
        if sinkhorn is not None:
            costs = transport.cost(table, width, n, total, sinkhorn[0], sinkhorn[1])
            found[3, first], found[4, first] = costs
        first += count
    return found


@compiled(inline="always")
@typing.no_type_check
def _fill(
    slivers: Shaped[np.ndarray, " A"],
    right: Shaped[np.ndarray, " B"],
    frames: tuple[int, int],
    m: Int[np.ndarray, " run"],
    shape: tuple[int, int, int],
    width: int,
    room: _Room,
) -> None:
    """Maxima of the cosines of an utterance and a run, if there is room for them.

    If `width` isn't 0, the run is one utterance, and distances are written in rows of `width`. Columns are
    outside, so that the blocks of B stay in the cache for all frames of A.
    """
    tile, row_maxima, column_maxima, table = room
    (n, columns), (height, depth, tile_rows) = frames, shape
    v, begin = 0, 0  # the first utterance that reaches into the tile, and its first column
    for column in range(0, columns, COLUMNS * LANES):
        count = min(COLUMNS, -(-(columns - column) // LANES))
        while begin + m[v] <= column:
            begin += m[v]
            v += 1
        for row in range(0, n, tile_rows):
            rows = min(tile_rows, n - row)
            tiles.fill(tile, slivers[row * depth :], right[column * depth :], rows, count, (height, depth))
            k, start = v, begin
            while len(row_maxima) and k < len(m) and start < column + count * LANES:
                tops = row_maxima[(k * n + row) * LANES :], column_maxima
                _raise(tile, tops, rows, column, (start, min(start + m[k], column + count * LANES)))
                start += m[k]
                k += 1
            if width:
                _keep(tile, table[row * width + column :], rows, count * LANES, width)


@compiled(inline="always")
@typing.no_type_check
def _raise(
    tile: Float[np.ndarray, " tile"],
    tops: tuple[Float[np.ndarray, " R"], Float[np.ndarray, " C"]],
    rows: int,
    column: int,
    columns: tuple[int, int],
) -> None:
    """Raise the maxima of the rows and columns of one utterance, of whose `columns` a tile holds the last."""
    first, last = max(columns[0], column), columns[1]
    for block in range(first // LANES * LANES, last, LANES):
        cells, lanes = tile[block - column :], (max(first - block, 0), min(last - block, LANES))
        microkernels.raise_maxima(cells, tops[0], tops[1][block:], rows, lanes[0], lanes[1])


@compiled(inline="always")
@typing.no_type_check
def _keep(
    tile: Float[np.ndarray, " tile"], table: Float[np.ndarray, " table"], rows: int, count: int, width: int
) -> None:
    """Distances of a tile, `count` a row, to a table of rows of `width`."""
    for r in range(rows):
        for j in range(count):
            # Columns of repeated frames are copied too; those who read the table pass them by.
            table[r * width + j] = np.float32(1) - tile[r * COLUMNS * LANES + j]


# What raised a maximum was no NaN, so that a register's lanes may be compared in any order.
@compiled(fastmath={"nnan", "nsz"})
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


@compiled(inline="always")
@typing.no_type_check
def _mean(values: Float[np.ndarray, " size"], count: int) -> float:
    total = np.float32(0)
    for k in range(count):
        total += values[k]
    return total / np.float32(count)

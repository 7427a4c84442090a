"""kernels.cpu.microkernels: the routines on their own, with the shapes that other machines choose."""

import itertools

import numba
import numpy as np
import pytest

from isogloss.kernels.cpu import microkernels
from isogloss.kernels.cpu.microkernels import LANES


@pytest.mark.parametrize(("rows", "panels"), [(14, 2), (14, 1), (6, 1), (4, 1)])
def test_product(rows, panels):
    """Small integers: exact, so the order of the sum does not matter."""
    routine = microkernels.product((14, 6, 4), panels)

    @numba.njit
    def call(a, b, c, stride, depth, count, resume):
        routine(a, b, c, stride, rows, depth, count, resume)

    rng = np.random.default_rng(0)
    for depth in (1, 2, 37):
        a = rng.integers(-3, 4, (depth, rows)).astype(np.float32)
        b = rng.integers(-3, 4, (panels, depth, LANES)).astype(np.float32)
        c = np.full((rows, 5, LANES), 9, np.float32)
        call(a.reshape(-1), b.reshape(-1), c.reshape(-1), 5 * LANES, depth, depth, 0)
        np.testing.assert_array_equal(c[:, :panels], np.einsum("kr,pkl->rpl", a, b))
        assert (c[:, panels:] == 9).all()


BY_INSTRUCTION = pytest.param(
    True, marks=pytest.mark.skipif(not microkernels.HAS_BYTE_PRODUCT, reason="needs AVX-512 VNNI")
)


@pytest.mark.parametrize("by_instruction", [False, BY_INSTRUCTION])
@pytest.mark.parametrize(("rows", "panels"), [(14, 2), (10, 1)])
def test_product_of_bytes(rows, panels, by_instruction):
    """All bytes, the largest products among them; sums beyond 2**24 are rounded."""
    routine = microkernels.product_of_bytes((14, 10), panels, by_instruction=by_instruction)

    @numba.njit
    def call(a, b, c, stride, words):
        routine(a, b, c, stride, rows, words)

    rng = np.random.default_rng(0)
    for words in (1, 2, 320):
        a = rng.integers(0, 256, (words, rows, 4), np.uint8)
        b = rng.integers(-128, 128, (panels, 1 + words, LANES, 4), np.int8)
        a[:, 0], b[:, :, 0] = 255, -128
        starts = rng.integers(-1000, 1000, (panels, LANES), np.int32)
        b.view(np.int32)[:, 0, :, 0] = starts
        c = np.full((rows, 5, LANES), 9, np.float32)
        given = (array.reshape(-1).view(np.int32) for array in (a, b))
        call(*given, c.reshape(-1), 5 * LANES, words)
        expected = np.einsum("krj,pklj->rpl", a.astype(int), b[:, 1:].astype(int)) + starts
        np.testing.assert_array_equal(c[:, :panels], expected.astype(np.float32))
        assert (c[:, panels:] == 9).all()


@pytest.mark.parametrize("width", [4, 14, 16])
@pytest.mark.parametrize("last", [0, 9, 15])
def test_transpose(width, last):
    """Of rows beyond the last it is repeated; what follows is written over up to a register's end."""

    @numba.njit
    def call(source, stride, last, factors, out, width, count):
        microkernels.transpose(source, stride, last, factors, out, width, count)

    rng = np.random.default_rng(0)
    source = rng.standard_normal((last + 1, 50)).astype(np.float32)
    factors = np.float32(2) ** np.arange(-8, 8, dtype=np.float32)
    out = np.full(48 * width + LANES, 9, np.float32)
    call(source.reshape(-1), 50, last, factors, out, width, 3)
    rows = source[np.minimum(np.arange(width), last), :48] * factors[:width, None]
    np.testing.assert_array_equal(out[: 48 * width].reshape(48, width), rows.T)
    assert (out[47 * width + LANES :] == 9).all()


@pytest.mark.parametrize(("first", "last"), [(0, LANES), (0, 1), (5, 9), (15, 16)])
def test_maxima(first, last):
    """Of one block of a tile: a column's of all rows, a row's of some lanes; NaN raises nothing."""

    @numba.njit
    def call(tile, row_maxima, column_maxima, rows, first, last):
        microkernels.raise_maxima(tile, row_maxima, column_maxima, rows, first, last)

    rng = np.random.default_rng(3)
    tile = rng.standard_normal((7, microkernels.COLUMNS, LANES)).astype(np.float32)
    tile[2, 0, 6] = np.nan
    row_maxima = rng.standard_normal((7, LANES)).astype(np.float32)
    column_maxima = rng.standard_normal(2 * LANES).astype(np.float32)
    by_row, by_column = row_maxima.copy(), column_maxima.copy()
    call(tile.reshape(-1), row_maxima.reshape(-1), column_maxima, 7, first, last)
    by_row[:, first:last] = np.fmax(by_row, tile[:, 0])[:, first:last]
    by_column[:LANES] = np.fmax(by_column[:LANES], np.nanmax(tile[:, 0], axis=0))
    np.testing.assert_array_equal(row_maxima, by_row)
    np.testing.assert_array_equal(column_maxima, by_column)


def strip(count, *given):
    """Run the routine, which only compiled code can call."""
    routine = microkernels.strip(count)

    @numba.njit
    def call(source, ahead, lanes, state, sums, cells, first, blocks):
        routine(source, ahead, lanes, state, sums, cells, first, blocks)

    call(*given)


def test_product_has_one_order_of_summation():
    """Shapes and pieces agree in every bit, so grids of different machines can be compared."""
    rng = np.random.default_rng(1)
    depth = 100
    a = rng.standard_normal((84, depth)).astype(np.float32)
    b = rng.standard_normal((2, depth, LANES)).astype(np.float32)
    results = []
    for rows, panels, piece in ((14, 2, 100), (14, 2, 33), (14, 1, 100), (6, 1, 100)):
        routine = microkernels.product((rows,), panels)

        @numba.njit
        def call(a, b, c, stride, depth, count, resume, routine=routine, rows=rows):
            routine(a, b, c, stride, rows, depth, count, resume)

        c = np.zeros((84, 2, LANES), np.float32)
        for r in range(0, 84, rows):
            for p in range(0, 2, panels):
                sliver = np.ascontiguousarray(a[r : r + rows].T).reshape(-1)
                right = b[p : p + panels].reshape(-1)
                part = np.zeros((rows, panels, LANES), np.float32)
                for k in range(0, depth, piece):
                    given = sliver[k * rows :], right[k * LANES :], part.reshape(-1), panels * LANES, depth
                    call(*given, min(piece, depth - k), k)
                c[r : r + rows, p : p + panels] = part
        results.append(c)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("count", [False, True])
def test_strip(count):
    """A strip below others; rows are in use up to different columns."""
    rng = np.random.default_rng(2)
    columns, blocks = 21, 3  # 3 * LANES steps, enough for columns + LANES - 1
    distances = rng.integers(0, 4, (LANES, columns)).astype(np.float32)
    above = rng.integers(0, 9, (2, columns)).astype(np.float32)  # sums, and the cells on their paths
    high = rng.integers(15, columns + 1, LANES)
    high[-1] = columns
    edges = np.zeros((2, columns + 4 * LANES), np.float32)
    edges[0] = np.inf
    edges[:, LANES : LANES + columns] = above
    lanes, below = np.zeros((2, LANES), np.int64), np.arange(LANES)[::-1]
    room = np.full(LANES * (columns + 3 * LANES), np.nan, np.float32)
    for lane, i in enumerate(below):
        room[LANES + i * 70 : LANES + i * 70 + columns] = distances[i]
        lanes[:, lane] = LANES + i * 70 - i, high[i]
    state = np.full(LANES, np.inf, np.float32)
    strip(count, room, 0, lanes.reshape(-1), state, *edges, 0, blocks)

    table = np.full((LANES + 1, columns + 1, 2), (np.inf, 0), np.float32)
    table[0, 1:] = above.T
    for i, j in itertools.product(range(LANES), range(columns)):
        if j < high[i]:
            before = table[i, j], table[i, j + 1], table[i + 1, j]  # diagonal, up, left: the first of equals
            total, cells = min(before, key=lambda cell: cell[0])
            table[i + 1, j + 1] = distances[i, j] + total, cells + 1
    assert np.isfinite(table[LANES, :, 0]).sum() == columns
    np.testing.assert_array_equal(edges[0, LANES : LANES + columns], table[LANES, 1:, 0])
    if count:
        np.testing.assert_array_equal(edges[1, LANES : LANES + columns], table[LANES, 1:, 1])
    assert not np.isnan(state).any()


def test_strip_keeps_nan_in_its_row():
    room = np.ones(LANES * 48, np.float32)
    room[5 * 48 + 13] = np.nan  # column 3 of the row that enters after 10 steps
    lanes = np.array([np.arange(LANES) * 48, np.full(LANES, 20)], np.int64)
    state, sums, cells = np.zeros(LANES, np.float32), *np.zeros((2, 80), np.float32)
    strip(False, room, 0, lanes.reshape(-1), state, sums, cells, 0, 2)
    assert np.flatnonzero(np.isnan(state)).tolist() == [5]

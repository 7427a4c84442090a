"""kernels.registers_numba: the routines on their own, with the shapes that other machines choose."""

import numba
import numpy as np
import pytest

from isogloss.kernels import registers_numba
from isogloss.kernels.registers_numba import COLUMNS, LANES


@pytest.mark.parametrize(("rows", "panels"), [(14, 2), (6, 1)])
def test_product(rows, panels):
    """Small integers: exact, so the order of the sum does not matter."""
    routine = registers_numba.product(rows, panels)

    @numba.njit
    def call(a, b, c, stride, depth):
        routine(a, b, c, stride, depth)

    rng = np.random.default_rng(0)
    for depth in (1, 2, 37):
        a = rng.integers(-3, 4, (depth, rows)).astype(np.float32)
        b = rng.integers(-3, 4, (panels, depth, LANES)).astype(np.float32)
        c = np.full((rows, 5, LANES), 9, np.float32)
        call(a.reshape(-1), b.reshape(-1), c.reshape(-1), 5 * LANES, depth)
        np.testing.assert_array_equal(c[:, :panels], np.einsum("kr,pkl->rpl", a, b))
        assert (c[:, panels:] == 9).all()


def test_product_has_one_order_of_summation():
    """The two shapes agree in every bit, so grids of different machines can be compared."""
    rng = np.random.default_rng(1)
    depth = 100
    a = rng.standard_normal((84, depth)).astype(np.float32)
    b = rng.standard_normal((2, depth, LANES)).astype(np.float32)
    results = []
    for rows, panels in ((14, 2), (6, 1)):
        routine = registers_numba.product(rows, panels)

        @numba.njit
        def call(a, b, c, stride, depth, routine=routine):
            routine(a, b, c, stride, depth)

        c = np.zeros((84, 2, LANES), np.float32)
        for r in range(0, 84, rows):
            for p in range(0, 2, panels):
                sliver = np.ascontiguousarray(a[r : r + rows].T).reshape(-1)
                part = np.zeros((rows, panels, LANES), np.float32)
                call(sliver, b[p : p + panels].reshape(-1), part.reshape(-1), panels * LANES, depth)
                c[r : r + rows, p : p + panels] = part
        results.append(c)
    np.testing.assert_array_equal(*results)


def test_interleave():
    @numba.njit
    def call(distances, tile, starts, stride, rows):
        registers_numba.interleave(distances, tile, starts, stride, rows)

    distances = np.arange(4000, dtype=np.float32)
    starts, stride, rows = np.random.default_rng(2).integers(0, 3000, LANES), 21, 40
    tile = np.zeros((rows, COLUMNS, LANES), np.float32)
    call(distances, tile.reshape(-1), starts, stride, rows)
    r, c = np.arange(rows)[:, None, None], np.arange(COLUMNS)[None, :, None]
    np.testing.assert_array_equal(tile, starts[None, None, :] + r * stride + c)

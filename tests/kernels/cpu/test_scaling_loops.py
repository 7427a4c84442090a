"""kernels.cpu.scaling_loops: each loop on its own, against NumPy in float64."""

import numba
import numpy as np
import pytest

from isogloss.kernels.cpu import scaling_loops
from isogloss.kernels.cpu.llvm_builder import LANES
from isogloss.kernels.cpu.scaling_loops import ROWS


@numba.njit
def _exponentials(source, rate, out, blocks):
    scaling_loops.exponentials(source, rate, out, blocks)


@numba.njit
def _scale_rows(kernel, v, u, sums, stride, rows, blocks):
    scaling_loops.scale_rows(kernel, v, u, sums, stride, rows, blocks)


@numba.njit
def _scale_columns(sums, v, blocks):
    scaling_loops.scale_columns(sums, v, blocks)


def test_exponentials():
    """Within 2e-7 of the exact value, wherever a power of two begins; NaN stays in its lane."""
    rate = np.float32(-20)
    source = np.linspace(-4.3, 4.3, 100 * LANES, dtype=np.float32)
    source[:3] = 0, -0.0, 2
    source[5] = np.nan
    source[7:8].view(np.uint32)[:] = 0x7FC00001  # a NaN of other bits
    out = np.full(101 * LANES, 9, np.float32)
    _exponentials(source, rate, out, 100)
    # The exponent itself is rounded to float32 first, which at 86 is worth 4e-6.
    expected = np.exp((rate * source).astype(np.float64))
    np.testing.assert_allclose(out[:-LANES], expected, rtol=2e-7, atol=0)
    assert out[0] == out[1] == 1
    assert np.isnan(out).sum() == 2
    assert (out[-LANES:] == 9).all()


@pytest.mark.parametrize("rows", range(1, ROWS + 1))
def test_scale_rows(rows):
    """Powers of two: exact, so the order of sums does not matter. What lies beyond stays."""
    stride, blocks = 4 * LANES, 3
    rng = np.random.default_rng(rows)
    kernel = np.zeros((rows, stride), np.float32)
    kernel[np.arange(rows), rng.permutation(blocks * LANES)[:rows]] = 2.0 ** rng.integers(-3, 4, rows)
    kernel[:, blocks * LANES :] = np.nan
    v = 2.0 ** rng.integers(-3, 4, stride).astype(np.float32)
    u, sums = np.full(ROWS + 1, 9, np.float32), np.ones(stride, np.float32)
    sums[1] = np.inf
    _scale_rows(kernel.reshape(-1), v, u, sums, stride, rows, blocks)
    used = slice(blocks * LANES)
    expected = 1 / (kernel[:, used] @ v[used])
    np.testing.assert_array_equal(u[:rows], expected)
    assert (u[rows:] == 9).all()
    wanted = np.ones(blocks * LANES, np.float32) + expected @ kernel[:, used]
    wanted[1] = np.inf
    np.testing.assert_array_equal(sums[used], wanted)
    assert (sums[blocks * LANES :] == 1).all()


def test_scale_columns():
    """The largest scaling is 1; a column that isn't there, whose sum is infinite, has 0."""
    for smallest in (0, 1, 9, 2 * LANES - 1):
        sums = 2.0 ** np.random.default_rng(smallest).integers(1, 5, 2 * LANES).astype(np.float32)
        sums[5] = np.inf
        sums[smallest] = 0.5
        v = np.full(3 * LANES, 9, np.float32)
        _scale_columns(sums, v, 2)
        np.testing.assert_array_equal(v[: 2 * LANES], np.float32(0.5) / sums)
        assert v[5] == 0
        assert v.max() == 9

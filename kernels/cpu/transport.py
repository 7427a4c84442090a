"""Entropic transport of a pair of utterances on the CPU; `reference.transport` defines it.

An iteration reads the kernel once: a row's scaling is known when the row has been read, and adds to the sums
of the columns while the row is in the first cache. What keeps it within float32 stands in
`kernels.frame_transport`. Memory: a table of the pair's kernel, two vectors.
"""

import typing

import numpy as np
from jaxtyping import Float

from isogloss.kernels.cpu import scaling_loops
from isogloss.kernels.cpu.compiled import compiled
from isogloss.kernels.cpu.llvm_builder import LANES
from isogloss.kernels.cpu.scaling_loops import ROWS
from isogloss.kernels.frame_transport import EPSILON, ITERATIONS

_RATE = np.float32(-1 / EPSILON)
# Sums may be reordered, so that a register holds sixteen of them; NaN stays NaN.
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}


@compiled(fastmath=_FASTMATH)
@typing.no_type_check
def cost(
    distances: Float[np.ndarray, " table"],
    width: int,
    n: int,
    m: int,
    kernel: Float[np.ndarray, " table"],
    vectors: Float[np.ndarray, "3 most"],
) -> tuple[float, float]:
    """(cost, error) of one pair, as `frame_transport.transport`.

    Args:
      distances: rows of `width`, of which the first m are in use.
      width: of a row, a multiple of LANES.
      n: rows in use.
      m: columns in use.
      kernel: written; as large as `distances` and LANES more.
      vectors: written; at least n, and m to the next multiple of LANES, long.
    """
    u, v, sums = vectors[0], vectors[1], vectors[2]
    kernel = kernel[
        -(kernel.ctypes.data // 4) % LANES :
    ]  # a vector in two lines of the cache costs half again
    blocks = -(-m // LANES)
    stride = blocks * LANES
    for i in range(n):
        row = kernel[i * stride :]
        scaling_loops.exponentials(distances[i * width :], _RATE, row, blocks)
        row[m:stride] = 0
    v[:m] = 1
    v[m:stride] = 0
    for step in range(ITERATIONS):
        if step:
            scaling_loops.scale_columns(sums, v, blocks)
        sums[:m] = 0
        sums[m:stride] = np.inf  # so that the scaling of a column that isn't there is 0
        for i in range(0, n, ROWS):
            rows = min(ROWS, n - i)
            scaling_loops.scale_rows(kernel[i * stride :], v, u[i:], sums, stride, rows, blocks)
    take = np.float32(1) / np.float32(m)
    for j in range(m):
        v[j] = take / sums[j]
    return _of_plan(distances, kernel, (width, stride), n, m, vectors)


@compiled(fastmath=_FASTMATH)
@typing.no_type_check
def _of_plan(
    distances: Float[np.ndarray, " table"],
    kernel: Float[np.ndarray, " table"],
    widths: tuple[int, int],
    n: int,
    m: int,
    vectors: Float[np.ndarray, "3 most"],
) -> tuple[float, float]:
    """(cost, error) of the plan of two scalings; `widths` are of rows of distances, of the kernel."""
    u, v, sums = vectors[0], vectors[1], vectors[2]
    width, stride = widths
    give, take = np.float32(1) / np.float32(n), np.float32(1) / np.float32(m)
    sums[:m] = 0
    # Sums of millions of cells in float32 would be off by 3e-4; those of a row are not.
    moved, given, taken = 0.0, 0.0, 0.0
    for i in range(n):
        row, far = kernel[i * stride : i * stride + m], distances[i * width : i * width + m]
        total, paid = np.float32(0), np.float32(0)
        for j in range(m):
            mass = u[i] * row[j] * v[j]
            total += mass
            sums[j] += mass
            paid += mass * far[j]
        moved += paid
        given += abs(total - give)
    for j in range(m):
        taken += abs(sums[j] - take)
    return moved, max(given, taken)

"""A tile of cosines from packed frames: some slivers (groups of frames) of A times some blocks of B.

A tile is flat (row, column, lane), COLUMNS blocks wide. Numba chooses the product by the type of the frames:
floats, or words of four bytes, whose products are multiples of cosines.
"""

import typing

import numba
import numba.extending
import numpy as np
from jaxtyping import Float, Shaped

from isogloss.kernels.cpu import microkernels
from isogloss.kernels.cpu.compiled import compiled
from isogloss.kernels.cpu.microkernels import COLUMNS, HEIGHTS, LANES, PANELS

_DEPTH = 128  # features at a time: two blocks' and a sliver's take 24 KB of the first cache's 32 or more
_product = microkernels.product(HEIGHTS, PANELS)
_product_of_one = microkernels.product(HEIGHTS, 1)
_by_instruction = microkernels.HAS_BYTE_PRODUCT
_byte_product = microkernels.product_of_bytes(HEIGHTS, PANELS, by_instruction=_by_instruction)
_byte_product_of_one = microkernels.product_of_bytes(HEIGHTS, 1, by_instruction=_by_instruction)


@compiled(inline="always")
@typing.no_type_check
def fill(
    tile: Float[np.ndarray, " tile"],
    slivers: Shaped[np.ndarray, " A"],
    blocks: Shaped[np.ndarray, " B"],
    rows: int,
    columns: int,
    shape: tuple[int, int],
) -> None:
    """Fill `rows` and `columns` of a tile; what further columns hold is left.

    Args:
      tile: written.
      slivers: of A, from the first row on.
      blocks: of B, from the first column on.
      rows: frames of A; a last sliver is computed whole.
      columns: blocks of B, at most COLUMNS.
      shape: frames of a sliver, entries of a frame.
    """
    _products(tile, slivers, blocks, rows, columns, shape)


def _products(*given: object) -> None:
    """Placeholder in compiled code for the product that `_choose` puts in its place."""
    raise TypeError("products of tiles are for compiled code, whose registers Python doesn't have")


# A branch on the type is taken when the caller is compiled, so that the loops hold one product only.
@numba.extending.overload(_products)
@typing.no_type_check
def _choose(tile, slivers, blocks, rows, columns, shape):  # noqa: ANN001, ANN202 Numba's own types
    """Code for the type of the frames."""
    return _of_floats if slivers.dtype == numba.float32 else _of_words


@typing.no_type_check
def _of_floats(tile, slivers, blocks, rows, columns, shape):  # noqa: ANN001, ANN202 as `_products`
    """Products of _DEPTH features at a time.

    So many of two blocks and a sliver stay in the first cache; whole blocks of a large model would not.
    """
    height, depth = shape
    for start in range(0, depth, _DEPTH):
        count = min(_DEPTH, depth - start)
        for c in range(0, columns, PANELS):
            right = blocks[(c * depth + start) * LANES :]
            for r in range(0, rows, height):
                out = tile[(r * COLUMNS + c) * LANES :]
                left = slivers[r * depth + start * height :]
                if c + PANELS <= columns:
                    _product(left, right, out, COLUMNS * LANES, height, depth, count, start)
                else:
                    _product_of_one(left, right, out, COLUMNS * LANES, height, depth, count, start)


@typing.no_type_check
def _of_words(tile, slivers, blocks, rows, columns, shape):  # noqa: ANN001, ANN202 as `_products`
    """Products of whole frames. A's first entry is skipped: only B's is the initial accumulator."""
    height, depth = shape
    for c in range(0, columns, PANELS):
        right = blocks[c * depth * LANES :]
        for r in range(0, rows, height):
            out = tile[(r * COLUMNS + c) * LANES :]
            left = slivers[r * depth + height :]
            if c + PANELS <= columns:
                _byte_product(left, right, out, COLUMNS * LANES, height, depth - 1)
            else:
                _byte_product_of_one(left, right, out, COLUMNS * LANES, height, depth - 1)

"""Packed text is what the standard library makes of it."""

import base64
import zlib

import numpy as np
import pytest

from isogloss.engine.drawing.packing import packed


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 1000, 1001])
def test_base_85_of_what_zlib_makes(size):
    data = np.random.default_rng(size).bytes(size)
    for level in (0, 6, 9):
        assert packed(data, level) == base64.b85encode(zlib.compress(data, level)).decode()

"""kernels.cpu.packing: every entry in its place, and nothing written beyond."""

import numpy as np
import pytest

from isogloss.kernels.cpu import packing
from isogloss.kernels.cpu.packing import BYTES, FLOATS

WIDTHS = (4, 6, 10, 12, 14, 16)  # of slivers on any machine, and of blocks
SPARE = 40


def drawn(n, features):
    return np.random.default_rng(n + features).standard_normal((n, features)).astype(np.float32)


def packed(form, frames, width, left=False):
    """(block, entry, frame of the block) and the factor; fails if anything beyond was written."""
    n, features = frames.shape
    size = form.size(n, width, features)
    flat = np.full(size + SPARE, 77, form.dtype)
    factor = form.pack(frames, width, flat[:size], left)
    assert (flat[size:] == 77).all()
    return flat[:size].reshape(-1, form.entries(features), width), factor


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("features", [1, 15, 16, 17, 32, 33])
def test_floats(width, features):
    for n in (1, width, width + 1, 3 * width - 1):
        frames = drawn(n, features)
        blocks, factor = packed(FLOATS, frames, width)
        unit = frames / np.linalg.norm(frames.astype(float), axis=1, keepdims=True)
        unit = unit[np.minimum(np.arange(blocks.shape[0] * width), n - 1)]
        np.testing.assert_allclose(blocks.transpose(0, 2, 1).reshape(unit.shape), unit, rtol=3e-7)
        assert factor == 1


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("features", [1, 4, 15, 17, 48])
def test_bytes_of_both_sides(width, features):
    for n in (1, width, width + 1, 3 * width - 1):
        frames = drawn(n, features)
        (right, factor), (left, _) = (packed(BYTES, frames, width, side) for side in (False, True))
        shape = right.shape[0] * width, 4 * (right.shape[1] - 1)
        signed, unsigned = (
            words[:, 1:].transpose(0, 2, 1).reshape(shape[0], -1).copy().view(kind).reshape(shape).astype(int)
            for words, kind in ((right, np.int8), (left, np.uint8))
        )
        np.testing.assert_array_equal(unsigned[:, :features] - 128, signed[:, :features])
        np.testing.assert_array_equal(right[:, 0].reshape(-1), -128 * signed.sum(axis=1))
        assert (signed[:, features:] == 0).all()  # A's meet them only
        assert np.abs(signed).max() == 127
        assert (signed[n:] == signed[n - 1]).all()
        lengths = np.linalg.norm(signed[:n] * factor, axis=1)  # of frames of length 1, rounded
        np.testing.assert_allclose(lengths, 1, atol=np.sqrt(features) / 2 * factor + 1e-6)


@pytest.mark.parametrize("form", [FLOATS, BYTES])
@pytest.mark.parametrize("features", [17, 64])
def test_frames_shorter_than_a_float_can_invert(form, features):
    """Beside one of length 1e30; 1e-40 is stored with some 17 bits."""
    frames = drawn(20, features)
    expected, _ = packed(form, frames, 14)
    scaled = frames * np.float32(1e30)
    scaled[3] = frames[3] * np.float32(1e-40)
    blocks, factor = packed(form, scaled, 14)
    assert np.isfinite(factor)
    if form is FLOATS:
        np.testing.assert_allclose(blocks, expected, atol=1e-4)
    else:
        differences = blocks[:, 1:].copy().view(np.int8).astype(int) - expected[:, 1:].copy().view(np.int8)
        assert np.abs(differences).max() <= 1


@pytest.mark.parametrize("form", [FLOATS, BYTES])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_frame_that_is_not_finite(form, value):
    frames = drawn(20, 17)
    frames[19, 16] = value
    assert np.isnan(packed(form, frames, 14)[1])


def test_zero_frames():
    for form in (FLOATS, BYTES):
        blocks, factor = packed(form, np.zeros((3, 16), np.float32), packing.LANES)
        assert (blocks == 0).all()
        assert factor in (0, 1)

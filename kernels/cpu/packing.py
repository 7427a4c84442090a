"""How frames lie in memory for the tiles of the CPU kernel: as floats of length 1, or rounded to bytes.

Both are flat (block, entry, frame of the block): a register reads the same entry of several frames. Floats
have one entry a feature. Bytes, rounded as `seqsim_int8` rounds them, have one for four features; before them
stands one from which sums begin, for the machine multiplies unsigned bytes with signed ones: A's are stored
plus 128, and B's first entry takes that off again. The last frame is repeated to fill a block. Memory while
an utterance is packed to bytes: a float32 copy of it.
"""

import dataclasses
import typing
from collections.abc import Callable

import numba
import numpy as np
from jaxtyping import Float, Int

from isogloss.kernels import seqsim_int8
from isogloss.kernels.cpu import microkernels
from isogloss.kernels.cpu.microkernels import LANES

_UNSIGNED = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """A way to pack.

    Attributes:
      dtype: of entries.
      entries: of a frame, by number of features.
      pack: function of (frames (n, D) float32, width of a block, out, whether they are A's) that fills `out`
        and gives what cosines of these frames are to be multiplied with; NaN if one isn't finite.
    """

    dtype: type
    entries: Callable[[int], int]
    pack: Callable[[Float[np.ndarray, "n D"], int, np.ndarray, bool], float]

    def size(self, count: int, width: int, features: int) -> int:
        """Entries of so many frames, in blocks of `width`."""
        return -(-count // width) * width * self.entries(features)


def _pack_floats(
    frames: Float[np.ndarray, "n D"], width: int, out: Float[np.ndarray, " size"], left: bool
) -> float:
    del left
    return 1.0 if _write_floats(frames, width, out) else np.nan


def _pack_bytes(
    frames: Float[np.ndarray, "n D"], width: int, out: Int[np.ndarray, " size"], left: bool
) -> float:
    features = frames.shape[1]
    places = len(out) // BYTES.entries(features)
    turned = np.empty(-(-places // LANES) * LANES * features, np.float32)
    if not _write_floats(frames, LANES, turned):
        out[:] = 0
        return np.nan
    step = _turn(turned, seqsim_int8.signs(features)) / 127
    _write_bytes(turned, 1 / step if step else 0.0, features, width, _UNSIGNED if left else 0, out)
    return step / seqsim_int8.stretch(features)


FLOATS = Form(dtype=np.float32, entries=lambda features: features, pack=_pack_floats)
BYTES = Form(dtype=np.int32, entries=lambda features: 1 + -(-features // 4), pack=_pack_bytes)


@numba.njit(nogil=True)
@typing.no_type_check
def _write_floats(x: Float[np.ndarray, "n D"], width: int, out: Float[np.ndarray, " size"]) -> bool:
    """Whether all frames are finite; writes them."""
    depth = x.shape[1]
    frames = len(out) // depth
    finite = True
    factors, exact = np.zeros(LANES, np.float32), np.zeros(LANES, np.float64)
    for first in range(0, frames, width):
        start, last = min(first, len(x) - 1), max(0, len(x) - 1 - first)
        for i in range(width):
            square = _square(x[start + min(i, last)])
            finite &= np.isfinite(square)
            exact[i] = 1.0 / np.sqrt(square) if square != 0.0 else 0.0
        factors[:] = exact
        block = out[first * depth : (first + width) * depth]
        whole = depth // LANES
        if width < LANES and first + width == frames:
            whole = max(0, whole - 1)  # registers are wider than a block and would write beyond the last
        if np.isfinite(factors).all():
            exact[:] = factors
        else:
            whole = 0  # a frame so short that only float64 holds its factor
        if whole:
            microkernels.transpose(x[start:].reshape(-1), depth, last, factors, block, width, whole)
        for k in range(whole * LANES, depth):
            for i in range(width):
                block[k * width + i] = x[start + min(i, last), k] * exact[i]
    return finite


@numba.njit(nogil=True, fastmath={"reassoc"})
@typing.no_type_check
def _square(frame: Float[np.ndarray, " D"]) -> float:
    """Square of a frame's length in float64, which holds any float32 squared."""
    square = 0.0
    for value in frame:
        square += np.float64(value) * np.float64(value)
    return square


@numba.njit(nogil=True, fastmath={"nnan", "nsz"})
@typing.no_type_check
def _turn(flat: Float[np.ndarray, " size"], signs: Float[np.ndarray, " D"]) -> float:
    """Turn blocks of LANES frames in place, as `seqsim_int8` does; gives the largest feature.

    Features are mixed in groups of a power of two, one after the other: a group stays in the cache.
    """
    largest = np.float32(0)
    group = len(signs) & -len(signs)
    for first in range(0, len(flat) // LANES, group):
        cells = flat[first * LANES : (first + group) * LANES]
        for k in range(group):
            if signs[(first + k) % len(signs)] < 0:
                for i in range(LANES):
                    cells[k * LANES + i] = -cells[k * LANES + i]
        span = LANES
        while span < len(cells):
            for start in range(0, len(cells), 2 * span):
                low, high = cells[start : start + span], cells[start + span : start + 2 * span]
                for i in range(span):
                    a, b = low[i], high[i]
                    low[i] = a + b
                    high[i] = a - b
            span *= 2
        for value in cells:
            largest = max(largest, abs(value))
    return largest


@numba.njit(nogil=True)
@typing.no_type_check
def _write_bytes(
    turned: Float[np.ndarray, " size"],
    factor: float,
    features: int,
    width: int,
    plus: int,
    out: Int[np.ndarray, " words"],
) -> None:
    """Whole numbers as bytes plus `plus`; before them minus 128 times the sum of each frame's."""
    words = (features + 3) // 4
    depth = 1 + words
    totals, word = np.empty(LANES, np.int32), np.empty(LANES, np.int32)
    begins = np.empty(LANES, np.int64)
    scale = np.float32(factor)
    for first in range(0, len(out) // depth, LANES):
        count = min(LANES, len(out) // depth - first)
        totals[:] = 0
        for i in range(count):
            block, place = divmod(first + i, width)
            begins[i] = block * depth * width + place
        for w in range(words):
            word[:] = 0
            for k in range(4 * w, min(4 * w + 4, features)):
                cells = turned[first * features + k * LANES : first * features + (k + 1) * LANES]
                for i in range(LANES):
                    value = np.int32(np.rint(cells[i] * scale))
                    totals[i] += value
                    word[i] |= ((value + plus) & 255) << (8 * (k % 4))
            for i in range(count):
                out[begins[i] + (1 + w) * width] = word[i]
        for i in range(count):
            out[begins[i]] = -_UNSIGNED * totals[i]

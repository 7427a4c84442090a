"""Frames in memory as the tiles of the CPU kernel read them: floats of length 1, or rounded to bytes.

Both are flat (block, entry, frame of the block), so a register reads the same entry of several frames. Floats
have one entry a feature, bytes one entry, a word, for four features. The last frame is repeated to fill a
block. Memory while an utterance is packed to bytes: a float32 copy of it.

Rounding. A few features of Whisper's states are huge and would take the whole range. So frames are turned
first, by a Hadamard matrix with random signs, which spreads them and leaves cosines as they are. Then all
frames of an utterance get one length, the largest at which no feature exceeds 127. So maxima are those of
exact integers. A cosine of frames with the errors e and f (`rounding_error`) is off by e + f + e f at most;
in practice by far less, because roundings cancel. Source of turning: QuaRot, arXiv 2404.00456.

VNNI, the machine's product of bytes, multiplies unsigned by signed bytes. So A is stored with an offset of
128, which adds 128 times the sum of B's frame to a product. The first entry of B's frame, where sums begin,
cancels that.
"""

import dataclasses
import typing
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from isogloss.kernels.cpu import microkernels
from isogloss.kernels.cpu.compiled import compiled
from isogloss.kernels.cpu.microkernels import LANES

_OFFSET = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """A way to pack frames.

    Attributes:
      dtype: of entries.
      entries: of a frame, by number of features.
      pack: function of (frames (n, D) float32, width of a block, out, whether they are A's) that fills `out`
        and returns the factor for all cosines of these frames; NaN if a frame isn't finite.
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
    return 1.0 if _write(frames, width, out) else np.nan


def _pack_bytes(
    frames: Float[np.ndarray, "n D"], width: int, out: Int[np.ndarray, " size"], left: bool
) -> float:
    features = frames.shape[1]
    places = len(out) // BYTES.entries(features)
    # Always in blocks of LANES, because turning works on whole registers; `_write_bytes` regroups them.
    turned = np.empty(-(-places // LANES) * LANES * features, np.float32)
    if not _write(frames, LANES, turned):
        out[:] = 0
        return np.nan
    # The longest feature becomes 127, not 128, so that a byte and its negative both exist.
    step = _turn(turned, _signs(features)) / 127
    _write_bytes(turned, 1 / step if step else 0.0, features, width, _OFFSET if left else 0, out)
    return step / np.sqrt(features & -features)  # the matrix is orthogonal but for this factor


def _signs(features: int) -> Float[np.ndarray, " D"]:
    """Random signs of the features, the same in every process."""
    return (1 - 2 * np.random.default_rng(0).integers(0, 2, features)).astype(np.float32)


FLOATS = Form(dtype=np.float32, entries=lambda features: features, pack=_pack_floats)
BYTES = Form(dtype=np.int32, entries=lambda features: 1 + -(-features // 4), pack=_pack_bytes)


def rounding_error(frames: Float[np.ndarray, "n D"]) -> float:
    """Largest distance between a frame of length 1 and its bytes: half a step in every feature."""
    features = frames.shape[1]
    out = np.empty(BYTES.size(len(frames), LANES, features), BYTES.dtype)
    return np.sqrt(features) / 2 * BYTES.pack(frames.astype(np.float32), LANES, out, False)


def _write(x: Float[np.ndarray, "n D"], width: int, out: Float[np.ndarray, " size"]) -> bool:
    """Write frames of length 1; returns whether all are finite."""
    # What `_write_floats` needs is made here, where it costs no time to compile.
    return _write_floats(x, x.reshape(-1), width, np.zeros(LANES, np.float32), np.empty(LANES), out)


@compiled()
@typing.no_type_check
def _write_floats(
    x: Float[np.ndarray, "n D"],
    flat: Float[np.ndarray, " all"],
    width: int,
    factors: Float[np.ndarray, " LANES"],
    exact: Float[np.ndarray, " LANES"],
    out: Float[np.ndarray, " size"],
) -> bool:
    """Write frames of length 1, which are given as rows, too; returns whether all are finite.

    `factors` begin with 0 and `exact` with anything.
    """
    depth = x.shape[1]
    frames = len(out) // depth
    finite = True
    for first in range(0, frames, width):
        start, last = min(first, len(x) - 1), max(0, len(x) - 1 - first)
        for i in range(width):
            square = _square(x[start + min(i, last)])  # NaN or infinite if any value is
            finite &= np.isfinite(square)
            exact[i] = 1.0 / np.sqrt(square) if square != 0.0 else 0.0
            factors[i] = exact[i]
        block = out[first * depth : (first + width) * depth]
        whole = depth // LANES
        if width < LANES and first + width == frames:
            # A register is wider than such a block, and what follows the last one isn't ours to overwrite.
            whole = max(0, whole - 1)
        # One by one, because whole arrays bring half a second of Numba's messages about their shapes.
        for i in range(width):
            if np.isfinite(factors[i]):
                exact[i] = factors[i]  # so that a frame has the same bits whatever its neighbours are
            else:
                whole = 0  # so short a frame that only float64 can hold its factor
        if whole:
            microkernels.transpose(flat[start * depth :], depth, last, factors, block, width, whole)
        # What is left of the features, and blocks that the routine would write beyond or round to nothing.
        for k in range(whole * LANES, depth):
            for i in range(width):
                block[k * width + i] = x[start + min(i, last), k] * exact[i]
    return finite


@compiled(fastmath={"reassoc"})
@typing.no_type_check
def _square(frame: Float[np.ndarray, " D"]) -> float:
    """Square of a frame's length in float64, which holds any float32 squared."""
    square = 0.0
    for value in frame:
        square += np.float64(value) * np.float64(value)
    return square


@compiled(fastmath={"nnan", "nsz"})
@typing.no_type_check
def _turn(flat: Float[np.ndarray, " size"], signs: Float[np.ndarray, " D"]) -> float:
    """Turn blocks of LANES frames in place: random signs, then sums and differences; the largest feature.

    That is a fast Walsh-Hadamard transform of groups of features, whose size is the largest power of two that
    divides their number. Groups go one after the other, so that one stays in the cache.
    """
    largest = np.float32(0)
    group = len(signs) & -len(signs)
    for first in range(0, len(flat) // LANES, group):
        cells = flat[first * LANES : (first + group) * LANES]
        for k in range(group):
            if signs[(first + k) % len(signs)] < 0:
                for i in range(LANES):
                    cells[k * LANES + i] = -cells[k * LANES + i]
        # Neighbours of the same frame lie LANES entries apart, so the inner loops run over registers.
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


@compiled(_nrt=True)
@typing.no_type_check
def _write_bytes(
    turned: Float[np.ndarray, " size"],
    factor: float,
    features: int,
    width: int,
    plus: int,
    out: Int[np.ndarray, " words"],
) -> None:
    """Write features, times `factor` and rounded, as bytes plus `plus`, four to a word.

    The first entry of each frame is minus 128 times the sum of its bytes, see above.
    """
    words = (features + 3) // 4
    depth = 1 + words
    totals, word = np.empty(LANES, np.int32), np.empty(LANES, np.int32)
    begins = np.empty(LANES, np.int64)
    scale = np.float32(factor)
    for first in range(0, len(out) // depth, LANES):
        count = min(LANES, len(out) // depth - first)
        totals[:] = 0
        for i in range(count):
            block, place = divmod(first + i, width)  # blocks here are LANES wide, there `width`
            begins[i] = block * depth * width + place
        for w in range(words):
            word[:] = 0
            for k in range(4 * w, min(4 * w + 4, features)):
                cells = turned[first * features + k * LANES : first * features + (k + 1) * LANES]
                for i in range(LANES):
                    value = np.int32(np.rint(cells[i] * scale))
                    totals[i] += value
                    # The low byte of a negative number is its two's complement.
                    word[i] |= ((value + plus) & 255) << (8 * (k % 4))
            for i in range(count):
                out[begins[i] + (1 + w) * width] = word[i]
        for i in range(count):
            out[begins[i]] = -_OFFSET * totals[i]

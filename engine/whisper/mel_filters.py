"""Triangular mel filters of Slaney's Auditory Toolbox, those that Whisper was trained on.

The scale is linear up to 1 kHz, 15 mel of 200 / 3 Hz, and logarithmic above, 27 mel for a factor of 6.4. A
filter rises from its lower neighbour's centre to its own, falls to its upper neighbour's, and has area 1.

Source: M. Slaney, Auditory Toolbox, Technical Report 1998-010; as librosa.filters.mel, which takes seconds to
import.
"""

import functools

import numpy as np
from jaxtyping import Float

_HZ = 200 / 3  # of a mel in the linear part
_CORNER_HZ, _CORNER = 1000.0, 1000.0 / _HZ
_STEP = np.log(6.4) / 27  # of a mel in the logarithmic part, in log Hz


@functools.cache
def mel_filters(mels: int, *, rate: int, window: int) -> Float[np.ndarray, "bins mels"]:
    """Filters from 0 to rate / 2 over the window // 2 + 1 bins of a power spectrum, float32.

    Args:
      mels: number of filters.
      rate: samples a second.
      window: samples of the transform.
    """
    bins = np.fft.rfftfreq(window, 1 / rate)
    centres = _hertz(np.linspace(0.0, _mel(rate / 2), mels + 2))
    widths = np.diff(centres)
    below = centres[:, None] - bins[None, :]
    rising, falling = -below[:-2] / widths[:-1, None], below[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    areas = 2.0 / (centres[2:] - centres[:-2])
    return (triangles * areas[:, None]).astype(np.float32).T


def _mel(hertz: float) -> float:
    return hertz / _HZ if hertz < _CORNER_HZ else float(_CORNER + np.log(hertz / _CORNER_HZ) / _STEP)


def _hertz(mel: Float[np.ndarray, " F"]) -> Float[np.ndarray, " F"]:
    return np.where(mel < _CORNER, _HZ * mel, _CORNER_HZ * np.exp(_STEP * (mel - _CORNER)))

"""Whisper's log-mel spectrogram, in JAX, on the device that holds the waveform.

Hann window of 400 samples, hop 160, power spectrum, librosa's mel filters, log10 with floor 1e-10, clamped to
the window's maximum - 8, then (x + 4) / 4. Needs a float32 matrix (T, 400) for each row: 4.8 MB for 30 s.

Source: openai/whisper audio.py, as described in arXiv 2212.04356, section 2.2.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from isogloss.engine.time_axis import SAMPLE_RATE

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms


@functools.cache
def filters(mels: int) -> Float[np.ndarray, "bins mels"]:
    """Slaney's mel filters, those that Whisper was trained on, over the WINDOW // 2 + 1 bins up to 8 kHz.

    Triangles of unit area between edges that are equally far apart on a scale linear up to 1 kHz and
    logarithmic above (Slaney, "Auditory Toolbox", 1998). The bits are those of `librosa.filters.mel`, whose
    import takes seconds.
    """
    step = 200 / 3  # Hz of a mel below 1 kHz
    ratio = np.log(6.4) / 27.0  # of frequencies a mel apart above
    top = 1000 / step + np.log(SAMPLE_RATE / 2 / 1000) / ratio
    scale = np.linspace(0.0, top, mels + 2)
    edges = step * scale
    high = scale >= 1000 / step
    edges[high] = 1000 * np.exp(ratio * (scale[high] - 1000 / step))
    ramps = edges[:, None] - np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)[None, :]
    widths = np.diff(edges)
    rising, falling = -ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    triangles *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return triangles.T


def log_mel(waveform: Float[Array, "B samples"], mels: int) -> Float[Array, "B T mels"]:
    """Log-mel of waveforms padded with silence to the whole window, T = samples / HOP frames of 10 ms.

    Args:
      waveform: 16 kHz, in [-1, 1]; a whole number of hops.
      mels: 80, or 128 for large-v3.
    """
    return jax.vmap(lambda row: _one(row, filters(mels)))(waveform)


def _one(
    waveform: Float[Array, " samples"], filters: Float[np.ndarray, "bins mels"]
) -> Float[Array, "T mels"]:
    # Frame t is centred on sample t * HOP, so the edges are reflected by half a window. A transform of the
    # whole has one frame more, at the very end; Whisper was trained without it.
    count = waveform.shape[0] // HOP
    padded = jnp.pad(waveform, WINDOW // 2, mode="reflect")
    starts = jnp.arange(count) * HOP
    frames = padded[starts[:, None] + jnp.arange(WINDOW)[None, :]]
    # The periodic window, as torch.hann_window makes it; NumPy's own is symmetric, with both ends 0.
    hann = jnp.asarray(np.hanning(WINDOW + 1)[:-1], jnp.float32)
    spectrum = jnp.fft.rfft(frames * hann[None, :], axis=-1)
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    mel = jnp.matmul(power, jnp.asarray(filters), precision=jax.lax.Precision.HIGHEST)  # no TF32
    # The floor keeps the logarithm of digital silence finite. The maximum is that of the utterance's own
    # window, so a neighbour in the batch doesn't move it.
    log = jnp.log10(jnp.maximum(mel, 1e-10))
    return (jnp.maximum(log, log.max() - 8.0) + 4.0) / 4.0

"""Whisper's log-mel spectrogram, in JAX, on the device that holds the waveform.

Hann window of 400 samples, hop 160, power spectrum, librosa's mel filters, log10 with floor 1e-10, clamped to
the window's maximum - 8, then (x + 4) / 4. Needs a float32 matrix (T, 400) for each row: 4.8 MB for 30 s.

Source: openai/whisper audio.py, as described in arXiv 2212.04356, section 2.2.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from isogloss.engine.runtime import librosa_modules
from isogloss.engine.time_axis import SAMPLE_RATE

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms


def filters(mels: int) -> Float32[np.ndarray, "bins mels"]:
    """Slaney's mel filters, those that Whisper was trained on, over the WINDOW // 2 + 1 bins up to 8 kHz."""
    return librosa_modules.load("librosa.filters").mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=mels).T


def log_mel(
    waveform: Float[Array, "B samples"], filters: Float32[np.ndarray, "bins mels"]
) -> Float[Array, "B T mels"]:
    """Log-mel of waveforms padded with silence to the whole window, T = samples / HOP frames of 10 ms.

    Args:
      waveform: 16 kHz, in [-1, 1]; a whole number of hops.
      filters: weights of a frequency in a mel bin; `filters(80)`, or `filters(128)` for large-v3.
    """
    return jax.vmap(lambda row: _one(row, filters))(waveform)


def _one(
    waveform: Float[Array, " samples"], filters: Float32[np.ndarray, "bins mels"]
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

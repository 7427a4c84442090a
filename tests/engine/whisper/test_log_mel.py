"""Log-mel against transformers' feature extractor."""

import jax.numpy as jnp
import numpy as np
import pytest
import transformers

from isogloss.engine.whisper import log_mel


def waveforms():
    rng = np.random.default_rng(0)
    time = np.arange(480_000) / 16_000
    chirp = np.sin(2 * np.pi * (100 + 100 * time) * time)
    return {
        "noise": rng.standard_normal(480_000),
        "quiet then padded": np.where(time < 3, 1e-4 * rng.standard_normal(480_000), 0.0),
        "chirp": 0.5 * chirp,
        "silence": np.zeros(480_000),
        "click": np.eye(1, 480_000, 7).ravel(),
    }


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("name", waveforms())
def test_equals_transformers(name, mels):
    """Powers carry a relative error of 1e-6 from a float32 transform, and log10 / 4 makes 1e-7 of it.

    Where a bin has 1e-8 of the loudest's power, the floor of the clamp, float32 leaves 1e-3 of that power.
    """
    wave = waveforms()[name].astype(np.float32)
    extractor = transformers.WhisperFeatureExtractor(feature_size=mels)
    expected = extractor(wave, sampling_rate=16_000, return_tensors="np").input_features[0].T
    found = np.asarray(log_mel.log_mel(jnp.asarray(wave[None]), log_mel.filters(mels)))[0]
    assert found.shape == expected.shape == (3000, mels)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.abs(found - expected).mean() < 2e-6


@pytest.mark.parametrize("mels", [80, 128])
def test_filters_are_those_of_whisper(mels):
    found = log_mel.filters(mels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, transformers.WhisperFeatureExtractor(mels).mel_filters, atol=1e-8)


def test_neighbours_do_not_matter():
    wave = np.random.default_rng(1).standard_normal((3, 3200)).astype(np.float32)
    spoilt = wave.copy()
    spoilt[1] = np.nan
    clean, dirty = (np.asarray(log_mel.log_mel(jnp.asarray(w), log_mel.filters(80))) for w in (wave, spoilt))
    np.testing.assert_array_equal(clean[[0, 2]], dirty[[0, 2]])
    assert np.isnan(dirty[1]).any()

"""A family of encoders with frames of 40 ms and a window of 1 s is an entry in FAMILIES."""

import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
import xarray as xr
from flax import nnx

from isogloss.engine import encode
from isogloss.engine.activations import activation_store, encoders, extract
from isogloss.engine.checkpoints import stored_tensors
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.runtime.devices import DataParallel, Replicas
from isogloss.engine.time_axis import TimeAxis

AXIS = TimeAxis(samples_per_frame=640, window_frames=25)


def load(checkpoint, states, dtype, precision, *, rows_per_device, devices=None):
    """Mean sample of every frame."""

    def run(weights, waveform, frames):
        means = waveform.reshape(-1, AXIS.window_frames, AXIS.samples_per_frame).mean(-1)
        used = jnp.arange(AXIS.window_frames)[None] < frames[:, None]
        peak = jnp.where(used, jnp.abs(means), 0).max(-1)
        return jnp.where(used, means, jnp.nan).astype(dtype)[:, None, :, None], peak[:, None]

    return DataParallel(run, Replicas(nnx.State({}), devices), rows_per_device=rows_per_device)


@pytest.fixture
def toy(monkeypatch, sizes):
    """A family that takes models named toy:..., one state of one feature."""
    weights = stored_tensors.Weights(dimensions=sizes, tensors={}, files=())
    family = encoders.EncoderFamily(
        open=lambda model, _: Checkpoint(name=model, weights=weights) if model.startswith("toy:") else None,
        time_axis=lambda _: AXIS,
        state_names=lambda _: ("mean",),
        features=lambda _: 1,
        flops=lambda _: 1.0,
        rows_per_device=lambda *_: 2,
        compile_seconds=lambda *_, **__: 1.0,
        load=load,
    )
    monkeypatch.setattr(encoders, "FAMILIES", (family, *encoders.FAMILIES))


def test_a_family_brings_its_frames_to_stores_and_notebooks(toy, speech, tmp_path):
    given = extract.ExtractConfig(
        corpus=f"manifest:{speech}", model="toy:mean", store=tmp_path, languages=("aa",), dtype="float32"
    )
    assert extract.run(given).complete
    store = xr.open_zarr(tmp_path / "aa.zarr")
    assert store.states.attrs["frame_seconds"] == 0.04
    assert store.frames.attrs["units"] == "40 ms"
    assert activation_store.open_store(tmp_path, "aa").time_axis == AXIS
    samples = (store.duration.values * 16_000).round().astype(int)
    np.testing.assert_array_equal(store.frames, np.minimum(-(-samples // 640), 25))
    np.testing.assert_array_equal(store.truncated, samples > 16_000)

    wave, _ = soundfile.read(speech.parent / str(store.source.values[0]), dtype="float32")
    found = encode(wave[:16_000], model="toy:mean")
    np.testing.assert_allclose(found.seconds, 0.04 * np.arange(found.sizes["frame"]))
    np.testing.assert_allclose(found[0, :3, 0], wave[:1920].reshape(3, 640).mean(1), atol=1e-6)


def test_other_models_are_whispers(toy, model_folder):
    family, checkpoint = encoders.open_model(str(model_folder), None)
    assert family.time_axis(checkpoint.dimensions) == TimeAxis(samples_per_frame=320, window_frames=100)
    with pytest.raises(ValueError, match="no such file or folder"):
        encoders.open_model("nowhere", None)

"""A family of encoders with frames of 40 ms and a window of 1 s is an entry in FAMILIES."""

import dataclasses
import itertools
import threading

import numpy as np
import pytest
import soundfile
import xarray as xr

from isogloss.engine import encode
from isogloss.engine.activations import activation_store, encoders, extract
from isogloss.engine.time_axis import TimeAxis

AXIS = TimeAxis(samples_per_frame=640, window_frames=25)


class LoadedToy:
    """Mean sample of every frame."""

    devices, capacity, steps_at_once = ("toy",), 2, 1

    def prepare(self, wave):
        return np.pad(wave, (0, AXIS.window_samples - len(wave)))

    def __call__(self, prepared, frames):
        means = np.stack(prepared).reshape(-1, AXIS.window_frames, AXIS.samples_per_frame).mean(-1)
        assert len({Toy.step_key(int(count)) for count in frames}) == 1
        return np.where(np.arange(AXIS.window_frames) < frames[:, None], means, np.nan), frames

    def rows(self, output, count):
        for means, _ in zip(*output, strict=True):
            yield means.astype(np.float32)[None, :, None], np.nanmax(np.abs(means), keepdims=True)


@dataclasses.dataclass(frozen=True)
class Toy:
    """One state of one feature."""

    name: str
    sha256 = "of the toy"
    axis, states, features, no_final, neuron_sizes = AXIS, ("mean",), 1, None, None
    rows_per_device, device_count, description = 2, 1, "toy"

    def settings(self):
        return {"toy": True}

    @staticmethod
    def step_key(frames):
        return frames // 20

    def cost(self, frames, states, dtype):
        return {"flops": 1.0 * len(frames)}

    def load(self, states, dtype):
        return LoadedToy()


def open_toy(model, revision, **options):
    return Toy(model) if model.startswith("toy:") else None


@pytest.fixture
def toy(monkeypatch):
    """A family that takes models named toy:..."""
    monkeypatch.setattr(encoders, "FAMILIES", (open_toy, *encoders.FAMILIES))


def test_a_family_brings_its_frames_to_stores_and_notebooks(toy, speech, tmp_path):
    given = extract.ExtractConfig(
        corpus=f"manifest:{speech}", model="toy:mean", store=tmp_path, languages=("aa",), dtype="float32"
    )
    assert extract.run(given).complete
    store = xr.open_zarr(tmp_path / "aa.zarr")
    assert store.states.attrs["frame_seconds"] == 0.04
    assert store.frames.attrs["units"] == "40 ms"
    assert (store.attrs["frame_seconds"], store.attrs["window_seconds"]) == (0.04, 1.0)
    assert activation_store.open_store(tmp_path, "aa").time_axis == AXIS
    samples = (store.duration.values * 16_000).round().astype(int)
    np.testing.assert_array_equal(store.frames, np.minimum(-(-samples // 640), 25))
    np.testing.assert_array_equal(store.truncated, samples > 16_000)

    wave, _ = soundfile.read(speech.parent / str(store.source.values[0]), dtype="float32")
    found = encode(wave[:16_000], model="toy:mean")
    np.testing.assert_allclose(found.seconds, 0.04 * np.arange(found.sizes["frame"]))
    np.testing.assert_allclose(found[0, :3, 0], wave[:1920].reshape(3, 640).mean(1), atol=1e-6)


@pytest.mark.parametrize("at_once", [1, 2])
def test_steps_are_computed_at_once_where_the_encoder_says_so(toy, speech, tmp_path, monkeypatch, at_once):
    together, threads, steps = threading.Barrier(at_once, timeout=60), [], itertools.count()

    class Waiting(LoadedToy):
        """Computes its first steps when so many are in it."""

        steps_at_once = at_once

        def __call__(self, prepared, frames):
            if next(steps) < at_once:
                together.wait()
                threads.append(threading.get_ident())
            return super().__call__(prepared, frames)

    def extracted(name):
        store = tmp_path / name
        given = extract.ExtractConfig(
            corpus=f"manifest:{speech}", model="toy:mean", store=store, languages=("aa",), dtype="float32"
        )
        assert extract.run(given).complete
        return xr.open_zarr(store / "aa.zarr")

    usual = extracted("usual")
    monkeypatch.setattr(Toy, "load", lambda self, states, dtype: Waiting())
    xr.testing.assert_identical(extracted("waiting").states.load(), usual.states.load())
    assert len(set(threads)) == at_once
    assert threading.get_ident() not in threads


def test_other_models_are_whispers(toy, model_folder):
    assert encoders.open_model(str(model_folder), None).axis == TimeAxis(
        samples_per_frame=320, window_frames=100
    )
    with pytest.raises(ValueError, match="no such file or folder"):
        encoders.open_model("nowhere", None)

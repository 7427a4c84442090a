"""States of another program as stores: what is stored, what is refused, unequal frames in a grid."""

import dataclasses
import itertools
import pathlib

import numpy as np
import pytest
import soundfile
import xarray as xr

from isogloss.engine.activations import convert
from isogloss.engine.activations.convert_config import ConvertConfig
from isogloss.engine.retrieval import grid
from isogloss.engine.retrieval.grid_config import GridConfig

HOP = 640


@pytest.fixture
def config(tmp_path, speech):
    """Arrays of every recording, two states of 4 features, a frame for every 40 ms."""
    rng = np.random.default_rng(3)
    for language, sentence in itertools.product(("aa", "bb", "cc"), range(7)):
        if (language, sentence) == ("cc", 4):
            continue
        samples = soundfile.info(speech.parent / f"{language}-{sentence}.wav").frames
        array = rng.standard_normal((2, samples // HOP, 4)).astype(np.float32)
        file = tmp_path / "arrays" / language / f"s{sentence}.0.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, array)
    (tmp_path / "owsm.pth").write_bytes(b"weights")
    return ConvertConfig(
        corpus=f"manifest:{speech}",
        arrays=tmp_path / "arrays",
        name="espnet/owsm",
        weights=tmp_path / "owsm.pth",
        frame_seconds=0.04,
        window_seconds=4.0,
        store=tmp_path / "store",
    )


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("c.*")}


def test_a_store_holds_the_arrays(config):
    plan = convert.run(dataclasses.replace(config, dry_run=True)).plan
    assert plan["utterances"] == 20
    assert not config.store.exists()
    summary = convert.run(config)
    assert (summary.done, summary.skipped, summary.complete) == (20, 0, True)
    store = xr.open_zarr(config.store / "bb.zarr")
    assert store.states.shape == (7, 2, 100, 4)
    assert (store.attrs["frame_seconds"], store.attrs["window_seconds"]) == (0.04, 4.0)
    assert (store.attrs["model"], store.state.values.tolist()) == ("espnet/owsm", ["0", "1"])
    for row, frames in enumerate(store.frames.values):
        array = np.load(config.arrays / "bb" / f"{store.utterance.values[row]}.npy")
        np.testing.assert_array_equal(store.states[row, :, :frames], array.astype(np.float16))
        assert np.isnan(store.states[row, :, frames:]).all()
    whole = contents(config.store)
    assert sum(map(len, whole.values())) == plan["bytes"]
    (config.store / "aa.zarr/states/c.2.0.0.0").unlink()
    assert convert.run(dataclasses.replace(config, num_shards=2, shard_index=0)).done == 1
    assert contents(config.store) == whole
    made = GridConfig(
        store=config.store, grid=config.store.parent / "grid.zarr", measures=("seqsim",), memory_gb=1.0
    )
    assert grid.run(made).complete


def test_languages_of_unequal_frames_arent_compared(config):
    assert convert.run(dataclasses.replace(config, languages=("aa",))).complete
    half = dataclasses.replace(config, languages=("bb",), frame_seconds=0.02, window_seconds=2.0)
    for file in (config.arrays / "bb").iterdir():
        np.save(file, np.load(file)[:, :5])
    assert convert.run(half).complete
    with pytest.raises(ValueError, match=r"settings\.frame_seconds: aa 0\.04, bb 0\.02"):
        grid.run(GridConfig(store=config.store, grid=config.store.parent / "grid.zarr", memory_gb=1.0))


def test_frames_decide_even_where_settings_dont_name_them(config, monkeypatch):
    settings = convert._identity

    def unnamed(*given):
        identity = settings(*given)
        kept = {key: value for key, value in identity.settings.items() if "seconds" not in key}
        return dataclasses.replace(identity, settings=kept)

    monkeypatch.setattr(convert, "_identity", unnamed)
    convert.run(dataclasses.replace(config, languages=("aa",)))
    convert.run(dataclasses.replace(config, languages=("bb",), window_seconds=4.8))
    with pytest.raises(
        ValueError, match=r"frames and windows must be equal\s+window_seconds: aa 4\.0, bb 4\.8"
    ):
        grid.run(GridConfig(store=config.store, grid=config.store.parent / "grid.zarr", memory_gb=1.0))


def _spoil(config, change):
    file = config.arrays / "cc" / "s3.0.npy"
    array = np.load(file)
    file.unlink()
    if change is not None:
        np.save(file, change(array))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, r"arrays/cc: lacks s3\.0\.npy\. Make them"),
        (
            lambda a: np.zeros((2, 99, 4), np.float32),
            r"s3\.0\.npy: has 99 frames, but its recording.*cut what is",
        ),
        (lambda a: a[0], r"must be \(state, frame, feature\).*but is \(\d+, 4\)"),
        (lambda a: a.astype(int), "but is .* in int64"),
        (lambda a: a[:1], r"arrays/cc: states and features must be equal, but are \[\(1, 4\), \(2, 4\)\]"),
    ],
)
def test_arrays_that_dont_fit_are_named_before_anything_is_written(config, change, message):
    _spoil(config, change)
    with pytest.raises(ValueError, match=message):
        convert.run(config)
    assert not config.store.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_seconds": 0.00001}, "whole number of samples"),
        ({"window_seconds": 4.01}, "whole number of frames"),
        ({"states": ("1",)}, "names 1 states, but the arrays have 2"),
        ({"weights": pathlib.Path("nowhere.pth")}, "--weights must name a file"),
    ],
)
def test_options_that_dont_fit_are_refused(config, change, message):
    with pytest.raises(ValueError, match=message):
        convert.run(dataclasses.replace(config, **change))


def test_a_store_of_other_arrays_isnt_resumed(config):
    convert.run(config)
    _spoil(config, lambda array: array[:, :-1])
    with pytest.raises(ValueError, match="of arrays with other frames"):
        convert.run(config)
    other = config.weights.with_name("other.pth")
    other.write_bytes(b"others")
    with pytest.raises(ValueError, match="model: stored espnet/owsm, asked for other"):
        convert.run(dataclasses.replace(config, name="other", weights=other))


def test_what_isnt_finite_is_named_and_left_out(config):
    _spoil(config, lambda array: array * 1e6)
    summary = convert.run(config)
    assert (summary.done, list(summary.failed)) == (19, ["cc s3.0"])
    assert "must be finite in float16" in summary.failed["cc s3.0"]

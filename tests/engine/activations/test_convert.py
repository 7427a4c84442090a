"""States of another program as stores: what is stored, what is refused, unequal frames in a grid."""

import dataclasses
import itertools
import pathlib
import shutil

import numpy as np
import pytest
import soundfile
import xarray as xr

from isogloss.engine.activations import convert
from isogloss.engine.activations.convert_config import ConvertConfig
from isogloss.engine.grid import grid
from isogloss.engine.grid.grid_config import GridConfig

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


def test_a_store_holds_the_arrays(config, shards):
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
    whole = shards(config.store)
    assert sum(map(len, whole.values())) == plan["bytes"]
    (config.store / "aa.zarr/states/c.2.0.0.0").unlink()
    assert convert.run(dataclasses.replace(config, num_shards=2, shard_index=0)).done == 1
    assert shards(config.store) == whole
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
    with pytest.raises(ValueError, match=r"cc\.zarr: made of other arrays, .*: s3\.0\. Restore them"):
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[..., :1], "2 states of 4 features, but the arrays have 2 of 1"),
        (lambda a: a.repeat(2, axis=2), "2 states of 4 features, but the arrays have 2 of 8"),
        (lambda a: a + 1, r"of other arrays, .*: s0\.0, s1\.0, s2\.0, s3\.0, s5\.0, s6\.0\."),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_store_isnt_completed_with_other_arrays(config, change, message, whole, shards):
    config = dataclasses.replace(config, languages=("cc",))
    convert.run(config)
    if not whole:
        (config.store / "cc.zarr/states/c.2.0.0.0").unlink()
    before = shards(config.store)
    for file in (config.arrays / "cc").iterdir():
        np.save(file, change(np.load(file)))
    with pytest.raises(ValueError, match=message):
        convert.run(config)
    assert shards(config.store) == before


def test_arrays_are_known_by_their_content_wherever_they_are(config):
    convert.run(config)
    moved = config.arrays.with_name("moved")
    shutil.move(config.arrays, moved)
    assert convert.run(dataclasses.replace(config, arrays=moved)).skipped == 20


def test_a_store_that_another_process_makes_meanwhile_is_compared(config, monkeypatch):
    """The other run, of other arrays, is between this one's first look and its making of the stores."""
    ours = config.arrays.with_name("ours")
    shutil.copytree(config.arrays, ours)
    for file in (ours / "aa").iterdir():
        np.save(file, np.load(file) + 1)

    def require(*_):
        monkeypatch.undo()
        convert.run(config)

    monkeypatch.setattr(convert.disk_space, "require", require)
    with pytest.raises(ValueError, match=r"aa\.zarr: made of other arrays"):
        convert.run(dataclasses.replace(config, arrays=ours))


def test_a_recording_that_cant_be_read_is_reported_and_the_rest_is_done(config, speech, tmp_path):
    shutil.copytree(speech.parent, tmp_path / "speech")
    (tmp_path / "speech/bb-2.wav").write_bytes(b"")
    (config.arrays / "bb/s2.0.npy").unlink()
    config = dataclasses.replace(config, corpus=f"manifest:{tmp_path}/speech/{speech.name}")
    reason = {"bb s2.0": "bb-2.wav: the file is empty (0 bytes). Copy it again, or take it out."}
    assert convert.run(dataclasses.replace(config, dry_run=True)).failed == reason
    summary = convert.run(config)
    assert (summary.done, summary.skipped, summary.failed) == (19, 0, reason)
    again = convert.run(config)
    assert (again.done, again.skipped, again.failed) == (0, 19, reason)
    assert xr.open_zarr(config.store / "bb.zarr").frames.values[2] == 0
    assert (config.store / "bb.zarr/failed/2.json").is_file()
    shutil.copy(speech.parent / "aa-2.wav", tmp_path / "speech/bb-2.wav")
    with pytest.raises(ValueError, match="of other recordings"):
        convert.run(dataclasses.replace(config, arrays=_with_array_of_bb_2(config)))
    for file in (tmp_path / "speech").glob("bb-*.wav"):
        file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"no recording of bb can be read, such as bb-0\.wav: the file is"):
        convert.run(config)


def _with_array_of_bb_2(config):
    shutil.copy(config.arrays / "aa/s2.0.npy", config.arrays / "bb/s2.0.npy")
    return config.arrays

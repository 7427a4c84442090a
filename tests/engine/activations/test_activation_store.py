"""engine.activation_store: layout, commit marks, identity."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.activation_store import Identity
from isogloss.engine.corpora import corpus
from isogloss.engine.time_axis import TimeAxis

IDENTITY = Identity(
    model="nano",
    weights_sha256="00ff",
    corpus="manifest:speech.tsv",
    corpus_sha256="abcd",
    settings={"states": ["0", "final"], "dtype": "float16", "compute": "float32"},
    flags={"corpus": "x"},
)
POSITIONS, FEATURES = 100, 4
AXIS = TimeAxis(samples_per_frame=320, window_frames=POSITIONS)


@pytest.fixture
def store(tmp_path, speech):
    listing = corpus.open_corpus(f"manifest:{speech}").listing("aa")
    samples = [4000 * (1 + i) for i in range(len(listing.utterances))]
    samples[2] = 0
    frames = [AXIS.frame_count(n) for n in samples]
    return activation_store.create(
        tmp_path,
        listing,
        samples,
        frames,
        states=("0", "final"),
        axis=AXIS,
        features=FEATURES,
        identity=IDENTITY,
    )


def states_of(frames, seed=0):
    states = np.random.default_rng(seed).standard_normal((2, POSITIONS, FEATURES)).astype(np.float16)
    states[:, frames:] = np.nan
    return states


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (1, 1), (319, 1), (320, 1), (321, 2), (480_000, 1500), (480_001, 1500)]
)
def test_frames_are_counted_up(samples, frames):
    assert TimeAxis(samples_per_frame=320, window_frames=1500).frame_count(samples) == frames


def test_xarray_sees_names_units_and_nan(store):
    store.write(1, states_of(25)).result()
    dataset = xr.open_zarr(store.path)
    assert dataset.states.dims == ("utterance", "state", "frame", "feature")
    assert dataset.states.dtype == np.float16
    for name in ("sentence", "transcription", "gender", "source", "duration", "frames", "truncated", "rank"):
        assert dataset[name].dims == ("utterance",), name
    assert dataset.duration.attrs["units"] == "s"
    one = dataset.states.sel(utterance="s1.0", state="final")
    np.testing.assert_array_equal(one, states_of(25)[1])
    assert dataset.states.sel(utterance="s0.0").isnull().all()
    assert dataset.frames.values.tolist() == [13, 25, 0, 50, 63, 75, 88]
    assert np.isnan(dataset.duration.values[2])
    assert dataset.attrs["weights_sha256"] == "00ff"
    assert dataset["sentence"].values.astype(str).tolist() == [f"s{i}" for i in range(7)]
    assert dataset["transcription"].values.astype(str)[3] == "sentence 3 in aa"
    assert dataset.swap_dims(utterance="sentence").states.sel(sentence="s1").frame.size == POSITIONS


def test_a_shard_is_one_file_and_padding_is_not_stored(store):
    store.write(0, states_of(13)).result()
    files = [path for path in (store.path / "states").iterdir() if path.name != "zarr.json"]
    assert [path.name for path in files] == ["c.0.0.0.0"]
    assert files[0].stat().st_size == activation_store.shard_bytes(13, 2, POSITIONS, FEATURES, "float16")
    assert files[0].stat().st_size < states_of(13).nbytes


def test_present_is_what_has_a_shard(store):
    assert not store.present().any()
    store.write(4, states_of(63)).result()
    assert np.flatnonzero(store.present()).tolist() == [4]


def test_reads_frames_in_use_only(store):
    for row, frames in ((0, 13), (3, 50)):
        store.write(row, states_of(frames, row)).result()
    first, third = store.read("final", [0, 3])
    np.testing.assert_array_equal(first, states_of(13, 0)[1, :13])
    np.testing.assert_array_equal(third, states_of(50, 3)[1, :50])


def test_refuses_a_part_of_an_utterance(store):
    with pytest.raises(ValueError, match=r"\(2, 100, 4\) float16"):
        store.write(0, states_of(13)[:1])
    with pytest.raises(ValueError, match="float32"):
        store.write(0, states_of(13).astype(np.float32))


def test_notes_on_failures(store):
    store.note_failure(2, "s2.wav: empty")
    assert store.failures() == {2: "s2.wav: empty"}
    store.forget_failure(2)
    store.forget_failure(2)
    assert store.failures() == {}


@pytest.mark.parametrize(
    ("change", "values"),
    [
        ({"weights_sha256": "11", "model": "other"}, ["model: stored nano, asked for other"]),
        ({"weights_sha256": "11"}, ["weights of nano: stored 00ff, asked for 11"]),
        ({"settings": {"dtype": "float32"}}, ["float16", "float32"]),
    ],
)
def test_resuming_something_else_is_refused_with_both_values(store, change, values):
    with pytest.raises(ValueError, match="made from another model or other settings") as error:
        activation_store.check_identity(store, dataclasses.replace(IDENTITY, **change))
    assert all(value in str(error.value) for value in values)


def test_the_same_identity_is_resumed_whatever_its_flags(store):
    activation_store.check_identity(
        store, dataclasses.replace(IDENTITY, flags={}, model="x", corpus_sha256="22")
    )


def test_language_that_is_not_extracted(store):
    with pytest.raises(ValueError, match=r"'zz' isn't extracted \(stored: aa\)"):
        activation_store.open_store(store.path.parent, "zz")

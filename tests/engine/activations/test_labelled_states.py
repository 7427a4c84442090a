"""`encode` beside what the extract job stores of the same recordings."""

import numpy as np
import pytest
import soundfile
import xarray as xr

from isogloss.engine import encode
from isogloss.engine.activations import extract, labelled_states
from isogloss.engine.checkpoints.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def stored(tmp_path_factory, extract_config):
    """Every state of language "aa", float32."""
    store = tmp_path_factory.mktemp("encode")
    config = extract_config(store=store, languages=("aa",), dtype="float32")
    assert extract.run(config).done == 7
    return xr.open_zarr(store / "aa.zarr").load()


def own(stored, row):
    return stored.states[row, :, : int(stored.frames[row])]


def test_a_list_of_files_gives_the_states_that_extract_stores(stored, speech, model_folder):
    files = [speech.parent / f"aa-{i}.wav" for i in (0, 3, 1)]
    found = encode(files, model=model_folder)
    for row, states in zip((0, 3, 1), found, strict=True):
        np.testing.assert_array_equal(states.values, own(stored, row).values)
        assert states.dims == ("state", "frame", "feature")
        assert states.state.values.tolist() == ["0", "1", "2", "final"]
        assert states.name == f"aa-{row}.wav"
        np.testing.assert_allclose(states.seconds.values, 0.02 * np.arange(states.sizes["frame"]))
    checkpoint = load_checkpoint(str(model_folder))
    described = {"model": "whisper-nano", "weights_sha256": checkpoint.sha256, "truncated": 0}
    assert found[0].attrs == described
    assert encode([], model=model_folder) == []


def test_one_file_or_waveform_gives_one_array(stored, speech, model_folder):
    file = str(speech.parent / "aa-2.wav")
    wave, _ = soundfile.read(file)  # float64
    for recording in (file, wave, wave.astype(np.float32)):
        np.testing.assert_array_equal(
            encode(recording, model=str(model_folder)).values, own(stored, 2).values
        )


def test_a_waveform_of_another_rate_is_as_its_file(tmp_path, speech, model_folder):
    wave, _ = soundfile.read(speech.parent / "aa-2.wav", dtype="float32")
    soundfile.write(tmp_path / "slow.wav", wave, 8_000, subtype="FLOAT")
    found = encode(wave, model=model_folder, sample_rate=8_000)
    np.testing.assert_array_equal(found.values, encode(tmp_path / "slow.wav", model=model_folder).values)
    assert found.sizes["frame"] == -(-2 * len(wave) // 320)


def test_more_recordings_than_a_step_takes_stay_in_order(speech, model_folder):
    waves = [soundfile.read(speech.parent / f"aa-{i % 7}.wav")[0][: 16_000 - 320 * i] for i in range(19)]
    found = encode(waves, model=model_folder)
    assert [states.sizes["frame"] for states in found] == [-(-len(wave) // 320) for wave in waves]
    np.testing.assert_array_equal(found[17].values, encode(waves[17], model=model_folder).values)


def test_a_model_is_loaded_once(speech, model_folder, monkeypatch):
    file = speech.parent / "aa-0.wav"
    encode(file, model=model_folder)
    monkeypatch.delattr(labelled_states.encoders, "open_model")
    encode(file, model=model_folder)


def test_what_is_beyond_the_window_is_cut_with_a_warning(model_folder):
    tone = 0.1 * np.sin(np.arange(40_000) / 5)
    with pytest.warns(UserWarning, match=r"recording 0: 2\.5 s; only the first 2 s are encoded"):
        states = encode(tone, model=model_folder)
    assert states.sizes["frame"] == 100
    assert states.attrs["truncated"] == 1
    np.testing.assert_array_equal(states.values, encode(tone[:32_000], model=model_folder).values)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros((2, 100)), r"one axis, time, .* this has the shape \(2, 100\)"),
        (np.zeros(0), "at least one sample"),
        (np.zeros(100, np.int16), "but are int16; divide int16 by 32768"),
        (np.array([0.1, np.nan, np.inf]), "2 samples are NaN or infinite"),
        (np.array([0.1, -3000.0]), r"must lie in \[-1, 1\], but one is -3000"),
    ],
)
def test_waveforms_that_cannot_be_used_are_refused(model_folder, wave, message):
    with pytest.raises(ValueError, match=f"recording 1: .*{message}"):
        encode([np.zeros(400), wave], model=model_folder)


def test_files_rates_and_models_that_cannot_be_used_are_refused(tmp_path, speech, model_folder):
    with pytest.raises(ValueError, match=r"none\.wav: the file is missing"):
        encode(tmp_path / "none.wav", model=model_folder)
    with pytest.raises(ValueError, match="sample_rate must be at least 1 Hz, got 0"):
        encode(np.zeros(400), model=model_folder, sample_rate=0)
    with pytest.raises(ValueError, match="no such file or folder"):
        encode(np.zeros(400), model=tmp_path / "none")

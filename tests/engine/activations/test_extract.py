"""engine.extract: what reaches the store, what doesn't, and what is refused before any compute."""

import collections
import dataclasses
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import safetensors.numpy
import xarray as xr

from isogloss.engine.activations import activation_store, extract
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.corpora import audio, durations
from isogloss.engine.whisper import encoder_program

Disk = collections.namedtuple("Disk", ["total", "used", "free"])


@pytest.fixture
def config(tmp_path, extract_config):
    return extract_config(store=tmp_path / "store")


def test_every_utterance_of_every_language(config, sizes):
    summary = extract.run(config)
    assert summary.complete
    assert (summary.done, summary.skipped, summary.failed) == (20, 0, {})
    assert [*activation_store.stores(config.store)] == ["aa", "bb", "cc"]
    dataset = xr.open_zarr(config.store / "cc.zarr")
    assert dataset.sentence.values.tolist() == ["s0", "s1", "s2", "s3", "s5", "s6"]
    assert dataset.state.values.tolist() == ["0", "1", "2", "final"]
    for row, frames in enumerate(dataset.frames.values):
        states = dataset.states[row].values
        assert np.isfinite(states[:, :frames]).all()
        assert np.isnan(states[:, frames:]).all()
    assert json.loads(dataset.attrs["settings"])["dtype"] == "float16"
    assert dataset.attrs["weights_sha256"] == load_checkpoint(config.model).sha256


def test_long_audio_is_cut_and_marked(config):
    """The window of the model is 2 s; sentence s6 has 2.35 s and more."""
    assert extract.run(config).truncated == 6
    dataset = xr.open_zarr(config.store / "aa.zarr")
    assert dataset.truncated.values.tolist() == [False] * 5 + [True] * 2
    assert dataset.frames.values[-1] == 100
    assert dataset.duration.values[-1] > 2.3


def test_long_audio_is_skipped_on_request(config):
    summary = extract.run(dataclasses.replace(config, long="skip"))
    assert (summary.done, summary.left_out, summary.complete) == (14, 6, True)
    store = activation_store.open_store(config.store, "aa")
    assert store.present().tolist() == [True] * 5 + [False] * 2
    assert "left out by --long=skip" in store.failures()[6]


def test_long_audio_is_refused_on_request(config):
    with pytest.raises(ValueError, match=r"2 recordings of aa are longer than 2 s: aa-5\.wav, aa-6\.wav"):
        extract.run(dataclasses.replace(config, long="error"))
    assert not config.store.exists()


def test_nothing_published_names_a_folder_of_this_machine(config, speech, model_folder):
    extract.run(config)
    for metadata in config.store.rglob("zarr.json"):
        assert not re.findall(
            rf"{speech.parent.parent}|{model_folder.parent}|{config.store}", metadata.read_text()
        )


def test_a_second_run_does_nothing(config):
    extract.run(config)
    before = {path: path.stat().st_mtime_ns for path in config.store.rglob("*")}
    summary = extract.run(config)
    assert (summary.done, summary.skipped) == (0, 20)
    assert {path: path.stat().st_mtime_ns for path in config.store.rglob("*")} == before


def test_what_is_missing_is_done_again_to_the_same_bytes(config, shards):
    extract.run(config)
    whole = shards(config.store)
    for name in ("aa.zarr/states/c.3.0.0.0", "cc.zarr/states/c.0.0.0.0"):
        (config.store / name).unlink()
    summary = extract.run(config)
    assert (summary.done, summary.skipped) == (2, 18)
    assert shards(config.store) == whole


def test_shares_make_the_whole(config, tmp_path, shards):
    extract.run(config)
    other = dataclasses.replace(config, store=tmp_path / "shared")
    done = [extract.run(dataclasses.replace(other, shard_index=i, num_shards=3)).done for i in (2, 0, 1)]
    assert sum(done) == 20
    assert max(done) - min(done) <= 1
    assert shards(other.store) == shards(config.store)


def test_broken_recordings_are_named_marked_and_left_out(config, broken):
    manifest, kinds = broken
    config = dataclasses.replace(config, corpus=f"manifest:{manifest}")
    summary = extract.run(config)
    assert not summary.complete
    assert set(summary.failed) == {f"aa x-{kind}.0" for kind in kinds}
    for kind, rule in {
        "empty": "0 bytes",
        "text": "not audio",
        "zero": "zero seconds",
        "nan": "NaN or infinite",
        "eight": "8 channels",
        "cut": "truncated",
    }.items():
        assert f"{kind}.wav" in summary.failed[f"aa x-{kind}.0"]
        assert rule in summary.failed[f"aa x-{kind}.0"]
    store = activation_store.open_store(config.store, "aa")
    assert store.present().sum() == 7
    assert len(store.failures()) == len(kinds)
    again = extract.run(config)
    assert (again.done, again.failed) == (0, summary.failed)


def test_neighbours_of_broken_recordings_are_as_if_alone(config, broken, shards):
    extract.run(config)
    other = dataclasses.replace(config, corpus=f"manifest:{broken[0]}", store=config.store.parent / "other")
    extract.run(other)
    alone, beside = shards(config.store), shards(other.store)
    assert alone.items() <= beside.items()


def test_states_and_dtype_are_choices(config):
    config = dataclasses.replace(config, states=("final", "0"), dtype="float32", languages=("bb",))
    extract.run(config)
    dataset = xr.open_zarr(config.store / "bb.zarr")
    assert dataset.states.dtype == np.float32
    assert dataset.state.values.tolist() == ["0", "final"]


def test_float16_that_overflows_is_named(config, tmp_path, model_folder, sizes):
    folder = tmp_path / "loud"
    shutil.copytree(model_folder, folder)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    tensors["encoder.layers.1.fc2.bias"] = np.full(sizes.features, 1e5, np.float32)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    config = dataclasses.replace(config, model=str(folder), languages=("aa",))
    summary = extract.run(config)
    assert len(summary.failed) == 7
    assert all("state 2." in reason and "--dtype=float32" in reason for reason in summary.failed.values())
    assert not activation_store.open_store(config.store, "aa").present().any()
    assert extract.run(dataclasses.replace(config, dtype="float32", store=tmp_path / "wide")).complete


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"languages": ("xx",)}, "'xx'"),
        ({"languages": ("aa", "aa")}, "each value once"),
        ({"states": ("9",)}, "0, 1, 2, final"),
        ({"corpus": "fleurz:test"}, "fleurs-dir"),
        ({"model": "no/such/folder/here"}, "no such file or folder"),
    ],
)
def test_nonsense_is_refused_before_any_compute(config, monkeypatch, change, message):
    def never(*args, **kwargs):
        pytest.fail("the encoder was run")

    monkeypatch.setattr(encoder_program, "load", never)
    with pytest.raises(ValueError, match=message):
        extract.run(dataclasses.replace(config, **change))
    assert not config.store.exists()


def test_resuming_with_another_model_is_refused(config, other_model_folder, shards):
    extract.run(config)
    whole = shards(config.store)
    with pytest.raises(ValueError, match=r"model: stored whisper-nano, asked for .*other"):
        extract.run(dataclasses.replace(config, model=str(other_model_folder)))
    with pytest.raises(ValueError, match=r"settings\.dtype: stored float16, asked for float32"):
        extract.run(dataclasses.replace(config, dtype="float32"))
    assert shards(config.store) == whole


def test_disk_that_is_too_small_is_refused_beforehand(config, monkeypatch):
    monkeypatch.setattr(extract.disk_space.shutil, "disk_usage", lambda path: Disk(10, 0, 10))
    monkeypatch.setattr(encoder_program, "load", lambda *a, **k: pytest.fail("the encoder was run"))
    for dry_run in (False, True):
        with pytest.raises(ValueError, match=r"20 utterances need \d+ kB, but 10 B are free"):
            extract.run(dataclasses.replace(config, dry_run=dry_run))
    assert not config.store.exists()


def test_dry_run_writes_nothing_and_counts(config, shards):
    summary = extract.run(dataclasses.replace(config, dry_run=True))
    assert not config.store.exists()
    assert summary.plan["utterances"] == 20
    assert summary.plan["estimated_seconds"] >= 0
    real = extract.run(config)
    assert real.done == 20
    stored = sum(len(data) for data in shards(config.store).values())
    assert summary.plan["bytes"] == stored
    assert summary.plan["files"] == 20
    assert extract.run(dataclasses.replace(config, dry_run=True)).plan["utterances"] == 0


def test_a_dry_run_reports_what_a_run_reports(config, broken):
    """Broken recordings of every kind, audio beyond the window, --long=skip; before and after the run."""
    manifest, _ = broken
    config = dataclasses.replace(config, corpus=f"manifest:{manifest}")
    dry = dataclasses.replace(config, dry_run=True)
    before, real, after = extract.run(dry), extract.run(config), extract.run(dry)
    assert before.failed == real.failed
    assert not before.complete
    assert before.truncated == after.truncated == real.truncated > 0
    assert (before.skipped, after.skipped) == (0, real.done)
    skipping = extract.run(dataclasses.replace(dry, long="skip", store=config.store.parent / "other"))
    assert (skipping.left_out, skipping.truncated) == (real.truncated, 0)


def test_a_dry_run_of_much_audio_reads_headers_only(config, broken, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(durations, "_DECODED_HOURS", 0.001)
    dry = extract.run(dataclasses.replace(config, corpus=f"manifest:{broken[0]}", dry_run=True))
    assert len(dry.failed) == 5  # all but NaN
    assert "21 recordings weren't decoded" in caplog.text


def test_what_goes_through_ffmpeg_is_named(config, tmp_path, speech, caplog):
    caplog.set_level("INFO")
    if (program := shutil.which("ffmpeg")) is None:
        pytest.skip("ffmpeg isn't installed")
    shutil.copytree(speech.parent, tmp_path / "mixed")
    manifest = tmp_path / "mixed" / "speech.tsv"
    run = [program, "-v", "error", "-i", str(speech.parent / "aa-3.wav"), str(manifest.parent / "x.m4a")]
    subprocess.run(run, check=True)
    manifest.write_text(manifest.read_text().replace("aa-3.wav", "x.m4a"))
    config = dataclasses.replace(config, corpus=f"manifest:{manifest}")
    dry = dataclasses.replace(config, dry_run=True)
    assert extract.run(dry).through_ffmpeg == ["aa s3.0"]
    assert "ffmpeg decodes 1 recordings: aa s3.0" in caplog.text
    real = extract.run(config)
    assert (real.done, real.through_ffmpeg) == (20, ["aa s3.0"])
    assert extract.run(dry).through_ffmpeg == []  # it is stored


def test_a_language_that_shares_no_sentence_is_told_beforehand(config, tmp_path, speech, caplog):
    rows = [line.split("\t") for line in speech.read_text().splitlines()]
    extract.run(dataclasses.replace(config, dry_run=True))
    assert "no sentence in common" not in caplog.text
    assert caplog.text.count("no code of FLEURS or Whisper: aa, bb") == 1
    for row in rows[1:]:
        row[1] = row[3] if row[0] == "bb" else row[1]  # the text in place of the id
        row[2] = str(speech.parent / row[2])
    (tmp_path / "texts.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    extract.run(dataclasses.replace(config, corpus=f"manifest:{tmp_path}/texts.tsv", dry_run=True))
    assert "no sentence in common with another language: bb;" in caplog.text


def test_truth_of_the_audio_is_what_counts(config, speech, monkeypatch):
    """A source that changes between listing and decoding is found by its length."""
    decode = audio.decode

    def shorter(source, window):
        if source.name.endswith("bb-3.wav"):
            raise audio.AudioError(f"{source.name}: holds less than promised")
        return decode(source, window)

    monkeypatch.setattr(audio, "decode", shorter)
    summary = extract.run(config)
    assert list(summary.failed) == ["bb s3.0"]
    assert summary.done == 19
    monkeypatch.setattr(audio, "decode", decode)
    again = extract.run(config)
    assert (again.done, again.failed) == (1, {})
    assert activation_store.open_store(config.store, "bb").failures() == {}


@pytest.mark.parametrize("change", [{"long": "error"}, {"model": "other"}])
def test_a_refusal_leaves_nothing_behind(config, change, other_model_folder):
    """The first language could be made, the last one is refused: none is."""
    change = {"model": str(other_model_folder)} if "model" in change else change
    extract.run(dataclasses.replace(config, languages=("cc",)))
    before = sorted(config.store.rglob("*"))
    with pytest.raises(ValueError, match=r"settings\.long: stored|model: stored"):
        extract.run(dataclasses.replace(config, languages=("aa", "cc"), **change))
    assert sorted(config.store.rglob("*")) == before
    assert extract.run(config).complete


def test_a_dry_run_refuses_what_a_run_refuses(config, other_model_folder):
    extract.run(dataclasses.replace(config, languages=("aa",)))
    other = dataclasses.replace(config, model=str(other_model_folder), dry_run=True)
    with pytest.raises(ValueError, match="model: stored"):
        extract.run(other)


def test_notes_go_with_their_store(config, broken):
    """A store made anew knows nothing of failures of the one before."""
    config = dataclasses.replace(config, corpus=f"manifest:{broken[0]}", languages=("aa",))
    extract.run(config)
    assert activation_store.open_store(config.store, "aa").failures()
    shutil.rmtree(config.store / "aa.zarr")
    extract.run(dataclasses.replace(config, shard_index=0, num_shards=13))
    assert not activation_store.open_store(config.store, "aa").failures()


def test_a_grid_beside_the_languages_is_no_language(config):
    extract.run(dataclasses.replace(config, languages=("aa",)))
    (config.store / "grid.zarr").mkdir()
    (config.store / "grid.zarr" / "zarr.json").write_text('{"attributes": {"kind": "grid", "format": 1}}')
    (config.store / "odd.zarr").mkdir()
    (config.store / "odd.zarr" / "zarr.json").write_text("{}")
    assert [*activation_store.stores(config.store)] == ["aa"]
    with pytest.raises(ValueError, match="needed is 'activations'"):
        activation_store.open_store(config.store, "odd")

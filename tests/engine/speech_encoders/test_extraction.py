"""Stores of speech encoders: resumed to equal bytes, divided, refused, compared; small models in PyTorch."""

import dataclasses
import importlib.util
import json
import shutil
import types

import numpy as np
import pytest
import soundfile
import xarray as xr
from speech_models import save

pytest.importorskip("torch", reason="PyTorch isn't installed")

import torch

from isogloss.engine import encode
from isogloss.engine.activations import extract
from isogloss.engine.checkpoints import speech_checkpoint
from isogloss.engine.grid import grid
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.report import report
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.speech_encoders import speech_model

XLS_R = "wav2vec2, stable, as XLS-R"


@pytest.fixture(scope="module")
def xls_r(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "xls-r"
    save(folder, XLS_R)
    return folder


@pytest.fixture
def config(tmp_path, speech, xls_r):
    return extract.ExtractConfig(
        corpus=f"manifest:{speech}", model=f"torch:{xls_r}", store=tmp_path / "store", rows_per_device=3
    )


def test_whats_missing_is_made_again_to_the_same_bytes(config, shards):
    plan = extract.run(dataclasses.replace(config, dry_run=True)).plan
    assert plan["utterances"] == 20
    assert min(plan["flops"], plan["estimated_seconds"] + 1, plan["audio_hours"]) > 0
    summary = extract.run(config)
    assert (summary.done, summary.bytes) == (20, plan["bytes"])
    whole = shards(config.store)
    assert sum(map(len, whole.values())) == plan["bytes"]
    for name in ("aa.zarr/states/c.3.0.0.0", "cc.zarr/states/c.0.0.0.0"):
        (config.store / name).unlink()
    again = extract.run(config)
    assert (again.done, again.skipped) == (2, 18)
    assert shards(config.store) == whole  # though other utterances shared the steps
    other = dataclasses.replace(config, store=config.store.parent / "shared")
    assert [extract.run(dataclasses.replace(other, shard_index=i, num_shards=3)).done for i in (2, 0, 1)]
    assert shards(other.store) == whole


def test_other_weights_and_front_ends_arent_resumed(config, xls_r, tmp_path):
    config = dataclasses.replace(config, languages=("cc",))
    extract.run(config)
    save(tmp_path / "xls-r", XLS_R, seed=1)
    with pytest.raises(ValueError, match="weights of xls-r: stored"):
        extract.run(dataclasses.replace(config, model=f"torch:{tmp_path}/xls-r"))
    shutil.rmtree(tmp_path / "xls-r")
    shutil.copytree(xls_r, tmp_path / "xls-r")
    front_end = tmp_path / "xls-r" / "preprocessor_config.json"
    front_end.write_text(front_end.read_text().replace('"do_normalize": true', '"do_normalize": false'))
    with pytest.raises(ValueError, match=r"settings\.front_end\.do_normalize: stored true, asked for false"):
        extract.run(dataclasses.replace(config, model=f"torch:{tmp_path}/xls-r"))
    described = tmp_path / "xls-r" / "config.json"
    described.write_text(
        described.read_text().replace('"num_attention_heads": 2', '"num_attention_heads": 4')
    )
    shutil.copy(xls_r / front_end.name, front_end)
    with pytest.raises(ValueError, match=r"settings\.config_sha256"):
        extract.run(dataclasses.replace(config, model=f"torch:{tmp_path}/xls-r"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neurons": True}, "--neurons: .* gives none"),
        ({"attention": "dense"}, "--attention=dense: a form of Whisper's"),
        ({"states": ("9",)}, "0, 1, 2, final"),
        ({"model": "torch:no/such/folder/here"}, "neither on this disk nor available"),
        ({"revision": "main"}, "belongs to a hub id"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_compute(config, change, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(speech_checkpoint.SpeechCheckpoint, "tensors", lambda self: pytest.fail("read"))
    with pytest.raises(ValueError, match=message):
        extract.run(dataclasses.replace(config, **change))
    assert not config.store.exists()


def test_a_model_that_padding_would_change_takes_one_at_a_time(config, tmp_path):
    save(tmp_path / "group", "wav2vec2, group norm")
    config = dataclasses.replace(config, model=f"torch:{tmp_path}/group")
    with pytest.raises(ValueError, match="--rows_per_device=3: padding would change the states of group"):
        extract.run(config)
    with pytest.raises(ValueError, match=r"no state final: no norm follows .*Remedy: name 2"):
        extract.run(dataclasses.replace(config, rows_per_device=0, states=("final",)))


def test_models_that_arent_of_the_table_are_refused(config, tmp_path):
    for kind, reason in (("musicgen", r"family has\. Remedy"), ("granite_speech", r"family has: its enc")):
        (tmp_path / "config.json").write_text(f'{{"model_type": "{kind}"}}')
        with pytest.raises(
            ValueError, match=rf"is {kind}, which no {reason}.* takes wav2vec2, hubert, wavlm"
        ):
            extract.run(dataclasses.replace(config, model=f"torch:{tmp_path}"))
    (tmp_path / "config.json").write_text('{"model_type": "hubert"}')
    with pytest.raises(ValueError, match=r"has no preprocessor_config\.json"):
        extract.run(dataclasses.replace(config, model=f"torch:{tmp_path}"))


def test_audio_of_another_rate_is_refused(config, tmp_path):
    save(tmp_path / "slow", XLS_R, rate=8_000)
    with pytest.raises(ValueError, match="takes audio at 8000 Hz"):
        extract.run(dataclasses.replace(config, model=f"torch:{tmp_path}/slow"))


@pytest.mark.parametrize(("gb", "rows"), [(80, 16), (0.01, 4)])
def test_rows_of_a_step_follow_the_gpus_size_and_not_what_is_free(config, monkeypatch, gb, rows):
    """Two GPUs, full but for a byte; the smaller one counts."""
    sizes = [2 * gb, gb]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (1, int(1e9 * sizes[device or 0])))
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda device: types.SimpleNamespace(total_memory=int(1e9 * sizes[device])),
    )
    opened = speech_model.open_model(
        config.model, None, compute="auto", attention="auto", rows_per_device=0, neurons=False
    )
    assert opened is not None
    assert opened.settings()["rows_per_device"] == rows


def test_pytorch_is_asked_for_where_it_is_missing(config, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs PyTorch.*pip install -e '\.\[torch\]'"):
        extract.run(config)


def test_a_model_with_a_head_in_an_older_file_has_the_same_states(config, xls_r, tmp_path):
    """As published: pytorch_model.bin, names with the class before them, weight_g and weight_v, a head."""
    older = tmp_path / "older"
    shutil.copytree(xls_r, older)
    (older / "model.safetensors").unlink()
    checkpoint, _ = speech_checkpoint.open_checkpoint(str(xls_r), None, {"wav2vec2": "wav2vec2."})
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    tensors = {"lm_head.weight": torch.ones(3, 32)}
    for name, tensor in checkpoint.tensors().items():
        for new, old in names.items():
            name = name.replace(new, old)  # noqa: PLW2901
        tensors[f"wav2vec2.{name}"] = tensor
    torch.save(tensors, older / "pytorch_model.bin")
    wave = 0.1 * np.random.default_rng(0).standard_normal(9_000)
    found, expected = (encode(wave, model=f"torch:{folder}") for folder in (older, xls_r))
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.sizes == {"state": 4, "frame": 27, "feature": 32}  # (9000 - 400) // 320 + 1
    tensors.pop("wav2vec2.encoder.layers.1.attention.k_proj.bias")
    torch.save(tensors, older / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match=r"missing or misshapen: encoder\.layers\.1\.attention\.k_proj\.bias"
    ):
        encode(wave, model=f"torch:{older}")
    (older / "pytorch_model.bin").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin: truncated"):
        encode(wave, model=f"torch:{older}")


def test_only_shards_of_the_encoder_are_read(tmp_path):
    save(tmp_path, "SeamlessM4T v2")
    checkpoint, _ = speech_checkpoint.open_checkpoint(
        str(tmp_path), None, {"seamless_m4t_v2": "speech_encoder."}
    )
    expected = checkpoint.tensors()
    names = sorted(expected)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    from safetensors.torch import save_file  # noqa: PLC0415

    for file, own in parts.items():
        save_file({f"speech_encoder.{name}": expected[name].contiguous() for name in own}, tmp_path / file)
    places = {f"speech_encoder.{name}": file for file, own in parts.items() for name in own}
    places |= {"text_encoder.layers.0": "missing.safetensors"}
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    again, _ = speech_checkpoint.open_checkpoint(str(tmp_path), None, {"seamless_m4t_v2": "speech_encoder."})
    assert [file.name for file in again.files] == list(parts)
    assert {name: tensor.tolist() for name, tensor in again.tensors().items()} == {
        name: tensor.tolist() for name, tensor in expected.items()
    }


def test_a_recording_shorter_than_a_frame_is_named(config, tmp_path):
    soundfile.write(tmp_path / "click.wav", np.full(300, 0.1), 16_000)
    soundfile.write(tmp_path / "word.wav", np.sin(np.arange(8_000) / 9) / 9, 16_000)
    (tmp_path / "two.tsv").write_text("language\tsentence\taudio\naa\t0\tclick.wav\naa\t1\tword.wav\n")
    summary = extract.run(dataclasses.replace(config, corpus=f"manifest:{tmp_path}/two.tsv"))
    assert summary.done == 1
    assert "click.wav: 18.8 ms, but the encoder's first frame needs 25 ms" in summary.failed["aa 0.0"]


@pytest.mark.deep
def test_grid_and_report_compare_such_a_store(config, tmp_path):
    extract.run(config)
    store = xr.open_zarr(config.store / "aa.zarr")
    lengths = (store.duration.values * 16_000).round().astype(int)
    np.testing.assert_array_equal(store.frames, (lengths - 400) // 320 + 1)
    made = GridConfig(store=config.store, grid=tmp_path / "grid.zarr", measures=("seqsim",), memory_gb=1.0)
    assert grid.run(made).complete
    assert report.run(ReportConfig(grid=made.grid, out=tmp_path / "report")).complete
    assert (tmp_path / "report" / "report.html").is_file()
    assert json.loads(xr.open_zarr(made.grid).attrs["settings"])["family"] == "wav2vec2"

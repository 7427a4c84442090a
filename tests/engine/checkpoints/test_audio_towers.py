"""Encoders of audio language models against transformers, of random models of each class."""

import dataclasses
import json

import huggingface_hub
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import xarray as xr

from isogloss.engine.activations import encoders, extract
from isogloss.engine.checkpoints import audio_towers, checkpoint, huggingface
from isogloss.engine.checkpoints.dimensions import tensor_shapes
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.time_axis import SAMPLE_RATE
from isogloss.engine.whisper import encoder_program, log_mel
from small_models import TOWER, TOWER_CONFIG, random_tensors, write_audio_language_model

INDEX = "model.safetensors.index.json"
RENAMED = {
    "num_mel_bins": 80, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "max_source_positions": 100,
}  # fmt: skip
TEXT = {
    "vocab_size": 31, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 2,
}  # fmt: skip
CLASSES = {
    "Qwen2Audio": (TOWER_CONFIG, "qwen2"),
    "Voxtral": (RENAMED, "llama"),
    "AudioFlamingo3": (RENAMED, "qwen2"),
    "MossTranscribeDiarize": (RENAMED, "qwen3"),
}
ENCODERS = {"MossTranscribeDiarize": ("AudioModel", "AudioConfig")}  # others: NAMEEncoder, NAMEEncoderConfig
POOLED = ("Qwen2Audio", "AudioFlamingo3")


@pytest.fixture
def written(tmp_path):
    """Folder of a Qwen2-Audio in three shards, of which the last has no tensor of the encoder."""
    folder = tmp_path / "audio-lm"
    folder.mkdir()
    write_audio_language_model(folder)
    return folder


def transformers_model(name, alone):
    """Random model of a class, or its encoder alone, and the encoder."""
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")
    transformers = pytest.importorskip("transformers", reason="the oracle is its encoder")
    encoder, settings = (f"{name}{end}" for end in ENCODERS.get(name, ("Encoder", "EncoderConfig")))
    if not hasattr(transformers, encoder):
        pytest.skip(f"transformers {transformers.__version__} has no {encoder}")
    sizes, text = CLASSES[name]
    torch.manual_seed(0)
    audio = getattr(transformers, settings)(**sizes)
    if alone:
        model = getattr(transformers, encoder)(audio)
    else:
        words = {"model_type": text, **TEXT}
        config = getattr(transformers, f"{name}Config")(audio_config=audio.to_dict(), text_config=words)
        model = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    tower = next(module for module in model.modules() if type(module).__name__ == encoder)
    with torch.no_grad():  # biases and norms are 0 and 1 at the start, which would hide a wrong one
        for parameter in tower.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval(), tower


def pytorch_states(tower, mel):
    """Stem and positions, the output of every block, the final norm's output, by hooks."""
    torch = pytest.importorskip("torch")
    states = []
    tower.layers[0].register_forward_pre_hook(lambda _, given: states.append(given[0]))
    for layer in tower.layers:
        layer.register_forward_hook(
            lambda *call: states.append(call[2][0] if isinstance(call[2], tuple) else call[2])
        )
    masked = type(tower).__name__ == "AudioFlamingo3Encoder"
    given = {"input_features_mask": torch.ones(1, mel.shape[0], dtype=torch.long)} if masked else {}
    with torch.no_grad():
        final = tower(torch.from_numpy(mel.T[None].copy()), **given).last_hidden_state
    return [state.detach().numpy().reshape(-1, state.shape[-1]) for state in (*states, final)]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("name", CLASSES)
def test_states_equal_pytorch(tmp_path, name, alone):
    model, tower = transformers_model(name, alone)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    shards = json.loads((tmp_path / INDEX).read_text())["weight_map"]
    others = set(shards.values()) - {shards[name] for name in shards if alone or "audio_tower." in name}
    assert bool(others) != alone
    for shard in others:
        (tmp_path / shard).unlink()
    found_model = encoders.open_model(str(tmp_path), None)
    opened = found_model.checkpoint
    assert opened.dimensions == TOWER
    assert opened.weights.tensors.keys() == tensor_shapes(TOWER).keys()
    assert len(opened.weights.tensors) == len(tower.state_dict())  # none left over
    names = found_model.states
    assert names == (("0", "1", "2") if name in POOLED else ("0", "1", "2", "final"))

    wave = np.float32(np.random.default_rng(0).standard_normal((1, 2 * SAMPLE_RATE)) / 9)
    precision = encoder_program.precision_for("cpu")
    run = encoder_program.load(opened, names, "float32", precision, rows_per_device=1, devices=1)
    found = np.asarray(run(wave, np.array([100], np.int32))[0]).reshape(len(names), 100, 16)
    expected = pytorch_states(tower, np.array(log_mel.log_mel(jnp.asarray(wave), log_mel.filters(80)))[0])
    assert len(expected) == 4
    assert len(expected[-1]) == (50 if name in POOLED else 100)  # two frames averaged
    for state, found_state, expected_state in zip(names, found, expected[: len(names)], strict=True):
        np.testing.assert_allclose(found_state, expected_state, rtol=1e-5, atol=1e-5, err_msg=state)


def test_shards_without_the_encoder_are_never_opened(written):
    weights = huggingface.open_folder(written)
    assert [file.name for file in weights.files] == ["model-1-of-3.safetensors", "model-2-of-3.safetensors"]
    for name, tensor in random_tensors(TOWER, 0).items():
        np.testing.assert_array_equal(weights.tensors[name].read(), tensor)
    (written / "model-3-of-3.safetensors").unlink()
    assert huggingface.open_folder(written).files == weights.files


def test_shards_without_the_encoder_are_never_fetched(written, monkeypatch):
    asked = []

    def snapshot_download(repository, *, revision, allow_patterns):
        asked.append(list(huggingface_hub.utils.filter_repo_objects(there, allow_patterns=allow_patterns)))
        return str(written)

    there = [file.name for file in written.iterdir()]
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    checkpoint.load_encoder("Qwen/Qwen2-Audio-7B")
    described, weights = asked
    assert set(described) == {"config.json", INDEX}
    assert set(weights) == set(there) - {"model-3-of-3.safetensors"}


def test_a_tensor_too_many_is_refused(written):
    file = written / "model-1-of-3.safetensors"
    tensors = safetensors.numpy.load_file(file)
    safetensors.numpy.save_file(tensors | {"audio_tower.more": np.ones(2, np.float32)}, file)
    with pytest.raises(Refusal, match=r"surplus: audio_tower\.more \(2,\)"):
        huggingface.open_folder(written)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "qwen2_5_omni", "thinker_config": {}}, "attention is in blocks"),
        ({"model_type": "qwen3_asr", "audio_config": {"model_type": "qwen3_asr_encoder"}}, "Conv2d"),
        ({"model_type": "qwen3_omni_moe"}, "Conv2d"),
        ({"model_type": "voxtral_realtime", "audio_config": {}}, "causal"),
        ({"model_type": "glmasr", "audio_config": {"model_type": "glmasr_encoder"}}, "rotates queries"),
        ({"model_type": "nemo_speechlm"}, "projects eight frames"),
        ({"model_type": "phi4_multimodal", "audio_config": {}}, "Conv2d"),
        ({"model_type": "x", "audio_config": {"model_type": "voxtral_realtime_encoder"}}, "causal"),
        (
            {
                "model_type": "voxtral",
                "audio_config": {"model_type": "voxtral_encoder", "scale_embedding": True},
            },
            "scale_embedding must be False",
        ),
        ({"model_type": "gemma3n", "audio_config": {"model_type": "gemma3n_audio"}}, "must be 'whisper'"),
    ],
)
def test_other_encoders_are_refused_with_the_reason(written, config, reason):
    (written / "config.json").write_text(json.dumps(config))
    with pytest.raises(Refusal, match=rf"config\.json: .*{reason}.*Remedy"):
        huggingface.open_folder(written)


@pytest.mark.parametrize(
    ("encoder", "shape"),
    [("qwen2_audio_encoder", "1280, 128, 3"), ("moss_transcribe_diarize_audio", "1024, 80, 3")],
)
def test_sizes_that_a_configuration_leaves_out_are_the_classs(written, encoder, shape):
    (written / "config.json").write_text(json.dumps({"audio_config": {"model_type": encoder}}))
    with pytest.raises(Refusal, match=rf"audio_tower\.conv1\.weight must be \({shape}\)"):
        huggingface.open_folder(written)


@pytest.mark.parametrize("name", CLASSES)
def test_sizes_of_the_table_are_the_defaults_of_transformers(name):
    transformers = pytest.importorskip("transformers", reason="the oracle is its configurations")
    settings = f"{name}{ENCODERS.get(name, ('', 'EncoderConfig'))[1]}"
    if not hasattr(transformers, settings):
        pytest.skip(f"transformers {transformers.__version__} has no {settings}")
    made = getattr(transformers, settings)()
    found = audio_towers.tower_of("config.json", {"model_type": made.model_type})
    assert found == audio_towers.tower_of("config.json", made.to_dict())


def test_jobs_of_a_decoder_are_refused(written):
    with pytest.raises(Refusal, match=r"no decoder of Whisper.*Remedy"):
        checkpoint.load_checkpoint(str(written))


def test_extract_stores_the_states(written, speech, tmp_path):
    config = extract.ExtractConfig(
        corpus=f"manifest:{speech}", model=str(written), store=tmp_path / "store", languages=("aa",)
    )
    with pytest.raises(Refusal, match=r"no state final: .*averages two frames.*Remedy: name 2"):
        extract.run(dataclasses.replace(config, states=("final",)))
    summary = extract.run(config)
    assert summary.complete
    assert summary.done == 7
    store = xr.open_zarr(tmp_path / "store" / "aa.zarr")
    assert store.state.values.tolist() == ["0", "1", "2"]
    assert store.attrs["weights_sha256"] == checkpoint.load_encoder(str(written)).sha256
    for row, frames in enumerate(store.frames.values):
        assert np.isfinite(store.states[row].values[:, :frames]).all()

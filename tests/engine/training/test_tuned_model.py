"""Folders that tune writes, of sources in several formats, as transformers loads them without a word more."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from isogloss.engine.activations import extract
from isogloss.engine.checkpoints import openai_pickle
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.training import tune
from isogloss.engine.whisper import parameters
from small_models import random_tensors

torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")
transformers = pytest.importorskip("transformers", reason="the oracle is its Whisper")

# Additions of the longest dot product, over the frames, and as many again for the layers before it: a bound
# of the rounding relative to the largest logit.
ROUNDING = 200 * 2.0**-24
END, START = 256, 257  # tokens of the vocabulary of bytes


@pytest.fixture
def tuned_from(tuning, taught_speech, changed, tmp_path):
    """Function from a model to OUT of two steps on a store that the model made; options are of tune."""

    def run(model, **options):
        speech, store = f"manifest:{taught_speech(0.8)}", tmp_path / "store"
        extract.run(extract.ExtractConfig(corpus=speech, model=str(model), store=store, states=("final",)))
        own = {"store": store, "model": str(model), "steps": 2, "warmup": 0, "batch": 2}
        config = changed(tuning(tmp_path / "out"), **own, **options)
        tune.run(config)
        return config.out

    return run


@pytest.fixture
def saved(reader, whisper_config, tmp_path):
    """Function from a number format to the folder of a random model, as transformers saves it."""

    def save(dtype):
        config = whisper_config(load_checkpoint(str(reader)).dimensions, END)
        config.decoder_start_token_id = START
        torch.manual_seed(0)
        model = transformers.WhisperForConditionalGeneration(config)
        with torch.no_grad():  # biases and norms are 0 and 1 at the start, which would hide a wrong one
            for value in model.parameters():
                value.add_(0.2 * torch.randn_like(value))
        folder = tmp_path / "source"
        model.to(dtype).save_pretrained(folder)
        (folder / "tokenizer.json").write_bytes((reader / "tokenizer.json").read_bytes())
        return folder

    return save


def raw(folder):
    """Format and bytes of the encoder's tensors by name."""
    found = {}
    with safetensors.safe_open(folder / "model.safetensors", "pt") as opened:
        for name in opened.keys():
            if name.startswith("model.encoder."):
                value = opened.get_tensor(name)
                found[name] = value.dtype, value.flatten().view(torch.uint8).numpy().tobytes()
    return found


def assert_logits_are_equal(out, float64_whisper):
    """Those of transformers, of our decoder, and of NumPy in float64, for random states."""
    theirs = transformers.WhisperForConditionalGeneration.from_pretrained(out).eval()
    assert {value.dtype for value in theirs.parameters()} == {torch.float32}
    assert theirs.config.decoder_start_token_id == theirs.generation_config.decoder_start_token_id == START
    assert theirs.generation_config.eos_token_id == END
    rng = np.random.default_rng(3)
    memory, tokens = rng.standard_normal((100, 16)).astype(np.float32), rng.integers(0, END, 30)
    with torch.no_grad():
        given = {"encoder_outputs": (torch.from_numpy(memory)[None],)}
        found = theirs(**given, decoder_input_ids=torch.from_numpy(tokens)[None]).logits[0].numpy()
    held = safetensors.numpy.load_file(out / "model.safetensors")
    decoder = {n.removeprefix("model."): v for n, v in held.items() if n.startswith("model.decoder.")}
    expected, _ = float64_whisper(decoder, 2).decode(tokens, np.float64(memory), theirs.config.decoder_layers)
    bound = ROUNDING * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)
    np.testing.assert_allclose(our_logits(out, memory, tokens), expected, rtol=0, atol=bound)
    return theirs


def our_logits(out, memory, tokens):
    checkpoint, dtype = load_checkpoint(str(out)), jnp.dtype("float32")
    graph, shapes = parameters.build_decoder(checkpoint.dimensions, dtype=dtype)
    layers = checkpoint.dimensions.decoder_layers
    loaded = parameters.load(shapes, checkpoint.read, layers, parameters.DECODER)
    decoder, visible = nnx.merge(graph, parameters.cast(loaded, dtype)), jnp.array([len(memory)])
    entered = decoder.enter(jnp.asarray(memory)[None], visible, jnp.array([False]))
    return np.asarray(decoder(jnp.asarray(tokens, jnp.int32)[None], entered, visible)[0])


@pytest.mark.deep
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_half_precision_keeps_its_encoders_bytes_and_has_equal_logits(
    tuned_from, saved, float64_whisper, dtype
):
    source = saved(dtype)
    out = tuned_from(source)
    assert raw(out) == raw(source)
    assert {found for found, _ in raw(out).values()} == {dtype}
    theirs = assert_logits_are_equal(out, float64_whisper)
    before = transformers.WhisperForConditionalGeneration.from_pretrained(source, dtype=torch.float32)
    mel = torch.randn(1, 80, 200, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, expected = (m.eval().get_encoder()(mel).last_hidden_state for m in (theirs, before))
    assert torch.equal(found, expected)


@pytest.mark.deep
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_file_of_openai_becomes_a_folder_with_equal_logits(
    tuned_from, reader, float64_whisper, tmp_path, dtype
):
    own = load_checkpoint(str(reader)).dimensions
    sizes = dataclasses.asdict(own)
    named = {
        "n_mels": "mels", "n_vocab": "vocabulary", "n_audio_ctx": "positions", "n_text_ctx": "text_positions",
        "n_audio_state": "features", "n_text_state": "features", "n_audio_head": "heads",
        "n_text_head": "heads", "n_audio_layer": "encoder_layers", "n_text_layer": "decoder_layers",
    }  # fmt: skip
    stored = {name: torch.from_numpy(value).to(dtype) for name, value in random_tensors(own, 5).items()}
    state = {openai_pickle._openai_name(name): value for name, value in stored.items()}
    dims = {key: sizes[name] for key, name in named.items()}
    torch.save({"dims": dims, "model_state_dict": state}, tmp_path / "reader.pt")
    out = tuned_from(tmp_path / "reader.pt", tokenizer=str(reader))
    kept = raw(out)
    for name in [name for name in stored if name.startswith("encoder.")]:
        assert kept[f"model.{name}"] == (dtype, stored[name].flatten().view(torch.uint8).numpy().tobytes())
    theirs = assert_logits_are_equal(out, float64_whisper)
    assert theirs.generation_config.max_length == own.text_positions
    assert transformers.WhisperFeatureExtractor.from_pretrained(out).feature_size == 80

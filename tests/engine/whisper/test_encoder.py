"""Encoder and its parameters against a NumPy float64 encoder and transformers' PyTorch Whisper."""

import dataclasses
import functools
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from isogloss.engine.checkpoints.checkpoint import Checkpoint, load_checkpoint
from isogloss.engine.whisper import attention, named_states, parameters
from small_models import NANO, random_tensors

# Every float32 operation rounds by at most 2**-24 of its result. A state has passed through at most 3 blocks
# of 8 products (and a stem of 2), and in a sum of K terms of either sign the roundings grow like sqrt(K);
# K is at most 384 (stem, 128 mels). Relative to the norm of a state that is 26 * sqrt(384) * 2**-24 = 3e-5.
TOLERANCE = 26 * np.sqrt(384) * 2.0**-24


def random_checkpoint(mels=80, heads=2):
    """Stands in for a Checkpoint on disk."""
    sizes = dataclasses.replace(
        NANO, mels=mels, features=24, heads=heads, encoder_layers=3, positions=50, ffn=96
    )
    tensors = random_tensors(sizes, 0)
    return types.SimpleNamespace(dimensions=sizes, tensors=tensors, read=tensors.__getitem__)


@functools.cache
def program(sizes, form, dtype):
    graph, shapes = parameters.build(sizes, dtype=jnp.dtype(dtype), form=form)
    return jax.jit(lambda s, m: nnx.merge(graph, s)(m)), shapes


def ours(checkpoint, mel, form="chunked", dtype="float32"):
    run, shapes = program(checkpoint.dimensions, form, dtype)
    loaded = parameters.load(shapes, checkpoint.read, checkpoint.dimensions.encoder_layers)
    return np.asarray(run(parameters.cast(loaded, jnp.dtype(dtype)), jnp.asarray(mel)))


@pytest.fixture
def float64_states(float64_whisper):
    """Whisper's encoder written down again, without a line of the product's."""

    def states(checkpoint, mel):
        w = float64_whisper(checkpoint.tensors, checkpoint.dimensions.heads)

        def convolve(x, name, stride):
            padded = np.pad(x, ((1, 1), (0, 0)))
            rows = range(0, len(x), stride)
            taps = np.stack([padded[r : r + 3].T for r in rows])  # (out, in, 3)
            return np.einsum("nit,oit->no", taps, w.p[f"{name}.weight"]) + w.p[f"{name}.bias"]

        x = w.gelu(convolve(mel.astype(np.float64), "encoder.conv1", 1))
        x = w.gelu(convolve(x, "encoder.conv2", 2)) + w.p["encoder.embed_positions.weight"]
        states = [x]
        for layer in range(checkpoint.dimensions.encoder_layers):
            name = f"encoder.layers.{layer}"
            normed = w.norm(x, f"{name}.self_attn_layer_norm")
            x = w.feed(x + w.attend(normed, normed, f"{name}.self_attn")[0], name)
            states.append(x)
        return np.stack([*states, w.norm(x, "encoder.layer_norm")])

    return states


@pytest.fixture
def pytorch_states(torch_whisper):
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")

    def states(checkpoint, mel):
        encoder = torch_whisper(checkpoint.tensors, checkpoint.dimensions).model.encoder
        unnormalised = []
        keep = lambda module, inputs, output: unnormalised.append(inputs[0])  # noqa: E731
        encoder.layer_norm.register_forward_hook(keep)
        with torch.no_grad():
            output = encoder(torch.from_numpy(mel.T[None].copy()), output_hidden_states=True)
        states = (*output.hidden_states[:-1], unnormalised[0], output.last_hidden_state)
        return np.stack([state[0].numpy() for state in states])

    return states


def off(found, expected):
    """Norm of the difference over the norm, state by state."""
    norms = np.linalg.norm((found - expected).reshape(len(expected), -1), axis=1)
    return norms / np.linalg.norm(expected.reshape(len(expected), -1), axis=1)


@pytest.mark.parametrize("oracle", ["float64_states", "pytorch_states"])
@pytest.mark.parametrize("mels", [80, 128])
def test_every_state_equals_the_oracle(mels, oracle, request):
    checkpoint = random_checkpoint(mels)
    mel = np.random.default_rng(1).standard_normal((100, mels)).astype(np.float32)
    expected = request.getfixturevalue(oracle)(checkpoint, mel)
    found = ours(checkpoint, mel[None])[:, 0]
    assert found.shape == expected.shape == (5, 50, 24)
    assert (off(found, expected) < TOLERANCE).all(), off(found, expected)


@pytest.mark.deep
def test_forms_of_attention_agree():
    checkpoint = random_checkpoint(heads=3)
    mel = np.random.default_rng(2).standard_normal((2, 100, 80)).astype(np.float32)
    dense, *others = (ours(checkpoint, mel, form) for form in ("dense", "blocks", "chunked"))
    for found in others:
        assert (off(found, dense) < TOLERANCE).all()


@pytest.mark.parametrize("form", ["blocks", "chunked"])
def test_slabs_of_attention_change_nothing(form, monkeypatch):
    """Sums of 12 products of numbers below 4 round by 12 * 16 * 2**-24 at most: 1e-5; seen are 1e-6."""
    rng = np.random.default_rng(3)
    query, key, value = jnp.asarray(rng.standard_normal((3, 2, 12, 3, 4)), jnp.float32)
    dense = attention.attention(query, key, value, "dense")
    monkeypatch.setattr(attention, "SLABS", {"blocks": 4, "chunked": 4})
    np.testing.assert_allclose(attention.attention(query, key, value, form), dense, atol=1e-6)


@pytest.mark.parametrize("form", ["dense", "blocks", "chunked"])
def test_largest_array_of_a_form_is_that_of_its_formula(form):
    """The lowered program's largest float32 array, keys and values being smaller, in two rows."""
    x = jax.ShapeDtypeStruct((2, 1500, 3, 64), jnp.bfloat16)
    text = jax.jit(lambda *qkv: attention.attention(*qkv, form)).lower(x, x, x).as_text()
    shapes = [tuple(map(int, s.rstrip("x").split("x"))) for s in re.findall(r"tensor<((?:\d+x)+)f32>", text)]
    together = 1 if form == "chunked" else 2
    assert 4 * max(map(np.prod, shapes)) == together * attention.score_bytes(form, 1500, 3)


CUDNN = """
import jax, jax.numpy as jnp
from isogloss.engine.whisper import attention
assert jax.default_backend() == "gpu", jax.default_backend()
query, key, value = jax.random.normal(jax.random.key(0), (3, 2, 1500, 8, 64), jnp.bfloat16)
run = jax.jit(attention.attention, static_argnums=3)
dense, flash = (run(query, key, value, form).astype("float32") for form in ("dense", "cudnn"))
text = run.lower(query, key, value, "cudnn").compile().as_text()
assert "fmha" in text and "1500,1500" not in text
print(float(jnp.abs(flash - dense).max() / jnp.abs(dense).max()))
"""


@pytest.mark.skipif(
    not pathlib.Path("/dev/nvidiactl").exists()
    or not any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13)),
    reason="cuDNN needs an NVIDIA GPU and JAX built for it",
)
def test_cudnn_equals_dense_on_a_gpu():
    """Weights and results are rounded to bfloat16, 2**-9 each; a sum of weights has that error once more."""
    environment = {key: value for key, value in os.environ.items() if key != "JAX_PLATFORMS"}
    done = subprocess.run(
        [sys.executable, "-c", CUDNN], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 2.0**-6


def test_unknown_form_of_attention_is_refused():
    x = jnp.zeros((1, 2, 1, 2))
    with pytest.raises(ValueError, match="dense"):
        attention.attention(x, x, x, "flash")


def test_bfloat16_products_keep_a_float32_stream(float64_states):
    """Rounding to 8 bits in 2 products a branch, 2**-9 each: the stream itself is not rounded."""
    checkpoint = random_checkpoint()
    mel = np.random.default_rng(1).standard_normal((100, 80)).astype(np.float32)
    found = ours(checkpoint, mel[None], "dense", "bfloat16")[:, 0]
    assert found.dtype == np.float32
    assert (off(found, float64_states(checkpoint, mel)) < 2.0**-6).all()


def test_names_of_states():
    assert named_states.state_names(2) == ("0", "1", "2", "final")
    assert named_states.choose_states((), ("0", "1", "final")) == ("0", "1", "final")
    assert named_states.choose_states(("final", "0"), ("0", "1", "final")) == ("0", "final")


@pytest.mark.parametrize("wanted", [("7",), ("last",), ("0", "0")])
def test_states_that_do_not_exist(wanted):
    with pytest.raises(ValueError, match="0, 1, final"):
        named_states.choose_states(wanted, ("0", "1", "final"))


def test_loads_from_disk(model_folder, sizes):
    checkpoint = load_checkpoint(str(model_folder))
    assert isinstance(checkpoint, Checkpoint)
    _, shapes = parameters.build(sizes, dtype=jnp.dtype("float32"), form="chunked")
    loaded = parameters.load(shapes, checkpoint.read, checkpoint.dimensions.encoder_layers)
    kernel = dict(nnx.to_flat_state(loaded))["blocks", "mlp_in", "kernel"][...]
    np.testing.assert_array_equal(kernel[1], checkpoint.read("encoder.layers.1.fc1.weight").T)

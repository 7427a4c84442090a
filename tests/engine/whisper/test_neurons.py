"""Statistics of neurons against plain loops, and against hooks on fc1 of transformers' PyTorch Whisper."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from isogloss.engine.whisper import neurons, parameters
from small_models import NANO, random_tensors

SIZES = dataclasses.replace(NANO, features=24, heads=2, encoder_layers=3, positions=50, ffn=96)


def loops(hidden):
    """STATISTICS of the frames of one utterance and block."""
    found = np.zeros((4, hidden.shape[1]))
    for neuron in range(hidden.shape[1]):
        values = [float(value) for value in hidden[:, neuron]]
        found[:, neuron] = (
            sum(value > 0 for value in values) / len(values),
            sum(abs(value) for value in values) / len(values),
            sum(values) / len(values),
            max(values),
        )
    return found


@pytest.mark.parametrize(("frames", "lengths"), [(8, (1, 5, 8)), (45, (1, 17, 45))])
def test_equal_plain_loops_over_the_frames_in_use(frames, lengths):
    """By slabs of 15, too. Quarters, so that sums are exact and zeros are common; padding holds NaN."""
    rng = np.random.default_rng(0)
    hidden = np.full((3, frames, 5), np.nan, np.float32)
    for row, n in zip(hidden, lengths, strict=True):
        row[:n] = rng.integers(-3, 4, (n, 5)) / 4
    used = np.arange(frames)[None, :] < np.array(lengths)[:, None]
    found = np.asarray(jax.jit(neurons.statistics)(hidden, used))
    assert found.dtype == np.float32
    for row, n, statistics in zip(hidden, lengths, found, strict=True):
        np.testing.assert_allclose(statistics, loops(row[:n]), rtol=1e-7)


@pytest.fixture(scope="module")
def ours():
    """States without neurons, states with them, and neurons of two windows of 7 and 50 frames."""
    tensors = random_tensors(SIZES, 0)
    mel = np.random.default_rng(1).standard_normal((2, 100, SIZES.mels)).astype(np.float32)
    graph, shapes = parameters.build(SIZES, dtype=jnp.dtype("float32"), form="chunked")
    checkpoint = types.SimpleNamespace(dimensions=SIZES, read=tensors.__getitem__)
    weights = parameters.load(shapes, checkpoint.read, SIZES.encoder_layers)
    used = np.arange(50)[None, :] < np.array([7, 50])[:, None]
    plain = jax.jit(lambda s, m: nnx.merge(graph, s)(m))(weights, mel)
    states, found = jax.jit(lambda s, m, u: nnx.merge(graph, s).with_neurons(m, u))(weights, mel, used)
    return tensors, mel, np.asarray(plain), np.asarray(states), np.asarray(found)


def test_states_are_those_of_a_pass_without_neurons(ours):
    _, _, plain, states, found = ours
    assert found.shape == (3, 2, 4, 96)
    np.testing.assert_allclose(states, plain, rtol=0, atol=1e-5)


def test_equal_hooks_on_fc1_of_pytorch(ours, torch_whisper):
    """A rate may differ by the frames whose activation is 0 but for rounding; here none is."""
    torch = pytest.importorskip("torch", reason="the oracle needs a CPU build of torch")
    tensors, mel, _, _, found = ours
    encoder = torch_whisper(tensors, SIZES).model.encoder
    kept = []
    for layer in encoder.layers:
        layer.fc1.register_forward_hook(lambda module, inputs, output: kept.append(output))
    with torch.no_grad():
        encoder(torch.from_numpy(mel.transpose(0, 2, 1).copy()))
    for block, before in enumerate(kept):
        hidden = torch.nn.functional.gelu(before).numpy()
        for row, n in enumerate((7, 50)):
            np.testing.assert_allclose(found[block, row], loops(hidden[row, :n]), rtol=0, atol=2e-5)

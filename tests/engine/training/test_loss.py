"""Loss and gradients of the decoder against PyTorch transformers on a tiny random model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.training import loss, trainable
from isogloss.engine.training.loss import TaughtRows
from small_models import NANO, random_tensors  # pyright: ignore[reportMissingImports]

SIZES = dataclasses.replace(
    NANO, features=24, heads=3, decoder_layers=3, positions=50, text_positions=16, vocabulary=41, ffn=96
)
FLOAT32 = np.dtype("float32")
CHECKED = (
    "decoder.embed_tokens.weight",
    "decoder.layers.1.encoder_attn.k_proj.weight",
    "decoder.layers.0.fc1.bias",
    "decoder.embed_positions.weight",
    "decoder.layers.2.self_attn.q_proj.weight",
)


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(SIZES, 0)


@pytest.fixture(scope="module")
def model(random_model):
    return load_checkpoint(str(random_model("taught", SIZES, 0)))


@pytest.fixture(scope="module")
def rows():
    """Texts of 5 and 3 tokens after prompts of 3, in rows of 9."""
    rng = np.random.default_rng(5)
    tokens, targets = rng.integers(0, 40, (2, 9)), rng.integers(0, 40, (2, 9))
    weights = np.zeros((2, 9), np.float32)
    weights[0, 2:8], weights[1, 2:6] = 1, 1
    return TaughtRows(
        states=jnp.asarray(rng.standard_normal((2, 50, 24)), jnp.float32),
        visible=jnp.array([50, 50], jnp.int32),
        apply_norm=jnp.zeros(2, bool),
        tokens=jnp.asarray(tokens, jnp.int32),
        targets=jnp.asarray(targets, jnp.int32),
        weights=jnp.asarray(weights),
    )


def ours(parts, rows):
    """Mean loss and gradients by canonical name."""

    def mean(trained, frozen, rows):
        total, count = loss.row_losses(parts.decoder(trained, frozen), rows)
        return total.sum() / count.sum()

    value, gradients = jax.jit(jax.value_and_grad(mean))(parts.trained, parts.frozen, rows)
    return float(value), {path: np.asarray(gradient) for path, gradient in gradients.items()}


# More tokens than a head has features, and as many.
@pytest.mark.parametrize("length", [9, pytest.param(8, marks=pytest.mark.deep)])
def test_loss_and_gradients_equal_pytorch(model, tensors, rows, torch_whisper, length):
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")
    oracle = torch_whisper(tensors, SIZES, eot=40)  # PyTorch gives the padding's embedding no gradient
    tokens, targets, weights = (a[:, :length] for a in (rows.tokens, rows.targets, rows.weights))
    rows = rows._replace(tokens=tokens, targets=targets, weights=weights)
    labels = np.where(rows.weights > 0, rows.targets, -100)
    output = oracle(
        encoder_outputs=(torch.from_numpy(np.array(rows.states)),),
        decoder_input_ids=torch.from_numpy(np.array(rows.tokens, np.int64)),
        labels=torch.from_numpy(labels.astype(np.int64)),
    )
    output.loss.backward()
    parts = trainable.split(model.dimensions, model.read, "decoder", dtype=FLOAT32, seed=0)
    value, gradients = ours(parts, rows)
    assert abs(value - output.loss.item()) < 1e-5
    named = parts.tensors(gradients)
    theirs = {name: p.grad for name, p in oracle.model.named_parameters() if p.grad is not None}
    assert set(CHECKED) <= set(named)
    for name, gradient in named.items():
        assert np.abs(gradient - theirs[name].numpy()).max() < 1e-5, name
    assert not {name for name in theirs if name.startswith("encoder.")}

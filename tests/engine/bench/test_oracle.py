"""The references of the benchmarks against the slow ones and against ours; lengths as promised."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from isogloss.engine.bench import data, encoder as bench_encoder, oracle
from isogloss.engine.whisper import log_mel, named_states, parameters
from isogloss.kernels import reference


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 3)])
def test_seqsim_is_the_reference(shape):
    """Small integers tie; both are float64, and differ by the order of some ten additions."""
    random = np.random.default_rng(sum(shape))
    x, y = (random.integers(1, 3, (rows, 6)).astype(np.float32) for rows in shape)
    found = (*oracle.seqsim(x, y), *oracle.cosines(x, y).ravel())
    expected = (*reference.seqsim(x, y), *reference.cosines(x, y).ravel())
    np.testing.assert_allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 3), (9, 9)])
def test_dtw_by_anti_diagonals_is_the_reference(shape):
    """Small integers tie, and their sums are exact."""
    distances = np.random.default_rng(3).integers(0, 3, shape).astype(np.float64)
    assert oracle.dtw_cost(distances) == reference.dtw_cost(distances)


def test_log_mel_is_ours():
    """A tone, whose far bins lie at the floor; in 4 s float32 transforms leave some 1e-5 of a decade."""
    waveform = np.sin(np.arange(64_000) * 0.3).astype(np.float32)
    found = np.asarray(log_mel.log_mel(jnp.asarray(waveform[None]), log_mel.filters(80)))[0]
    expected = oracle.log_mel(waveform, log_mel.filters(80))
    assert found.shape == expected.shape == (400, 80)
    near = expected > expected.max() - 1  # four decades below the loudest bin
    np.testing.assert_allclose(found[near], expected[near], atol=1e-3)


def test_encoder_states_are_ours(monkeypatch):
    sizes = bench_encoder.dimensions(24, 3, 2, positions=20)
    tensors = bench_encoder.random_tensors(sizes)
    mel = np.random.default_rng(0).standard_normal((40, 80)).astype(np.float32)
    graph, shapes = parameters.build(sizes, dtype=jnp.dtype("float32"), form="dense")
    weights = parameters.load(shapes, tensors.__getitem__, sizes.encoder_layers)
    found = jax.jit(lambda w, m: nnx.merge(graph, w)(m))(weights, jnp.asarray(mel[None]))[:, 0]
    expected = oracle.encoder_states(tensors, sizes, mel)
    assert expected.shape == (len(named_states.state_names(2)), 20, 24)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_losses_of_a_decoder_are_those_of_another_float64_one(float64_whisper):
    sizes = dataclasses.replace(
        bench_encoder.dimensions(24, 3, 1), decoder_layers=2, text_positions=12, vocabulary=37
    )
    tensors = bench_encoder.random_tensors(sizes, ("decoder.",))
    random = np.random.default_rng(0)
    states = random.standard_normal((9, 24)).astype(np.float32)
    tokens, targets = random.integers(0, 37, (2, 7)).astype(np.int32)
    logits, _ = float64_whisper(tensors, 3).decode(tokens, states.astype(np.float64), 2)
    chosen = np.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
    expected = np.log(np.exp(logits).sum(axis=1)) - chosen
    found = oracle.negative_log_likelihood(tensors, sizes, states, tokens, targets)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 16, 344])
def test_lengths_are_like_those_of_fleurs(count):
    frames = data.fleurs_frames(count, data.rng())
    seconds = frames / data.FRAMES_PER_SECOND
    assert 4 <= seconds.min() <= seconds.max() <= 30
    np.testing.assert_array_equal(frames, data.fleurs_frames(count, data.rng()))
    assert count < 16 or abs(seconds.mean() - 13) < 0.5


def test_padding_is_nan_and_nothing_else_is():
    made = data.batch(np.array([3, 1]), 2, data.rng())
    assert np.isnan(made.states).sum(axis=(1, 2)).tolist() == [0, 4]
    square = data.distances(np.array([3, 1]), np.array([2, 1, 2]), data.rng())
    used = np.isfinite(square).sum(axis=(2, 3))
    assert used.tolist() == [[6, 3, 6], [2, 1, 2]]

"""Rows of a decoder's step by the memory of a device, and the formulas beside XLA's count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from isogloss.engine.alignment import word_timestamps
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.decoding import beam_search, decoder_cost, generation
from isogloss.engine.whisper import encoder_program, parameters

GB = 10**9
SIZES = Dimensions(
    mels=80, features=64, heads=2, encoder_layers=1, decoder_layers=2, positions=1500, text_positions=100,
    vocabulary=500, ffn=256,
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "memory", "beams", "rows"),
    [
        ("base", 16, 1, 64),
        ("base", 16, 5, 64),
        ("base", 80, 5, 64),
        ("large-v2", 12, 1, 8),  # what JAX takes of 16 GB: 6 GB of weights, 0.68 GB a row
        ("large-v2", 16, 1, 8),
        ("large-v2", 16, 5, 4),  # 6 GB and 1.27 GB a row
        ("large-v2", 80, 1, 64),
        ("large-v2", 80, 5, 32),
        ("large-v2", 1, 1, 1),
        ("large-v2", None, 5, 64),
    ],
)
def test_rows_of_generation_follow_the_memory_of_a_device(published, model, memory, beams, rows):
    given = published(model), "bfloat16", memory and memory * GB, beams
    assert decoder_cost.rows_per_device("gpu", *given) == rows
    assert decoder_cost.rows_per_device("cpu", published(model), "float32", None, beams) == 8
    if memory and rows < 64:
        assert decoder_cost.step_bytes(published(model), "bfloat16", 2 * rows, beams) > memory * GB


@pytest.mark.parametrize(
    ("model", "heads", "memory", "rows"),
    [
        ("base", 8, 16, 16),
        ("large-v2", 23, 16, 16),
        ("large-v2", 23, 80, 16),
        ("large-v2", 320, 16, 4),  # no list of heads is known: all of the upper half
        ("large-v2", 320, 80, 16),
    ],
)
def test_rows_of_alignment_follow_the_memory_of_a_device(published, model, heads, memory, rows):
    given = published(model), "bfloat16", memory * GB, heads
    assert word_timestamps.rows_per_device("gpu", *given) == rows
    assert word_timestamps.rows_per_device("cpu", *given) == 1


def bytes_by_xla(run, *inputs):
    """Memory of a program: weights and inputs, and what it needs beside them."""
    _, shapes = parameters.build_decoder(SIZES, dtype=jnp.dtype("float32"))
    found = jax.jit(run).lower(shapes, *inputs).compile().memory_analysis()
    return found.argument_size_in_bytes + found.temp_size_in_bytes


def inputs(rows):
    shapes = ((rows, 1500, SIZES.features), np.float32), ((rows,), np.int32), ((rows,), np.bool_)
    return [jax.ShapeDtypeStruct(*shape) for shape in shapes]


@pytest.mark.deep
@pytest.mark.parametrize("beams", [1, 5])
def test_generation_takes_what_the_formula_says(beams):
    graph, _ = parameters.build_decoder(SIZES, dtype=jnp.dtype("float32"))
    given = graph, generation.Rules(eot=7), SIZES.vocabulary, 96
    run = generation.greedy(*given) if beams == 1 else beam_search.beam_search(*given, beams)
    tokens = [jax.ShapeDtypeStruct((8, 4), np.int32), jax.ShapeDtypeStruct((8,), np.int32)]
    formula = decoder_cost.step_bytes(SIZES, "float32", 8, beams) - encoder_program.weight_bytes(SIZES)
    assert 0.5 * formula < bytes_by_xla(run, *inputs(8), *tokens) < formula


@pytest.mark.deep
def test_alignment_takes_what_the_formula_says():
    graph, _ = parameters.build_decoder(SIZES, dtype=jnp.dtype("float32"))
    run = word_timestamps.program(graph, ((0, 1), (1, 0), (1, 1)), 7, 3, 1500)
    tokens = [jax.ShapeDtypeStruct(shape, np.int32) for shape in ((4, 100), (4,), (4,))]
    formula = word_timestamps.step_bytes(SIZES, "float32", 4, 3) - encoder_program.weight_bytes(SIZES)
    assert 0.3 * formula < bytes_by_xla(run, *inputs(4), *tokens) < formula

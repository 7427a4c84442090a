"""What runs on a TPU is lowered for one ahead of time: no TPU is needed, and none has been seen."""

import functools

import jax
import jax.numpy as jnp
import pytest

from isogloss.engine.whisper import encoder, encoder_program, parameters
from isogloss.kernels import dtw, frame_scores, pooling, seqsim

FRAMES = jax.ShapeDtypeStruct((3, 40, 16), jnp.bfloat16)
DISTANCES = jax.ShapeDtypeStruct((3, 40, 50), jnp.float32)
LENGTHS = jax.ShapeDtypeStruct((3,), jnp.int32)
PROGRAMS = {
    "seqsim": (seqsim.seqsim, (FRAMES, LENGTHS, FRAMES, LENGTHS)),
    "frame_scores": (
        functools.partial(frame_scores._xla_scores, maxima=True, with_dtw=True, per_cell=True),
        (FRAMES, LENGTHS, FRAMES, LENGTHS),
    ),
    "dtw_cost": (functools.partial(dtw.dtw_cost, normalise="path_length"), (DISTANCES, LENGTHS, LENGTHS)),
    "dtw_path": (dtw.dtw_path, (DISTANCES, LENGTHS, LENGTHS)),
    "meanpool": (pooling.meanpool, (FRAMES, LENGTHS)),
}


def check(program, arguments):
    exported = jax.export.export(jax.jit(program), platforms=["tpu"])(*arguments)
    assert exported.platforms == ("tpu",)
    assert "stablehlo" in exported.mlir_module()
    for result in exported.out_avals:
        assert result.dtype in (jnp.float32, jnp.float16, jnp.int32, jnp.bool_)


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernels(name):
    check(*PROGRAMS[name])


def test_extract(sizes):
    """Waveforms to states, in the formats and with the attention that a TPU gets."""
    precision = encoder_program.precision_for("tpu")
    assert precision.compute == "bfloat16"
    graph, shapes = parameters.build(sizes, dtype=jnp.dtype(precision.compute), form=precision.attention)
    states = encoder.state_names(sizes.encoder_layers)
    program = encoder_program.program(sizes, graph, states, "float16")
    waveform = jax.ShapeDtypeStruct((2, encoder_program.time_axis(sizes).window_samples), jnp.float32)
    check(program, (shapes, waveform, jax.ShapeDtypeStruct((2,), jnp.int32)))

"""What runs on a GPU or a TPU is lowered for one ahead of time: neither is needed."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from isogloss.engine.whisper import encoder_program, log_mel, named_states, parameters
from isogloss.kernels import dtw, frame_scores, operands, pair_table, pooling

U, N, V, M, D = 11, 40, 35, 48, 16
FRAMES = jax.ShapeDtypeStruct((U, N, D), jnp.float16)
OTHERS = jax.ShapeDtypeStruct((V, M, D), jnp.float16)
DISTANCES = jax.ShapeDtypeStruct((3, 40, 50), jnp.float32)
LENGTHS, FRAME_COUNTS, OTHER_COUNTS = (jax.ShapeDtypeStruct((k,), jnp.int32) for k in (3, U, V))
PROGRAMS = {
    "dtw_cost": (functools.partial(dtw.dtw_cost, normalise="path_length"), (DISTANCES, LENGTHS, LENGTHS)),
    "dtw_path": (dtw.dtw_path, (DISTANCES, LENGTHS, LENGTHS)),
    "meanpool": (pooling.meanpool, (FRAMES, FRAME_COUNTS)),
}
PRODUCT = re.compile(r"dot_general .*: \((tensor<\S+>), (tensor<\S+>)\) -> (tensor<\S+>)")


def check(program, arguments):
    exported = jax.export.export(jax.jit(program), platforms=["tpu"])(*arguments)
    assert exported.platforms == ("tpu",)
    assert "stablehlo" in exported.mlir_module()
    for result in exported.out_avals:
        assert result.dtype in (jnp.float32, jnp.float16, jnp.int32, jnp.bool_)


def products(platform, dtype, implementation="xla", *, centred=False):
    """Types of factors and result of all products in the grid's program, lowered for a platform."""
    form = operands.form_for(platform, dtype, implementation)

    def program(x, n, y, m, *means):
        a, b = means or (None, None)
        left, right = operands.operand(x, n, a, form=form), operands.operand(y, m, b, form=form)
        scores = pair_table.scores(
            left, right, maxima=True, with_dtw=True, per_cell=True, with_transport=True
        )
        return scores, pair_table.chosen_transport(left, right, jnp.zeros(32, int), jnp.zeros(32, int))

    given = [jax.ShapeDtypeStruct(side.shape, dtype) for side in (FRAMES, OTHERS)]
    means = [jax.ShapeDtypeStruct((D,), jnp.float32)] * (2 * centred)
    arguments = given[0], FRAME_COUNTS, given[1], OTHER_COUNTS, *means
    text = jax.export.export(jax.jit(program), platforms=[platform])(*arguments).mlir_module()
    assert text.count("stablehlo.dot") == len(PRODUCT.findall(text))
    return PRODUCT.findall(text)


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
@pytest.mark.parametrize("centred", [False, True])
def test_factors_have_16_bits_and_products_32(platform, centred):
    """One large product of 8 utterances with 128: of stored frames, or on a TPU four of their two halves.

    So for pairs that are chosen, 32 of them at a time. There is no other product.
    """
    short, times = ("bf16", 4) if platform == "tpu" else ("f16", 1)
    factors = f"tensor<8x{N}x{D}x{short}>", f"tensor<128x{M}x{D}x{short}>"
    large = f"tensor<8x{N}x128x{M}xf32>"
    chosen = f"tensor<32x{N}x{D}x{short}>", f"tensor<32x{M}x{D}x{short}>", f"tensor<32x{N}x{M}xf32>"
    found = products(platform, jnp.float16, centred=centred)
    assert sorted(found) == sorted([(*factors, large)] * times + [chosen] * times)


@pytest.mark.parametrize(("implementation", "count"), [("xla", 6), ("xla_bfloat16", 1)])
@pytest.mark.parametrize("centred", [False, True])
def test_float32_frames_are_split(implementation, count, centred):
    for platform in ("cuda", "tpu"):
        found = products(platform, jnp.float32, implementation, centred=centred)
        assert [tuple(kind.rsplit("x")[-1] for kind in types) for types in found] == [
            ("bf16>", "bf16>", "f32>")
        ] * (2 * count)


def test_frame_scores_take_the_form_of_the_platform(monkeypatch):
    """The entry with arrays, and that of the grid, whose operands say what they are."""
    form = {}
    monkeypatch.setattr(frame_scores.operands, "form_for", lambda *given: form.setdefault(given, "stored"))
    x, n = np.ones((1, 2, 3), np.float16), np.int32([2])
    frame_scores.frame_scores(x, n, x, n, measures=("seqsim",), implementation="xla")
    assert list(form) == [("cpu", jnp.float16, "xla")]


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernels(name):
    check(*PROGRAMS[name])


def test_extract(sizes):
    """Waveforms to states, in the formats and with the attention that a TPU gets."""
    precision = encoder_program.precision_for("tpu")
    assert precision.compute == "bfloat16"
    graph, shapes = parameters.build(sizes, dtype=jnp.dtype(precision.compute), form=precision.attention)
    states = named_states.state_names(sizes.encoder_layers)
    filters = log_mel.filters(sizes.mels)
    program = encoder_program.program(sizes, graph, states, "float16", filters)
    waveform = jax.ShapeDtypeStruct((2, encoder_program.time_axis(sizes).window_samples), jnp.float32)
    check(program, (shapes, waveform, jax.ShapeDtypeStruct((2,), jnp.int32)))

"""Encoder states of waveforms: the program that every device runs.

One compiled program of one shape goes from a waveform to the content of a shard: log-mel, encoder, choice of
states, cast to the stored dtype, NaN beyond an utterance's own frames. Its output takes
states * positions * features * 2 bytes a row: 12 MB for base, 131 MB for large-v2.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.checkpoints.dimensions import Dimensions, tensor_shapes
from isogloss.engine.runtime import devices
from isogloss.engine.runtime.devices import DataParallel, Program, Replicas, rows_that_fit, seconds_to_compile
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis
from isogloss.engine.whisper import attention, log_mel, named_states, parameters

SAMPLES_PER_FRAME = 2 * log_mel.HOP  # the second convolution halves the number of frames
FRAME_SECONDS = SAMPLES_PER_FRAME / SAMPLE_RATE
WINDOW_FRAMES = 1500  # 30 s, the `positions` of every published model
ROWS = 16  # of a step on an accelerator; matrices of 24,000 rows are large enough to fill it
SHARE_OF_PEAK = 0.4  # of a dense product's speed that extraction reaches, for estimates


@dataclasses.dataclass(frozen=True, kw_only=True)
class Precision:
    """Number formats and form of attention that suit a platform.

    Attributes:
      compute: dtype of products, "float32" or "bfloat16"; residual stream, softmax and norms stay float32.
      attention: one of attention.FORMS.
    """

    compute: str
    attention: str


def precision_for(platform: str, compute: str = "auto", form: str = "auto") -> Precision:
    """Precision of a platform: float32 products on CPU, else bfloat16, unless `compute` names one.

    Attention is in chunks on a CPU, else in blocks, unless `form` names one of attention.FORMS.

    Raises:
      Refusal: cuDNN on another platform than a GPU, or with float32 products.
    """
    usual = "float32" if platform == "cpu" else "bfloat16"
    chosen = usual if compute == "auto" else compute
    if form == "cudnn" and (platform != "gpu" or chosen == "float32"):
        raise Refusal(
            f"--attention=cudnn needs an NVIDIA GPU and 16-bit products; JAX sees {platform}, products are "
            f"{chosen}. Remedy: leave it out, or --compute=bfloat16 on a GPU"
        )
    blocked = "chunked" if platform == "cpu" else "blocks"
    return Precision(compute=chosen, attention=blocked if form == "auto" else form)


def rows_per_device(
    platform: str, dimensions: Dimensions, memory: int | None = None, form: str = "blocks"
) -> int:
    """Rows of a step: 1 on a CPU, whose cores it fills; ROWS on an accelerator, or fewer if memory is short.

    `memory` is in bytes, of one device, and None if the device doesn't report it; `form` is of attention.
    """
    most = 1 if platform == "cpu" else ROWS
    return rows_that_fit(most, lambda rows: step_bytes(dimensions, rows, form), memory)


def rows_here(checkpoint: Checkpoint, precision: Precision) -> int:
    """Rows of a step that suit the devices of this host."""
    here = jax.default_backend(), checkpoint.dimensions, devices.memory()
    return rows_per_device(*here, precision.attention)


def step_bytes(dimensions: Dimensions, rows: int, form: str) -> int:
    """Memory of a step on an accelerator, by formula: weights, states four times, one layer's scores."""
    states = 4 * (dimensions.encoder_layers + 2) * dimensions.positions * dimensions.features * 2
    scores = attention.score_bytes(form, dimensions.positions, dimensions.heads)
    return weight_bytes(dimensions) + rows * (states + scores)


def weight_bytes(dimensions: Dimensions) -> int:
    """Memory of the encoder's weights in float32."""
    shapes = tensor_shapes(dimensions)
    return 4 * sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("encoder."))


def time_axis(dimensions: Dimensions) -> TimeAxis:
    """Frames of 20 ms, and the window: 30 s for the published sizes."""
    return TimeAxis(samples_per_frame=SAMPLES_PER_FRAME, window_frames=dimensions.positions)


def neuron_sizes(dimensions: Dimensions) -> tuple[int, int]:
    """Blocks, and neurons of a block."""
    return dimensions.encoder_layers, dimensions.ffn


def program(
    dimensions: Dimensions,
    graph: nnx.GraphDef,
    states: Sequence[str],
    dtype: str,
    filters: Float32[np.ndarray, "bins mels"],
    *,
    with_neurons: bool = False,
) -> Program:
    """Program of (parameters, waveform, frames) that returns the chosen states and their peaks.

    With neurons, it also returns (utterance, block, `neurons.STATISTICS`, neuron) of the same pass, and their
    peaks by block.

    States are in `dtype`, NaN beyond each row's frames. A peak is the largest magnitude of a state in the
    frames in use, NaN if any value there isn't finite.
    """
    names = named_states.state_names(dimensions.encoder_layers)
    chosen = np.asarray([names.index(state) for state in states])

    def run(
        weights: nnx.State, waveform: Float[Array, "B samples"], frames: Int[Array, " B"]
    ) -> tuple[Array, ...]:
        mel = log_mel.log_mel(waveform, filters)
        model, more = nnx.merge(graph, weights), ()
        if with_neurons:
            own = jnp.arange(dimensions.positions)[None, :] < frames[:, None]
            every, statistics = model.with_neurons(mel, own)
            more = _stored_neurons(statistics, dtype)
        else:
            every = model(mel)
        # No gather where all states are wanted: it would copy them.
        wanted = every if len(chosen) == len(names) else every[chosen]
        used = (jnp.arange(dimensions.positions)[None, :] < frames[:, None])[None, :, :, None]
        sound = (jnp.isfinite(wanted) | ~used).all(axis=(2, 3))  # XLA's maximum may drop NaN on CPU
        largest = jnp.where(used, jnp.abs(wanted), 0.0).max(axis=(2, 3))
        peak = jnp.where(sound, largest, jnp.nan)
        # NaN, not 0, beyond the frames: a reader who forgets the lengths then notices.
        stored = jnp.where(used, wanted, jnp.nan).astype(dtype)
        return stored.transpose(1, 0, 2, 3), peak.T, *more

    return run


def _stored_neurons(
    statistics: Float[Array, "L B K F"], dtype: str
) -> tuple[Float[Array, "B L K F"], Float[Array, "B L"]]:
    """Neurons as they are stored, and the largest magnitude of each block, NaN if one isn't finite."""
    sound = jnp.isfinite(statistics).all(axis=(2, 3))
    peak = jnp.where(sound, jnp.abs(statistics).max(axis=(2, 3)), jnp.nan)
    return statistics.astype(dtype).transpose(1, 0, 2, 3), peak.T


def load(
    checkpoint: Checkpoint,
    states: Sequence[str],
    dtype: str,
    precision: Precision,
    *,
    rows_per_device: int,
    devices: int | None = None,
    with_neurons: bool = False,
) -> DataParallel:
    """The encoder on every device, to be called with (waveforms, frames)."""
    run, shapes, cast = _program(checkpoint.dimensions, tuple(states), dtype, precision, with_neurons)
    weights = cast(parameters.load(shapes, checkpoint.read, checkpoint.dimensions.encoder_layers))
    return DataParallel(run, Replicas(weights, devices), rows_per_device=rows_per_device)


@functools.lru_cache(maxsize=16)  # the same program again is compiled already
def _program(
    dimensions: Dimensions, states: tuple[str, ...], dtype: str, precision: Precision, with_neurons: bool
) -> tuple[Program, nnx.State, Callable[[nnx.State], nnx.State]]:
    """The program, shapes of its parameters as they are read, and their cast to the compute dtype."""
    compute = jnp.dtype(precision.compute)
    graph, shapes = parameters.build(dimensions, dtype=compute, form=precision.attention)
    filters = log_mel.filters(dimensions.mels)
    run = program(dimensions, graph, states, dtype, filters, with_neurons=with_neurons)
    if compute == jnp.float32:
        run = jax.default_matmul_precision("highest")(run)  # accelerators would round the factors
    return run, shapes, functools.partial(parameters.cast, dtype=compute)


def compile_seconds(
    dimensions: Dimensions,
    states: Sequence[str],
    dtype: str,
    precision: Precision,
    *,
    rows_per_device: int,
    with_neurons: bool = False,
) -> float:
    """Seconds that the program of `load` takes to compile here: it is compiled, without weights."""
    run, shapes, cast = _program(dimensions, tuple(states), dtype, precision, with_neurons)
    waves = jax.ShapeDtypeStruct((rows_per_device, time_axis(dimensions).window_samples), jnp.float32)
    frames = jax.ShapeDtypeStruct((rows_per_device,), jnp.int32)
    return seconds_to_compile(run, jax.eval_shape(cast, shapes), waves, frames)


def flops(dimensions: Dimensions) -> float:
    """Multiplications and additions of one window through stem and blocks, norms left out."""
    n, d = dimensions.positions, dimensions.features
    stem = 2 * 3 * (2 * n * dimensions.mels * d + n * d * d)
    block = 2 * n * (4 * d * d + 2 * d * dimensions.ffn) + 4 * n * n * d
    return float(stem + dimensions.encoder_layers * block)

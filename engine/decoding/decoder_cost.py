"""Cost of the decoder by formula: memory of a step, rows that a device holds, arithmetic of an utterance.

Nothing is allocated here. XLA's own figures on a CPU, for base and large-v2 in float32, are 10 to 20% below
`step_bytes`.
"""

import math

import jax.numpy as jnp

from isogloss.engine.checkpoints.dimensions import Dimensions, tensor_shapes
from isogloss.engine.runtime.devices import rows_that_fit
from isogloss.engine.whisper import encoder_program


def rows_per_device(
    platform: str, dimensions: Dimensions, compute: str, memory: int | None, beams: int = 1
) -> int:
    """Utterances of a step: many, to spread the cost of reading the weights, as far as memory allows.

    `memory` is in bytes, of one device, and None if the device doesn't report it.
    """
    most = 8 if platform == "cpu" else 64
    return rows_that_fit(most, lambda rows: step_bytes(dimensions, compute, rows, beams), memory)


def step_bytes(dimensions: Dimensions, compute: str, rows: int, beams: int = 1) -> int:
    """Memory of a step of generation in bytes, by formula: weights, keys and values, states, logits.

    Keys and values count twice: as computed, and as the loop carries them. The weights of the blocks count
    twice too, because the program slices them out of the stacked ones. States and logits count four times
    in float32, for intermediate results, and states once more: those of the next step wait on the device.
    """
    size, d = jnp.dtype(compute).itemsize, dimensions.features
    of_position = 2 * dimensions.decoder_layers * d * size  # key and value in every layer
    keys_values = of_position * (dimensions.positions + beams * dimensions.text_positions)
    states = 5 * 4 * dimensions.positions * d
    logits = 4 * 4 * beams * dimensions.vocabulary
    blocks = dimensions.decoder_layers * (8 * d * d + 2 * d * dimensions.ffn) * size
    return resident_bytes(dimensions, compute) + blocks + rows * (2 * keys_values + states + logits)


def resident_bytes(dimensions: Dimensions, compute: str) -> int:
    """Memory that a device always holds, in bytes: weights of the decoder and of the encoder."""
    shapes = tensor_shapes(dimensions).items()
    decoder = sum(math.prod(shape) for name, shape in shapes if name.startswith("decoder."))
    return decoder * jnp.dtype(compute).itemsize + encoder_program.weight_bytes(dimensions)


def flops(dimensions: Dimensions, frames: int, tokens: int, beams: int = 1) -> float:
    """Multiplications and additions of one utterance without norms; `tokens` counts prompt and text."""
    d, layers = dimensions.features, dimensions.decoder_layers
    memory = layers * 4 * frames * d * d  # keys and values of the frames, once
    # Six square matrices, the perceptron, and attention to all frames and on average to half of the tokens.
    token = layers * (12 * d * d + 4 * d * dimensions.ffn + 4 * d * (frames + tokens / 2))
    return float(memory + beams * tokens * (token + 2 * d * dimensions.vocabulary))

"""Loss of a decoder that is taught texts: negative log-likelihood of text and its end, and penalties.

The prompt isn't predicted. Means are over all tokens of a batch, as in transformers' cross entropy, so a
batch that is divided over devices is summed first and divided once.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isogloss.engine.whisper.decoder import Decoder


class TaughtRows(NamedTuple):
    """Rows of a batch; all fields are arrays with the rows first.

    A row of padding is a copy of another with weights 0: its attention must be finite.
    """

    states: Float[Array, "B N D"]  # of the encoder
    visible: Int[Array, " B"]  # frames that cross-attention sees, at least 1
    apply_norm: Bool[Array, " B"]  # whether the encoder's final LayerNorm is still to be applied
    tokens: Int[Array, "B T"]  # prompt and text
    targets: Int[Array, "B T"]  # the token after each
    weights: Float[Array, "B T"]  # 1 where the target is of the text or its end


def token_logits(decoder: Decoder, rows: TaughtRows) -> Float[Array, "B T V"]:
    """Logits after each token."""
    memory = decoder.enter(rows.states, rows.visible, rows.apply_norm)
    return decoder(rows.tokens, memory, rows.visible)


def negative_log_likelihood(
    logits: Float[Array, "B T V"], targets: Int[Array, "B T"], weights: Float[Array, "B T"]
) -> Float[Array, " B"]:
    """Negative log-likelihood of each row, in nats, summed over its tokens of weight 1."""
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jnp.sum((jax.nn.logsumexp(logits, axis=-1) - chosen) * weights, axis=-1)


def row_losses(decoder: Decoder, rows: TaughtRows) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
    """Negative log-likelihood of each row in nats, and its number of tokens, that of the end included."""
    logits = token_logits(decoder, rows)
    return negative_log_likelihood(logits, rows.targets, rows.weights), rows.weights.sum(axis=-1)


def quadratic(
    trained: Mapping[str, Array], start: Mapping[str, Array], weights: Mapping[str, Array] | None = None
) -> Float[Array, ""]:
    """Half the sum of weights * (trained - start)^2; all weights are 1 if none are given.

    With the diagonal of the Fisher information as weights this is the penalty of elastic weight consolidation
    (Kirkpatrick et al., arXiv 1612.00796, equation 3); without, L2 to the start.
    """
    total = jnp.zeros((), jnp.float32)
    for path, value in trained.items():
        squared = jnp.square(value - start[path])
        total += jnp.sum(squared if weights is None else weights[path] * squared)
    return 0.5 * total

"""Cross-attention scores of chosen heads and probabilities of given tokens, as a program of every device.

Teacher-forced, all tokens at once. Memory on the device: a block's scores (heads * T * N floats a row), those
asked for, and one row's logits (T * vocabulary floats).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from isogloss.engine.decoder import Heads
from isogloss.engine.generate import Program


def scores(graph: nnx.GraphDef, heads: Heads) -> Program:
    """Program of (parameters, states, visible, apply_norm, tokens): see `decode.Decoding.align`.

    It gives scores (B, A, T, N) and probabilities (B, T) of each token after those before it, NaN for the
    first. What follows a row's own tokens doesn't matter.
    """

    def run(
        weights: nnx.State,
        states: Float[Array, "B N D"],
        visible: Int[Array, " B"],
        apply_norm: Bool[Array, " B"],
        tokens: Int[Array, "B T"],
    ) -> tuple[Float[Array, "B A T N"], Float[Array, "B T"]]:
        decoder = nnx.merge(graph, weights)
        memory = decoder.enter(states, visible, apply_norm)
        stream, kept = decoder.teach(tokens, memory, visible, heads)

        def likely(row: tuple[Array, Array]) -> Float[Array, " T"]:
            x, said = row
            logits = decoder.logits(x[:-1])
            chosen = jnp.take_along_axis(logits, said[1:, None], axis=-1)[:, 0]
            known = jnp.exp(chosen - jax.nn.logsumexp(logits, axis=-1))
            return jnp.concatenate([jnp.full(1, jnp.nan), known])

        return kept, jax.lax.map(likely, (stream, tokens))

    return run

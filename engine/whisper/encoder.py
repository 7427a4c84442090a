"""Whisper's encoder in Flax NNX, which returns every state.

State 0 is the output of convolutions and positions, state k the residual stream after block k, and "final"
the last block's output after the final LayerNorm. The residual stream, LayerNorm and softmax are float32 for
any compute dtype. Blocks are stacked and scanned, so 32 layers compile as fast as 4.

Source: Radford et al., arXiv 2212.04356, section 2.2; exact (erf) GELU, LayerNorm epsilon 1e-5, no bias on
key projections.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.whisper import neurons
from isogloss.engine.whisper.attention import attention

Block = TypeVar("Block", bound=nnx.Module)


def layer_norm(features: int, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """Whisper's LayerNorm, float32."""
    # float32 whatever the products are: a mean over 1,280 features needs the bits.
    return nnx.LayerNorm(features, epsilon=1e-5, dtype=jnp.float32, rngs=rngs)


def gelu(x: Array) -> Array:
    """Exact GELU."""
    # JAX's default is the tanh form, off by 5e-4: Whisper was trained with the exact one.
    return jax.nn.gelu(x, approximate=False)


def stacked(layers: int, make: Callable[[nnx.Rngs], Block], rngs: nnx.Rngs) -> Block:
    """Blocks as one, whose parameters have a leading axis of `layers`."""
    return nnx.split_rngs(splits=layers)(nnx.vmap(make, in_axes=0, out_axes=0))(rngs)


class Projections(nnx.Module):
    """The four projections of an attention of the encoder or of the decoder."""

    def __init__(self, dimensions: Dimensions, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        """Parameters of one attention; the projection of the keys has no bias."""
        features = dimensions.features
        self.query = nnx.Linear(features, features, dtype=dtype, rngs=rngs)
        # A bias of the keys adds the same to all scores of a query, which the softmax removes.
        self.key = nnx.Linear(features, features, use_bias=False, dtype=dtype, rngs=rngs)
        self.value = nnx.Linear(features, features, dtype=dtype, rngs=rngs)
        self.out = nnx.Linear(features, features, dtype=dtype, rngs=rngs)
        self.heads = dimensions.heads


class FeedForward(nnx.Module):
    """The two-layer perceptron at the end of a block of either side, whose other parts are added to it."""

    def __init__(self, dimensions: Dimensions, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        """Parameters of one block."""
        width = dimensions.features
        self.mlp_norm = layer_norm(width, rngs)
        self.mlp_in = nnx.Linear(width, dimensions.ffn, dtype=dtype, rngs=rngs)
        self.mlp_out = nnx.Linear(dimensions.ffn, width, dtype=dtype, rngs=rngs)
        self.dtype = dtype

    def feed_forward(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The residual stream with the perceptron's output added, float32."""
        return self.added(x, self.hidden(x))

    def hidden(self, x: Float[Array, "B N D"]) -> Float[Array, "B N F"]:
        """Activations of the perceptron's neurons."""
        return gelu(self.mlp_in(self.mlp_norm(x).astype(self.dtype)))

    def added(self, x: Float[Array, "B N D"], hidden: Float[Array, "B N F"]) -> Float[Array, "B N D"]:
        """The residual stream with what the neurons put out added, float32."""
        return x + self.mlp_out(hidden).astype(jnp.float32)


class SelfAttention(Projections):
    """Multi-head self-attention over all frames of the window."""

    def __init__(self, dimensions: Dimensions, dtype: np.dtype, form: str, rngs: nnx.Rngs) -> None:
        """Projections, and one of attention.FORMS."""
        super().__init__(dimensions, dtype, rngs)
        self.form = form

    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """Attention output at every frame."""
        split = (*x.shape[:2], self.heads, x.shape[2] // self.heads)
        query, key, value = (project(x).reshape(split) for project in (self.query, self.key, self.value))
        return self.out(attention(query, key, value, self.form).reshape(x.shape))


class EncoderBlock(FeedForward):
    """Pre-norm residual block: attention, then a two-layer perceptron."""

    def __init__(self, dimensions: Dimensions, dtype: np.dtype, form: str, rngs: nnx.Rngs) -> None:
        """Parameters of one block."""
        super().__init__(dimensions, dtype, rngs)
        self.attention_norm = layer_norm(dimensions.features, rngs)
        self.attention = SelfAttention(dimensions, dtype, form, rngs)

    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The residual stream after this block, float32."""
        return self.feed_forward(self.attended(x))

    def attended(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The residual stream between this block's attention and its perceptron, float32."""
        return x + self.attention(self.attention_norm(x).astype(self.dtype)).astype(jnp.float32)

    def with_neurons(
        self, x: Float[Array, "B N D"], used: Bool[Array, "B N"]
    ) -> tuple[Float[Array, "B N D"], Float[Array, "B K F"]]:
        """The residual stream after this block, and statistics of its neurons over the frames in use."""
        x = self.attended(x)
        hidden = self.hidden(x)
        return self.added(x, hidden), neurons.statistics(hidden, used)


class Encoder(nnx.Module):
    """Convolutional stem, positions, blocks, final LayerNorm."""

    def __init__(self, dimensions: Dimensions, *, dtype: np.dtype, form: str, rngs: nnx.Rngs) -> None:
        """Random parameters, which `parameters.load` replaces; products and convolutions are of `dtype`."""
        width, layers = dimensions.features, dimensions.encoder_layers
        self.conv1 = nnx.Conv(dimensions.mels, width, 3, padding=1, dtype=dtype, rngs=rngs)
        self.conv2 = nnx.Conv(width, width, 3, strides=2, padding=1, dtype=dtype, rngs=rngs)
        self.positions = nnx.Param(jnp.zeros((dimensions.positions, width), jnp.float32))
        self.blocks = stacked(layers, lambda rngs: EncoderBlock(dimensions, dtype, form, rngs), rngs)
        self.norm = layer_norm(width, rngs)
        self.dtype = dtype

    def __call__(self, mel: Float[Array, "B T mels"]) -> Float[Array, "S B N D"]:
        """All encoder_layers + 2 states, float32, N = T / 2 frames of 20 ms.

        Args:
          mel: log-mel of a whole window, T = 2 * positions frames of 10 ms.
        """
        x = self._stem(mel)

        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
        def scanned(x: Array, block: EncoderBlock) -> tuple[Array, Array]:
            x = block(x)
            return x, x

        # One block is compiled for all layers.
        last, after_block = scanned(x, self.blocks)
        return jnp.concatenate([x[None], after_block, self.norm(last)[None]])

    def with_neurons(
        self, mel: Float[Array, "B T mels"], used: Bool[Array, "B N"]
    ) -> tuple[Float[Array, "S B N D"], Float[Array, "L B K F"]]:
        """All states, and `neurons.STATISTICS` of each block's neurons over the frames in use, float32."""
        x = self._stem(mel)

        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
        def scanned(x: Array, block: EncoderBlock) -> tuple[Array, tuple[Array, Array]]:
            x, statistics = block.with_neurons(x, used)
            return x, (x, statistics)

        last, (after_block, statistics) = scanned(x, self.blocks)
        return jnp.concatenate([x[None], after_block, self.norm(last)[None]]), statistics

    def _stem(self, mel: Float[Array, "B T mels"]) -> Float[Array, "B N D"]:
        """State 0: what enters the first block."""
        x = gelu(self.conv1(mel.astype(self.dtype)))
        # From here on the stream is float32: in bfloat16, 32 blocks of additions would lose the small ones.
        return gelu(self.conv2(x)).astype(jnp.float32) + self.positions[None]

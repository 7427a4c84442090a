"""Whisper's decoder in Flax NNX: teacher-forced logits, cross-attention scores, cached steps.

One block serves all: it writes T new keys into a cache and attends to the cache so far; T tokens are a whole
text, a prompt or a single token. Training takes `taught`, which has neither cache nor scores. The residual
stream, LayerNorm, softmax and logits are float32 for any compute dtype. `exit_norm` is the ENCODER's final
LayerNorm: with it any encoder state can be the memory.

Source: Radford et al., arXiv 2212.04356, section 2.2; the output projection is the token embedding.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper.attention import masked_attention
from isogloss.engine.whisper.encoder import FeedForward, Projections, layer_norm, stacked

KeysValues = tuple[Array, Array]  # each (rows, heads, positions, features / heads)
Heads = Sequence[tuple[int, int]]  # (layer, head), both from 0


class Attention(Projections):
    """Masked attention; keys and values may come from the tokens themselves or from the memory."""

    def _split(self, x: Float[Array, "B T D"]) -> Float[Array, "B H T K"]:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(0, 2, 1, 3)

    def keys_values(self, x: Float[Array, "B N D"]) -> KeysValues:
        """Keys and values of every position of x."""
        return self._split(self.key(x)), self._split(self.value(x))

    def mix(
        self,
        x: Float[Array, "B T D"],
        known: KeysValues,
        visible: Bool[Array, "#B #T N"],
    ) -> tuple[Float[Array, "B T D"], Float[Array, "B H T N"]]:
        """Attention output at every position of x, and the scores, -inf where masked."""
        mixed, scores = masked_attention(self._split(self.query(x)), *known, visible)
        return self.out(mixed.transpose(0, 2, 1, 3).reshape(x.shape)), scores

    def read(
        self, x: Float[Array, "B T D"], states: Float[Array, "B N D"], visible: Bool[Array, "#B #T N"]
    ) -> Float[Array, "B T D"]:
        """Output of `mix` for keys and values of the states, which aren't made.

        query . (state W) is (query W^T) . state, and weights sum to 1, so that the mean of the values is the
        mean of the states times W, and the bias. Products with the states then take T / K of the operations
        of keys, values and their gradients: T tokens, K features of a head.
        """
        by_head = (x.shape[2], self.heads, -1)
        key, value = (p.kernel[...].astype(x.dtype).reshape(by_head) for p in (self.key, self.value))
        query = self._split(self.query(x))
        query = query * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
        sought = jnp.einsum("bhtk,dhk->bhtd", query, key)
        scores = jnp.einsum("bhtd,bnd->bhtn", sought, states, preferred_element_type=jnp.float32)
        weights = jax.nn.softmax(jnp.where(visible[:, None], scores, -jnp.inf), axis=-1)
        found = jnp.einsum("bhtn,bnd->bhtd", weights.astype(states.dtype), states)
        mixed = jnp.einsum("bhtd,dhk->bthk", found, value).reshape(x.shape)
        assert self.value.bias is not None  # the projection of the keys alone has none
        return self.out(mixed + self.value.bias[...].astype(x.dtype)[None, None])


class DecoderBlock(FeedForward):
    """Pre-norm residual block: causal self-attention, cross-attention, two-layer perceptron."""

    def __init__(self, dimensions: Dimensions, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        """Parameters of one block."""
        super().__init__(dimensions, dtype, rngs)
        self.attention_norm = layer_norm(dimensions.features, rngs)
        self.attention = Attention(dimensions, dtype, rngs)
        self.cross_norm = layer_norm(dimensions.features, rngs)
        self.cross = Attention(dimensions, dtype, rngs)

    def __call__(
        self,
        x: Float[Array, "R T D"],
        past: KeysValues,
        position: int | Int[Array, ""],
        memory: KeysValues,
        visible: Int[Array, " B"],
    ) -> tuple[Float[Array, "R T D"], KeysValues, Float[Array, "B H WT N"]]:
        """The residual stream, the cache with T more positions, scores of the cross-attention.

        Args:
          x: residual stream of T tokens of R = B * W rows: W beams of each of B utterances, side by side.
          past: cached keys and values of the rows' tokens, S positions; those from `position` on are ignored.
          position: of the first of the T tokens.
          memory: keys and values of the B utterances.
          visible: frames of the memory that may be attended to.
        """
        keys, values = self.attention.keys_values(normed := self.attention_norm(x).astype(self.dtype))
        past = (_written(past[0], keys, position), _written(past[1], values, position))
        tokens = position + jnp.arange(x.shape[1])
        # The cache is written before it is read, so a token sees itself; later positions hold old content,
        # which the mask hides.
        causal = jnp.arange(past[0].shape[2])[None, None, :] <= tokens[None, :, None]
        mixed, _ = self.attention.mix(normed, past, causal)
        x = x + mixed.astype(jnp.float32)

        # The beams of an utterance are queries of one product, so its memory is stored and read once.
        by_utterance = self.cross_norm(x).astype(self.dtype).reshape(len(visible), -1, x.shape[2])
        in_use = jnp.arange(memory[0].shape[2])[None, None, :] < visible[:, None, None]
        mixed, scores = self.cross.mix(by_utterance, memory, in_use)
        x = x + mixed.reshape(x.shape).astype(jnp.float32)
        return self.feed_forward(x), past, scores

    def taught(
        self, x: Float[Array, "B T D"], states: Float[Array, "B N D"], visible: Int[Array, " B"]
    ) -> Float[Array, "B T D"]:
        """The residual stream of whole texts, for training: neither cache nor scores leave the block.

        Args:
          x: residual stream of T tokens.
          states: of the memory, in the compute dtype.
          visible: frames of the memory that may be attended to.
        """
        keys_values = self.attention.keys_values(normed := self.attention_norm(x).astype(self.dtype))
        causal = jnp.tril(jnp.ones((1, x.shape[1], x.shape[1]), bool))
        x = x + self.attention.mix(normed, keys_values, causal)[0].astype(jnp.float32)

        normed = self.cross_norm(x).astype(self.dtype)
        in_use = jnp.arange(states.shape[1])[None, None, :] < visible[:, None, None]
        # A head's features are 64 in all of Whisper: beyond as many tokens keys and values take less.
        if x.shape[1] * self.cross.heads <= x.shape[2]:
            mixed = self.cross.read(normed, states, in_use)
        else:
            mixed, _ = self.cross.mix(normed, self.cross.keys_values(states), in_use)
        return self.feed_forward(x + mixed.astype(jnp.float32))


def _written(cache: Float[Array, "R H S K"], new: Array, position: int | Int[Array, ""]) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(cache, new.astype(cache.dtype), position, axis=2)


class Decoder(nnx.Module):
    """Token embedding, learned positions, blocks, final LayerNorm; the embedding again gives logits."""

    def __init__(self, dimensions: Dimensions, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        """Random or zero parameters, which `parameters.load` replaces; products are of `dtype`."""
        width, layers = dimensions.features, dimensions.decoder_layers
        self.embedding = nnx.Param(jnp.zeros((dimensions.vocabulary, width), jnp.float32))
        self.positions = nnx.Param(jnp.zeros((dimensions.text_positions, width), jnp.float32))
        self.blocks = stacked(layers, lambda rngs: DecoderBlock(dimensions, dtype, rngs), rngs)
        self.norm = layer_norm(width, rngs)
        self.exit_norm = layer_norm(width, rngs)
        self.layers = layers
        self.heads = dimensions.heads
        self.dtype = dtype

    def enter(
        self,
        states: Float[Array, "B N D"],
        visible: Int[Array, " B"],
        apply_norm: Bool[Array, " B"],
    ) -> Float[Array, "B N D"]:
        """Memory made of rows of encoder states: float32, 0 beyond the visible frames.

        Args:
          states: of any float type; frames that aren't visible may hold NaN.
          visible: frames in use.
          apply_norm: whether the encoder's final LayerNorm is still to be applied; False for state "final".
        """
        states = states.astype(jnp.float32)
        entered = jnp.where(apply_norm[:, None, None], self.exit_norm(states), states)
        # Masked frames have weight 0 in the attention, but 0 * NaN is NaN, so their values must be finite.
        used = jnp.arange(states.shape[1])[None, :] < visible[:, None]
        return jnp.where(used[:, :, None], entered, 0.0)

    def __call__(
        self,
        tokens: Int[Array, "B T"],
        memory: Float[Array, "B N D"],
        visible: Int[Array, " B"],
    ) -> Float[Array, "B T V"]:
        """Teacher-forced logits, differentiable: those at t predict token t + 1.

        Args:
          tokens: a whole text from the prompt on; tokens after a row's own have no effect.
          memory: from `enter`.
          visible: frames of it that cross-attention may attend to, at least 1.
        """
        found, table = embedded(self.embedding[...], tokens)
        x, entering = self._placed(found, 0), memory.astype(self.dtype)
        # One by one, because a scan copies what each block keeps for the backward pass, there and back.
        for block in self.unstacked():
            x = block.taught(x, entering, visible)
        return self._logits(x, table)

    def teach(
        self,
        tokens: Int[Array, "B T"],
        memory: Float[Array, "B N D"],
        visible: Int[Array, " B"],
        heads: Heads,
    ) -> tuple[Float[Array, "B T D"], Float[Array, "B A T N"]]:
        """Residual stream for `logits`, and cross-attention scores of the chosen heads in their order.

        Scores are float32, scaled, before the softmax, and -inf where not visible. Blocks are scanned, and
        only their chosen heads are kept: memory holds the scores of one block and of the A chosen heads.
        """
        batch, length = tokens.shape
        # A scan runs the same code for every block, so all are given equally many heads to keep.
        every, slots = _by_layer(heads, self.layers, self.heads)
        kept = jnp.zeros((batch, len(heads), length, memory.shape[1]), jnp.float32)
        nothing = jnp.zeros((batch, self.heads, length, memory.shape[2] // self.heads), self.dtype)
        entering = memory.astype(self.dtype)  # once, not in every block

        @nnx.scan(in_axes=(nnx.Carry, 0, 0, 0), out_axes=nnx.Carry)
        def scanned(
            carry: tuple[Array, Array], block: DecoderBlock, head: Int[Array, " C"], slot: Int[Array, " C"]
        ) -> tuple[Array, Array]:
            x, kept = carry
            keys_values = block.cross.keys_values(entering)
            x, _, scores = block(x, (nothing, nothing), 0, keys_values, visible)
            # Every block writes as many slots as the one with most heads; "drop" discards the surplus.
            return x, kept.at[:, slot].set(scores[:, head], mode="drop")

        x, kept = scanned((self.embed(tokens, 0), kept), self.blocks, jnp.asarray(every), jnp.asarray(slots))
        return x, kept

    def embed(self, tokens: Int[Array, "R T"], position: int | Int[Array, ""]) -> Float[Array, "R T D"]:
        """The residual stream that enters the first block."""
        return self._placed(self.embedding[...][tokens], position)

    def _placed(self, found: Float[Array, "R T D"], position: int | Int[Array, ""]) -> Float[Array, "R T D"]:
        place = jax.lax.dynamic_slice_in_dim(self.positions[...], position, found.shape[1])
        return found.astype(jnp.float32) + place[None]

    def logits(self, x: Float[Array, "*rows D"]) -> Float[Array, "*rows V"]:
        """Logits over the vocabulary from the residual stream after the last block."""
        return self._logits(x, self.embedding[...])

    def _logits(self, x: Float[Array, "*rows D"], table: Float[Array, "V D"]) -> Float[Array, "*rows V"]:
        # One axis of rows, because XLA copies what it sums over several: here the gradient of the logits.
        normed = self.norm(x).astype(self.dtype).reshape(-1, x.shape[-1])
        logits = jnp.einsum("rd,vd->rv", normed, table, preferred_element_type=jnp.float32)
        return logits.reshape(*x.shape[:-1], table.shape[0])

    def probabilities(
        self, stream: Float[Array, "B T D"], tokens: Int[Array, "B T"], among: int
    ) -> Float[Array, "B T"]:
        """Probability of each token given those before it, among ids below `among`; NaN for a row's first.

        Computed row by row, because logits take T * vocabulary floats.

        Args:
          stream: from `teach`.
          tokens: those given to `teach`; an id of `among` or more is read as the last below it.
          among: ids that share the probability.
        """

        def of_row(row: tuple[Array, Array]) -> Float[Array, " T"]:
            x, own = row
            logits = self.logits(x[:-1])[:, :among]
            # Softmax of the chosen ids alone: T probabilities instead of T * vocabulary.
            chosen = jnp.take_along_axis(logits, jnp.minimum(own[1:, None], among - 1), axis=-1)[:, 0]
            known = jnp.exp(chosen - jax.nn.logsumexp(logits, axis=-1))
            return jnp.concatenate([jnp.full(1, jnp.nan), known])

        return jax.lax.map(of_row, (stream, tokens))

    def unstacked(self) -> tuple[DecoderBlock, ...]:
        """The blocks one by one, for loops that would copy a slice of stacked weights at every step."""
        graph, stacked = nnx.split(self.blocks)
        leaves, tree = jax.tree.flatten(stacked)
        # Gradients of a split are put together once, those of slices by an addition each.
        parts = zip(*(jax.lax.split(leaf, (1,) * self.layers) for leaf in leaves), strict=True)
        return tuple(nnx.merge(graph, jax.tree.unflatten(tree, [leaf[0] for leaf in part])) for part in parts)


@jax.custom_vjp
def embedded(
    table: Float[Array, "V D"], tokens: Int[Array, "B T"]
) -> tuple[Float[Array, "B T D"], Float[Array, "V D"]]:
    """Embeddings of tokens, and the table, which gives the logits, too.

    The table's two gradients are then one array: those of the embeddings are added to that of the logits,
    where each alone would take the table's memory.
    """
    return table[tokens], table


def _embedded_forward(
    table: Float[Array, "V D"], tokens: Int[Array, "B T"]
) -> tuple[tuple[Array, Array], Int[Array, "B T"]]:
    return embedded(table, tokens), tokens


def _embedded_backward(tokens: Int[Array, "B T"], gradients: tuple[Array, Array]) -> tuple[Array, None]:
    of_embeddings, of_table = gradients
    return of_table.at[tokens].add(of_embeddings), None


embedded.defvjp(_embedded_forward, _embedded_backward)


def _by_layer(heads: Heads, layers: int, of: int) -> tuple[Int[np.ndarray, "L C"], Int[np.ndarray, "L C"]]:
    """Chosen heads of each layer, padded to equal numbers and their indices in `heads`; padding is beyond."""
    wrong = [pair for pair in heads if not (0 <= pair[0] < layers and 0 <= pair[1] < of)]
    if wrong:
        raise Refusal(f"heads must be (layer < {layers}, head < {of}), both from 0, got {wrong}")
    wanted = [[slot for slot, (own, _) in enumerate(heads) if own == layer] for layer in range(layers)]
    most = max(map(len, wanted))
    head = np.zeros((layers, most), np.int32)
    place = np.full((layers, most), len(heads), np.int32)
    for layer, slots in enumerate(wanted):
        head[layer, : len(slots)] = [heads[slot][1] for slot in slots]
        place[layer, : len(slots)] = slots
    return head, place

"""Greedy generation and language detection, as programs that every device runs.

A program has one shape: the numbers of rows, of frames and of tokens at most are fixed. Keys and values of
tokens are in a static cache, those of the frames are computed once. The loop stops when all rows have ended;
an ended row doesn't change any more, so results don't depend on the other rows of a batch. A row whose
logits aren't finite ends at once with log-probability NaN. Ties go to the smaller id.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from isogloss.engine.runtime.devices import Program
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper.decoder import Decoder, DecoderBlock, KeysValues
from isogloss.engine.whisper.encoder_program import FRAME_SECONDS
from isogloss.engine.whisper.tokenizer import Tokens

TOKENS_PER_SECOND = 25.0
"""Most tokens generated for a second of audio.

Read speech in Latin script has 3 to 8 tokens a second. Scripts that Whisper's vocabulary spells byte by byte
need several times that, up to the 448 tokens that its decoder holds.
"""
TOKENS_MORE = 16  # allowed beyond that, for recordings of any duration
Caches = tuple[KeysValues, ...]  # of tokens, layer by layer


def token_limit(frames: int, room: int) -> int:
    """Most new tokens of a recording, eot included; `room` is the number of positions after the prompt."""
    seconds = frames * FRAME_SECONDS
    return max(1, min(room, TOKENS_MORE + math.ceil(seconds * TOKENS_PER_SECOND)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """Tokens that may be generated.

    Attributes:
      eot: token that ends a text.
      suppressed: tokens never chosen.
      suppressed_at_begin: tokens not chosen first.
    """

    eot: int
    suppressed: tuple[int, ...] = ()
    suppressed_at_begin: tuple[int, ...] = ()

    @classmethod
    def of(cls, tokens: Tokens) -> "Rules":
        """The rules of a vocabulary."""
        return cls(
            eot=tokens.eot, suppressed=tokens.suppressed, suppressed_at_begin=tokens.suppressed_at_begin
        )

    def allowed(self, vocabulary: int) -> tuple[Bool[np.ndarray, " V"], Bool[np.ndarray, " V"]]:
        """Masks of the tokens that may be chosen first, and of those that may be chosen later."""
        outside = [id for id in (self.eot, *self.suppressed, *self.suppressed_at_begin) if id >= vocabulary]
        if outside:
            rule = f"tokens of the rules must be among the model's {vocabulary}"
            raise Refusal(f"{rule}, got {outside}. Remedy: give the tokenizer of this model.")
        later = np.ones(vocabulary, bool)
        later[list(self.suppressed)] = False
        first = later.copy()
        first[list(self.suppressed_at_begin)] = False
        return first, later


class DecoderMemory(NamedTuple):
    """Arrays that don't change while the tokens of a batch of utterances are generated."""

    decoder: Decoder
    blocks: tuple[DecoderBlock, ...]
    keys_values: tuple[KeysValues, ...]  # of the utterances, layer by layer
    visible: Int[Array, " B"]


def prepare_memory(
    decoder: Decoder,
    states: Float[Array, "B N D"],
    visible: Int[Array, " B"],
    apply_norm: Bool[Array, " B"],
) -> DecoderMemory:
    """Keys and values of the memory, computed once; weights of the blocks, sliced once."""
    entered = decoder.enter(states, visible, apply_norm).astype(decoder.dtype)
    # Sliced out of the stack here: inside the loop over tokens XLA would copy the slices at every step.
    blocks = decoder.unstacked()
    keys_values = tuple(block.cross.keys_values(entered) for block in blocks)
    return DecoderMemory(decoder, blocks, keys_values, visible)


def program(graph: nnx.GraphDef, decode: Callable[..., tuple[Array, ...]]) -> Program:
    """Program of (parameters, states, visible, apply_norm, ...) that calls `decode` with a memory of them.

    What follows `apply_norm` is passed on as it is.
    """

    def run(
        weights: nnx.State,
        states: Float[Array, "B N D"],
        visible: Int[Array, " B"],
        apply_norm: Bool[Array, " B"],
        *inputs: Array,
    ) -> tuple[Array, ...]:
        return decode(prepare_memory(nnx.merge(graph, weights), states, visible, apply_norm), *inputs)

    return run


def empty_caches(memory: DecoderMemory, rows: int, positions: int) -> Caches:
    """Caches for `positions` tokens of each row."""
    _, heads, _, width = memory.keys_values[0][0].shape
    nothing = jnp.zeros((rows, heads, positions, width), memory.decoder.dtype)
    return tuple((nothing, nothing) for _ in memory.blocks)


def advance(
    memory: DecoderMemory,
    tokens: Int[Array, "R T"],
    position: int | Int[Array, ""],
    caches: Caches,
) -> tuple[Float[Array, "R V"], Caches]:
    """Logits after the last of T further tokens, and the caches with them; R = B * beams."""
    x = memory.decoder.embed(tokens, position)
    grown: list[KeysValues] = []
    for block, past, keys_values in zip(memory.blocks, caches, memory.keys_values, strict=True):
        x, now, _ = block(x, past, position, keys_values, memory.visible)
        grown.append(now)
    return memory.decoder.logits(x[:, -1]), tuple(grown)


class Generated(NamedTuple):
    """Texts of the rows so far."""

    tokens: Int[Array, "B T"]  # eot after the text
    lengths: Int[Array, " B"]
    log_probability: Float[Array, " B"]
    cut: Bool[Array, " B"]
    finished: Bool[Array, " B"]


def _append_token(
    text: Generated,
    logits: Float[Array, "B V"],
    allowed: Bool[Array, " V"],
    count: Int[Array, ""],
    limit: Int[Array, " B"],
    eot: int,
) -> Generated:
    """Texts with one more token in every row that isn't finished."""
    # Barred tokens can't be chosen, but count in the normalising sum, as in beam search: both report the
    # model's own log-probability of the text.
    token = jnp.argmax(jnp.where(allowed[None, :], logits, -jnp.inf), axis=-1).astype(jnp.int32)
    gain = jnp.take_along_axis(logits, token[:, None], axis=-1)[:, 0] - jax.nn.logsumexp(logits, axis=-1)
    running = ~text.finished
    appends = running & (token != eot) & jnp.isfinite(gain)
    full = count + 1 >= limit
    # Finished rows still pass through the loop; they write eot over eot and add nothing.
    return Generated(
        tokens=text.tokens.at[:, count].set(jnp.where(appends, token, eot)),
        lengths=text.lengths + appends.astype(jnp.int32),
        log_probability=text.log_probability + jnp.where(running, gain, 0.0),
        cut=text.cut | (appends & full),
        finished=text.finished | ~appends | full,
    )


@functools.lru_cache(maxsize=16)  # a program that is made again is compiled already
def greedy(graph: nnx.GraphDef, rules: Rules, vocabulary: int, longest: int) -> Program:
    """Program of (parameters, states, visible, apply_norm, prompt, limit) that takes the likeliest token.

    `limit` is the most new tokens of a row, eot included: at most `longest`, and 0 for rows of padding. The
    program returns tokens, padded with eot; the number of them before eot; the sum of the log-probabilities
    of the tokens, eot included, before suppression; and whether the row reached its limit before eot.
    """
    first, later = rules.allowed(vocabulary)

    def decode(
        memory: DecoderMemory, prompt: Int[Array, "B P"], limit: Int[Array, " B"]
    ) -> tuple[Int[Array, "B T"], Int[Array, " B"], Float[Array, " B"], Bool[Array, " B"]]:
        rows, start = prompt.shape
        logits, caches = advance(memory, prompt, 0, empty_caches(memory, rows, start + longest))
        text = Generated(
            tokens=jnp.full((rows, longest), rules.eot, jnp.int32),
            lengths=jnp.zeros(rows, jnp.int32),
            log_probability=jnp.zeros(rows, jnp.float32),
            cut=jnp.zeros(rows, bool),
            finished=limit < 1,
        )
        text = _append_token(text, logits, jnp.asarray(first), jnp.int32(0), limit, rules.eot)

        def more(carry: tuple[Array, Generated, Caches]) -> Array:
            return (carry[0] < longest) & ~carry[1].finished.all()

        def step(carry: tuple[Array, Generated, Caches]) -> tuple[Array, Generated, Caches]:
            count, text, caches = carry
            # The newest token isn't in the caches yet: a step reads it and predicts the one after it.
            last = jax.lax.dynamic_slice_in_dim(text.tokens, count - 1, 1, axis=1)
            logits, caches = advance(memory, last, start + count - 1, caches)
            return count + 1, _append_token(text, logits, jnp.asarray(later), count, limit, rules.eot), caches

        _, text, _ = jax.lax.while_loop(more, step, (jnp.int32(1), text, caches))
        return text.tokens, text.lengths, text.log_probability, text.cut

    return program(graph, decode)


@functools.lru_cache(maxsize=16)
def detection(graph: nnx.GraphDef, sot: int, languages: tuple[int, ...]) -> Program:
    """Program of (parameters, states, visible, apply_norm) that returns the language's token and probability.

    As in openai/whisper, the probabilities are those after the start token, renormalised over `languages`.
    """
    ids = np.asarray(languages, np.int32)

    def decode(memory: DecoderMemory) -> tuple[Int[Array, " B"], Float[Array, " B"]]:
        rows = len(memory.visible)
        start = jnp.full((rows, 1), sot, jnp.int32)
        logits, _ = advance(memory, start, 0, empty_caches(memory, rows, 1))
        among = jax.nn.softmax(logits[:, ids], axis=-1)
        best = jnp.argmax(among, axis=-1)
        return jnp.asarray(ids)[best], jnp.take_along_axis(among, best[:, None], axis=-1)[:, 0]

    return program(graph, decode)

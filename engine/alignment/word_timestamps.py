"""Frames of each word of a text: the decoder reads the text, its attention is aligned with the frames.

One program per shape does it all on the device: encoder states in, the first frame and the probability of
each token out. Memory there: scores of the alignment heads, heads * tokens * frames floats a row (base 8,
large-v2 23 heads), and one row's logits. A word's frames are those before the next word's first; punctuation
attached to a word has none in it, and where tokens share a frame it belongs to the last.

Source: openai/whisper, timing.py, find_alignment.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int, Int32

from isogloss.engine.alignment.word_splitting import Piece
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.decoding import decoder_cost, decoder_program
from isogloss.engine.decoding.decoder_program import Counts, Decoding, Flags, States
from isogloss.engine.runtime.devices import Program, rows_that_fit
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper.decoder import Heads
from isogloss.kernels import alignment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """A text's tokens in time.

    Attributes:
      first: frame at which each of the n tokens begins, then the one at which the text has ended.
      probability: of each token after those before it, among tokens of text.
      tied: whether another warping path is as good as the one taken, see `alignment.first_frames`.
    """

    first: Int32[np.ndarray, " n1"]
    probability: Float32[np.ndarray, " n"]
    tied: bool

    @property
    def sound(self) -> bool:
        """Whether there is a path; none where attention isn't finite."""
        return bool((self.first >= 0).all())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """A word and its frames.

    Attributes:
      text: with the spaces and the punctuation that belong to it.
      tokens: with those of the punctuation.
      first_frame: of the word.
      last_frame: the last that is the word's; the first again where none is.
      probability: mean over the word's own tokens.
      empty: whether no frame is the word's own.
    """

    text: str
    tokens: tuple[int, ...]
    first_frame: int
    last_frame: int
    probability: float
    empty: bool

    @property
    def centre_frame(self) -> int:
        """The frame in the middle, the earlier one of two."""
        return (self.first_frame + self.last_frame) // 2


def program(graph: nnx.GraphDef, heads: Heads, eot: int, skip: int, columns: int) -> Program:
    """Program of (parameters, states, visible, apply_norm, tokens, lengths, frames).

    It gives first (B, T - skip) and tied (B), see `alignment.first_frames`, and the probability (B, T) of
    each token after those before it, among ids below `eot`; NaN for the first.

    Args:
      graph: of the decoder.
      heads: (layer, head) of the decoder.
      eot: end of text; what comes after it in the vocabulary isn't text.
      skip: tokens at the front that aren't aligned: the prompt but its last, which foretells the text.
      columns: at least the frames of any row.
    """

    def run(
        weights: nnx.State,
        states: Float[Array, "B N D"],
        visible: Int[Array, " B"],
        apply_norm: Bool[Array, " B"],
        tokens: Int[Array, "B T"],
        lengths: Int[Array, " B"],
        frames: Int[Array, " B"],
    ) -> tuple[Int[Array, "B R"], Bool[Array, " B"], Float[Array, "B T"]]:
        decoder = nnx.merge(graph, weights)
        memory = decoder.enter(states, visible, apply_norm)
        stream, scores = decoder.teach(tokens, memory, visible, heads)
        matrix = alignment.attention_matrix(scores[..., :columns], lengths, frames)
        # The end of text takes part in the standardisation, its own row foretells nothing.
        first, tied = alignment.first_frames(matrix, lengths - 1, frames, skip=skip)
        return first, tied, decoder.probabilities(stream, tokens, eot)

    return run


def rows_per_device(
    platform: str, dimensions: Dimensions, compute: str, memory: int | None, heads: int
) -> int:
    """Utterances of a step: one fills a CPU's cores, an accelerator takes up to sixteen.

    Args:
      platform: of JAX.
      dimensions: of the model.
      compute: dtype of products.
      memory: bytes of a device, None if it doesn't say.
      heads: number of alignment heads.
    """
    most = 1 if platform == "cpu" else 16
    return rows_that_fit(most, lambda rows: step_bytes(dimensions, compute, rows, heads), memory)


def step_bytes(dimensions: Dimensions, compute: str, rows: int, heads: int) -> int:
    """Memory of a step, by formula: weights, scores of a text by frames, one row's logits.

    Scores are there for the alignment heads and for one layer, twice each, and ten times for one head, whose
    attention is sharpened and smoothed.
    """
    text = dimensions.text_positions
    scores = 4 * text * dimensions.positions * (2 * heads + 2 * dimensions.heads + 10)
    streams = 4 * dimensions.features * (4 * dimensions.positions + 4 * text)
    logits = 2 * 4 * text * dimensions.vocabulary
    return decoder_cost.resident_bytes(dimensions, compute) + logits + rows * (scores + streams)


def align(
    decoding: Decoding,
    heads: Heads,
    states: States,
    visible: Counts,
    apply_norm: Flags,
    frames: Counts,
    prompts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[int]],
) -> list[Timed]:
    """Frames of the tokens of each row.

    Args:
      decoding: the decoder.
      heads: (layer, head), see `alignment_heads.choose`.
      states: of the rows.
      visible: frames that cross-attention may see.
      apply_norm: whether the encoder's final LayerNorm is still to be applied.
      frames: of real audio, 1 <= frames <= visible; the text is aligned with them.
      prompts: such as `Tokens.prompt`, all of one length.
      texts: tokens of each row, at least one.

    Raises:
      Refusal: a number is out of range, or prompt, text and end don't fit the decoder.
    """
    decoding.check(states, visible)
    most, eot = decoding.sizes.text_positions, decoding.tokens.eot
    lengths = np.asarray([len(p) + len(t) + 1 for p, t in zip(prompts, texts, strict=True)], np.int32)
    for row, text in enumerate(texts):
        if not text or lengths[row] > most or not 1 <= frames[row] <= visible[row]:
            raise Refusal(
                f"a text has 1 to {most - len(prompts[row]) - 1} tokens and 1 to {visible[row]} frames, got "
                f"{len(text)} and {frames[row]}"
            )
    if len({len(prompt) for prompt in prompts}) > 1:
        raise Refusal(f"prompts must be of one length, got {sorted({len(p) for p in prompts})}")

    def kind(row: int) -> tuple[int, int, int]:
        columns = decoding.frames_step(int(frames[row]))
        return (
            decoding.frames_step(int(visible[row])),
            columns,
            decoder_program.text_step(int(lengths[row]), most),
        )

    timed: dict[int, Timed] = {}
    for (window, columns, longest), some in decoding.batches(visible, kind):
        skip = len(prompts[some[0]]) - 1
        key = ("times", tuple(heads), skip, columns)
        run = decoding.program(
            key, lambda skip=skip, columns=columns: program(decoding.graph, heads, eot, skip, columns)
        )
        tokens = np.full((len(some), longest), eot, np.int32)
        for place, row in enumerate(some):
            tokens[place, : lengths[row] - 1] = (*prompts[row], *texts[row])
        batch = decoder_program.batch_of(states, visible, apply_norm, some, window)
        out = run(*batch, tokens, lengths[some], frames[some].astype(np.int32))
        for row, (first, tied, probability) in zip(some, run.rows(out, len(some)), strict=True):
            n = len(texts[row])
            own = probability[skip + 1 : skip + 1 + n]
            timed[row] = Timed(first=first[: n + 1], probability=own, tied=bool(tied))
    return [timed[row] for row in range(len(visible))]


def words(timed: Timed, pieces: Sequence[Piece], tokens: Sequence[int]) -> tuple[Word, ...]:
    """Words of a text that has been aligned.

    Args:
      timed: from `align`, sound.
      pieces: from `word_split.split`.
      tokens: of the text.
    """
    found = []
    for piece in pieces:
        first, end = (int(timed.first[place]) for place in piece.core)
        own = timed.probability[slice(*piece.core)].astype(np.float64)
        found.append(
            Word(
                text=piece.text,
                tokens=tuple(tokens[piece.start : piece.stop]),
                first_frame=first,
                last_frame=max(first, end - 1),
                probability=float(own.mean()),
                empty=end <= first,
            )
        )
    return tuple(found)

"""Frames of each word of a text: the decoder reads the text, and DTW aligns its attention with the frames.

One program per shape runs on the device, from encoder states to the first frame and the probability of each
token. Its memory: scores of the alignment heads, heads * tokens * frames floats a row (base 8, large-v2 23
heads), and the logits of one row. A word's frames end before the next word's first. Attached punctuation
adds no frames to its word; a frame that tokens share belongs to the last of them.

Source: openai/whisper, timing.py, find_alignment.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int, Int32

from isogloss.engine.alignment.word_splitting import Piece
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.decoding import decoder_cost, decoder_program
from isogloss.engine.decoding.decoder_program import Counts, Decoding, EncodedRows
from isogloss.engine.runtime.devices import Program, rows_that_fit
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper.decoder import Heads
from isogloss.kernels import alignment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """Frames and probabilities of a text's n tokens.

    Attributes:
      first: frame at which each token begins, then the frame after the text.
      probability: of each token given those before it, among tokens of text.
      tied: whether another warping path has equal cost, see `alignment.first_frames`.
    """

    first: Int32[np.ndarray, " n1"]
    probability: Float32[np.ndarray, " n"]
    tied: bool

    @property
    def finite(self) -> bool:
        """True if the attention was finite; otherwise no path was found."""
        return bool((self.first >= 0).all())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """A word and its frames.

    Attributes:
      text: with its spaces and punctuation.
      tokens: with those of the punctuation.
      first_frame: of the word.
      last_frame: included; equals first_frame if the word is empty.
      probability: mean over the word's tokens without punctuation.
      empty: whether the word has no frame of its own.
    """

    text: str
    tokens: tuple[int, ...]
    first_frame: int
    last_frame: int
    probability: float
    empty: bool

    @property
    def centre_frame(self) -> int:
        """The frame in the middle; the earlier one of two."""
        return (self.first_frame + self.last_frame) // 2


@functools.lru_cache(maxsize=16)  # a program that is made again is compiled already
def program(
    graph: nnx.GraphDef, heads: tuple[tuple[int, int], ...], eot: int, skip: int, columns: int
) -> Program:
    """Program of (parameters, states, visible, apply_norm, tokens, lengths, frames).

    It returns first (B, T - skip) and tied (B), see `alignment.first_frames`, and the probability (B, T) of
    each token given those before it, among ids below `eot`; NaN for the first.

    Args:
      graph: of the decoder.
      heads: (layer, head) of the decoder.
      eot: end of text; larger ids aren't text.
      skip: tokens at the front that aren't aligned: the prompt without its last, which predicts the text.
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
        # Cross-attention sees the whole window, the silence after the speech too; only frames of audio may
        # take part in the path, or the last words would spread into the silence.
        matrix = alignment.attention_matrix(scores[..., :columns], lengths, frames)
        # As in openai/whisper, the row of eot counts in the standardisation over tokens, but isn't aligned.
        first, tied = alignment.first_frames(matrix, lengths - 1, frames, skip=skip)
        return first, tied, decoder.probabilities(stream, tokens, eot)

    return run


def rows_per_device(
    platform: str, dimensions: Dimensions, compute: str, memory: int | None, heads: int
) -> int:
    """Utterances of a step: 1 on a CPU, whose cores it fills; up to 16 on an accelerator, if memory allows.

    `memory` is in bytes, of one device, and None if the device doesn't report it.
    """
    most = 1 if platform == "cpu" else 16
    return rows_that_fit(most, lambda rows: step_bytes(dimensions, compute, rows, heads), memory)


def step_bytes(dimensions: Dimensions, compute: str, rows: int, heads: int) -> int:
    """Memory of a step in bytes, by formula: weights, scores of text by frames, logits of one row.

    Scores of the alignment heads and of one layer count twice, for copies. Those of one more head count ten
    times, for intermediate results while its attention is standardised and filtered. Of the states there are
    five, those of the next step among them, which wait on the device.
    """
    text = dimensions.text_positions
    scores = 4 * text * dimensions.positions * (2 * heads + 2 * dimensions.heads + 10)
    streams = 4 * dimensions.features * (5 * dimensions.positions + 4 * text)
    logits = 2 * 4 * text * dimensions.vocabulary
    return decoder_cost.resident_bytes(dimensions, compute) + logits + rows * (scores + streams)


def align(
    decoding: Decoding,
    heads: Heads,
    encoded: EncodedRows,
    frames: Counts,
    prompts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[int]],
) -> list[Timed]:
    """Frames of the tokens of each row.

    Args:
      decoding: the decoder.
      heads: (layer, head), see `alignment_heads.choose`.
      encoded: states of the rows.
      frames: of real audio, 1 <= frames <= visible; the text is aligned with them.
      prompts: such as `Tokens.prompt`, all of one length.
      texts: tokens of each row, at least one.

    Raises:
      Refusal: a number is out of range, or prompt, text and eot don't fit the decoder.
    """
    decoding.check(encoded)
    most, eot = decoding.sizes.text_positions, decoding.tokens.eot
    lengths = _lengths(prompts, texts, frames, encoded.visible, most)
    # The position of the prompt's last token predicts the text's first, so it's the first row of the path.
    skip = len(prompts[0]) - 1

    def kind(row: int) -> tuple[int, int, int]:
        window, columns = (decoding.frames_step(int(count[row])) for count in (encoded.visible, frames))
        return window, columns, decoder_program.text_step(int(lengths[row]), most)

    timed: dict[int, Timed] = {}
    for (window, columns, longest), some in decoding.batches(encoded, kind):
        key = ("times", tuple(heads), skip, columns)
        run = decoding.program(
            key, lambda columns=columns: program(decoding.graph, tuple(heads), eot, skip, columns)
        )
        tokens = _padded([(*prompts[row], *texts[row]) for row in some], longest, eot)
        out = run.in_turn(*encoded.step(some, window), tokens, lengths[some], frames[some].astype(np.int32))
        for row, (first, tied, probability) in zip(some, out, strict=True):
            n = len(texts[row])
            own = probability[skip + 1 : skip + 1 + n]
            timed[row] = Timed(first=first[: n + 1], probability=own, tied=bool(tied))
    return [timed[row] for row in range(len(encoded))]


def _padded(texts: Sequence[Sequence[int]], longest: int, eot: int) -> Int32[np.ndarray, "R T"]:
    """Texts of equal length, each with at least one eot after it."""
    tokens = np.full((len(texts), longest), eot, np.int32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = text
    return tokens


def _lengths(
    prompts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[int]],
    frames: Counts,
    visible: Counts,
    most: int,
) -> Int32[np.ndarray, " B"]:
    """Tokens of each row, prompt and eot included; a Refusal if a number is out of range."""
    lengths = np.asarray([len(p) + len(t) + 1 for p, t in zip(prompts, texts, strict=True)], np.int32)
    for row, text in enumerate(texts):
        if not text or lengths[row] > most or not 1 <= frames[row] <= visible[row]:
            raise Refusal(
                f"a text has 1 to {most - len(prompts[row]) - 1} tokens and 1 to {visible[row]} frames, got "
                f"{len(text)} and {frames[row]}"
            )
    if len({len(prompt) for prompt in prompts}) > 1:
        raise Refusal(f"prompts must be of one length, got {sorted({len(p) for p in prompts})}")
    return lengths


def words(timed: Timed, pieces: Sequence[Piece], tokens: Sequence[int]) -> tuple[Word, ...]:
    """Words of a text, from finite `timed` of `align` and `pieces` of `word_splitting.split`."""
    found = []
    for piece in pieces:
        # A word ends where the next token begins. If both begin at one frame, the frame is the later's alone.
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

"""Decoder on the devices of this host: from encoder states, as NumPy arrays, to tokens.

Any number of rows. Each row goes to one of a few compiled programs, chosen by its own frames, limit and
prompt, and is batched with other rows of that program, so that its result doesn't depend on other rows. A
program takes seconds to compile and is kept. Several threads may use it: steps are computed in turn.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float, Float32, Int

from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.decoding import beam_search, generation
from isogloss.engine.runtime.devices import DataParallel, Program, Replicas
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import parameters
from isogloss.engine.whisper.encoder_program import WINDOW_FRAMES, Precision
from isogloss.engine.whisper.tokenizer import Tokens

FRAMES_STEP = 500  # numbers of frames are rounded up to a multiple of it, so that few programs compile
TEXT_STEPS = (32, 64, 128, 256)  # numbers of tokens are rounded up to one of these, or to the most there are
_STAMPS = 1501  # timestamp tokens of a Whisper, 0 to 30 s; the last ids of its vocabulary
Counts = Int[np.ndarray, " B"]
Kind = TypeVar("Kind", bound=tuple[int, ...])


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedRows:
    """Encoder states as the decoder takes them, a row for each text.

    Attributes:
      states: of any float type; any values beyond the visible frames.
      visible: number of frames that the decoder attends to, at least 1.
      apply_norm: whether the encoder's final LayerNorm is still to be applied (False for state "final").
    """

    states: Float[np.ndarray, "B N D"]
    visible: Int[np.ndarray, " B"]
    apply_norm: Bool[np.ndarray, " B"]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.visible)

    def take(self, rows: Sequence[int] | slice) -> "EncodedRows":
        """Some of the rows."""
        own = (self.states, self.visible, self.apply_norm)
        states, visible, apply_norm = (field[rows] for field in own)
        return EncodedRows(states=states, visible=visible, apply_norm=apply_norm)

    def step(self, rows: list[int], frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs of a program: some of the rows, cropped or padded to a number of frames."""
        cropped = self.states[rows, :frames]
        if cropped.shape[1] < frames:
            cropped = np.pad(cropped, ((0, 0), (0, frames - cropped.shape[1]), (0, 0)))
        return cropped, self.visible[rows].astype(np.int32), self.apply_norm[rows]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoded:
    """Text of one row.

    Attributes:
      tokens: without prompt and eot; none where the states aren't finite.
      log_probability: sum over tokens and eot, before suppression; NaN where the states aren't finite.
      cut: whether the limit ended the text.
    """

    tokens: tuple[int, ...]
    log_probability: float
    cut: bool


class Decoding:
    """A decoder on this host's devices; `load` makes it."""

    def __init__(
        self,
        tokens: Tokens,
        sizes: Dimensions,
        graph: nnx.GraphDef,
        replicas: Replicas,
        *,
        rows_per_device: int,
        exact: bool,
    ) -> None:
        """Hold a decoder, compile nothing. `exact` keeps accelerators from rounding float32 factors."""
        self.tokens = tokens
        self.sizes = sizes
        self.graph = graph
        self._replicas = replicas
        self._rows = rows_per_device
        self._exact = exact
        self._rules = generation.Rules.of(tokens)
        self._programs: dict[Hashable, DataParallel] = {}
        self._making = threading.Lock()

    @property
    def capacity(self) -> int:
        """Rows of a step on all devices."""
        return self._rows * len(self._replicas.devices)

    def generate(
        self, encoded: EncodedRows, prompts: Sequence[Sequence[int]], limits: Counts, beams: int = 1
    ) -> list[Decoded]:
        """Text of each row after its prompt; `limits` are the most new tokens, eot included.

        Raises:
          Refusal: a number is out of range.
        """
        self.check(encoded)
        lengths = [len(prompt) for prompt in prompts]
        for length, limit in zip(lengths, limits, strict=True):
            self._check_room(length, int(limit))

        def kind(row: int) -> tuple[int, int, int]:
            longest = text_step(int(limits[row]), self.sizes.text_positions - lengths[row])
            return self.frames_step(int(encoded.visible[row])), lengths[row], longest

        def make(longest: int) -> Program:
            if beams == 1:
                return generation.greedy(self.graph, self._rules, self.sizes.vocabulary, longest)
            return beam_search.beam_search(self.graph, self._rules, self.sizes.vocabulary, longest, beams)

        decoded: dict[int, Decoded] = {}
        for (frames, _, longest), some in self.batches(encoded, kind):
            run = self.program((longest, beams), lambda longest=longest: make(longest))
            prompt = np.asarray([prompts[row] for row in some], np.int32)
            out = run.in_turn(*encoded.step(some, frames), prompt, limits[some].astype(np.int32))
            for row, (text, length, total, cut) in zip(some, out, strict=True):
                ids = tuple(text[:length].tolist())
                decoded[row] = Decoded(tokens=ids, log_probability=float(total), cut=bool(cut))
        return [decoded[row] for row in range(len(encoded))]

    def detect(self, encoded: EncodedRows) -> tuple[list[str], Float32[np.ndarray, " B"]]:
        """The likeliest language of each row, by Whisper's code, and its probability among the languages.

        Where the states aren't finite, the probability is NaN and the language means nothing.

        Raises:
          Refusal: the model is English-only.
        """
        if not self.tokens.multilingual or not self.tokens.languages:
            raise Refusal("an English-only model detects no language. Remedy: give a multilingual model.")
        self.check(encoded)
        code = {id: language for language, id in self.tokens.languages.items()}

        def make() -> Program:
            return generation.detection(self.graph, self.tokens.sot, tuple(self.tokens.languages.values()))

        def kind(row: int) -> tuple[int]:
            return (self.frames_step(int(encoded.visible[row])),)

        languages, probabilities = [""] * len(encoded), np.zeros(len(encoded), np.float32)
        for (frames,), some in self.batches(encoded, kind):
            run = self.program("detect", make)
            out = run.in_turn(*encoded.step(some, frames))
            for row, (id, probability) in zip(some, out, strict=True):
                languages[row], probabilities[row] = code[int(id)], probability
        return languages, probabilities

    def check(self, encoded: EncodedRows) -> None:
        """Refuse impossible numbers of visible frames."""
        frames = encoded.states.shape[1]
        wrong = [int(n) for n in encoded.visible if not 1 <= n <= frames]
        if wrong or frames > self.sizes.positions:
            most = min(frames, self.sizes.positions)
            raise Refusal(f"visible frames must be 1 to {most}, got {wrong} of {frames} frames")

    def _check_room(self, start: int, limit: int) -> None:
        room = self.sizes.text_positions
        if start < 1 or limit < 0 or start + limit > room:
            rule = f"a prompt of at least 1 token and the new ones must fit the model's {room} positions"
            raise Refusal(f"{rule}, got {start} and {limit}")

    def frames_step(self, visible: int) -> int:
        """Number of frames of the program that takes a row with `visible` ones."""
        return min(-(-visible // FRAMES_STEP) * FRAMES_STEP, self.sizes.positions)

    def batches(self, encoded: EncodedRows, kind: Callable[[int], Kind]) -> Iterator[tuple[Kind, list[int]]]:
        """Kinds, each with as many of its rows as a step takes; shortest first, so that rows end together."""
        kinds: dict[Kind, list[int]] = {}
        # The loop over tokens runs until the last row of a step ends, so rows of like length waste least.
        for row in sorted(range(len(encoded)), key=lambda row: int(encoded.visible[row])):
            kinds.setdefault(kind(row), []).append(row)
        for key, rows in kinds.items():
            for start in range(0, len(rows), self.capacity):
                yield key, rows[start : start + self.capacity]

    def program(self, key: Hashable, make: Callable[[], Program]) -> DataParallel:
        """The program of a key over the decoder's parameters, made at its first use."""
        with self._making:
            if key not in self._programs:
                program = make()
                if self._exact:
                    # By default TPUs and recent GPUs round the float32 factors of a product to fewer bits.
                    program = _exact(program)
                self._programs[key] = DataParallel(program, self._replicas, rows_per_device=self._rows)
            return self._programs[key]


@functools.lru_cache(maxsize=64)  # a program that is made again is compiled already
def _exact(program: Program) -> Program:
    return jax.default_matmul_precision("highest")(program)


def text_step(length: int, most: int) -> int:
    """Number of tokens of the program that takes a text of `length`; `most` is the largest number."""
    return next((step for step in TEXT_STEPS if length <= step < most), most)


def load(
    checkpoint: Checkpoint,
    tokens: Tokens,
    precision: Precision,
    *,
    rows_per_device: int,
    devices: int | None = None,
) -> Decoding:
    """A checkpoint's decoder on some of this host's devices, all by default.

    Raises:
      Refusal: the vocabulary isn't the model's.
    """
    sizes = checkpoint.dimensions
    generation.Rules.of(tokens).allowed(sizes.vocabulary)
    # A tokenizer of another family of Whisper has nearly as many ids, so its texts would be wrong unnoticed.
    stamps = sizes.vocabulary - tokens.timestamp_begin
    if sizes.positions == WINDOW_FRAMES and stamps != _STAMPS:
        raise Refusal(
            f"{checkpoint.name}: has {sizes.vocabulary} tokens, the tokenizer is of a Whisper with "
            f"{tokens.timestamp_begin + _STAMPS}: its ids have other meanings. Remedy: give the tokenizer of "
            "this model by --tokenizer."
        )
    compute = jnp.dtype(precision.compute)
    graph, shapes = parameters.build_decoder(sizes, dtype=compute)
    read = parameters.load(shapes, checkpoint.read, sizes.decoder_layers, parameters.DECODER)
    replicas = Replicas(parameters.cast(read, compute), devices)
    exact = compute == jnp.float32
    return Decoding(tokens, sizes, graph, replicas, rows_per_device=rows_per_device, exact=exact)

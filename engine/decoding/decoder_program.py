"""Decoder on the devices of this host: from encoder states, as NumPy arrays, to tokens.

Any number of rows. Each row goes to one of a few compiled programs, chosen by its own frames, limit and
prompt, and is batched with other rows of that program, so that its result doesn't depend on other rows. A
program takes seconds to compile and is kept.
"""

import dataclasses
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
from isogloss.engine.time_axis import WINDOW_FRAMES
from isogloss.engine.whisper import parameters
from isogloss.engine.whisper.encoder_program import Precision
from isogloss.engine.whisper.tokenizer import Tokens

FRAMES_STEP = 500  # numbers of frames are rounded up to a multiple of it, so that few programs compile
TEXT_STEPS = (32, 64, 128, 256)  # numbers of tokens are rounded up to one of these, or to the most there are
_STAMPS = 1501  # timestamp tokens of a Whisper, 0 to 30 s; the last ids of its vocabulary
States = Float[np.ndarray, "B N D"]  # of any float type; any values beyond the visible frames
Counts = Int[np.ndarray, " B"]
Flags = Bool[np.ndarray, " B"]
Kind = TypeVar("Kind", bound=tuple[int, ...])


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
    """A decoder on this host's devices; `load` makes it.

    Arguments of its methods: `states` of B utterances; `visible`, the number of frames of each that the
    decoder attends to, at least 1; `apply_norm`, whether the encoder's final LayerNorm is still to be applied
    (False for state "final").
    """

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

    @property
    def capacity(self) -> int:
        """Rows of a step on all devices."""
        return self._rows * len(self._replicas.devices)

    def generate(
        self,
        states: States,
        visible: Counts,
        apply_norm: Flags,
        prompts: Sequence[Sequence[int]],
        limits: Counts,
        beams: int = 1,
    ) -> list[Decoded]:
        """Text of each row after its prompt; `limits` are the most new tokens, eot included.

        Raises:
          Refusal: a number is out of range.
        """
        self.check(states, visible)
        lengths = [len(prompt) for prompt in prompts]
        for length, limit in zip(lengths, limits, strict=True):
            self._check_room(length, int(limit))

        def kind(row: int) -> tuple[int, int, int]:
            longest = text_step(int(limits[row]), self.sizes.text_positions - lengths[row])
            return self.frames_step(int(visible[row])), lengths[row], longest

        def make(longest: int) -> Program:
            if beams == 1:
                return generation.greedy(self.graph, self._rules, self.sizes.vocabulary, longest)
            return beam_search.beam_search(self.graph, self._rules, self.sizes.vocabulary, longest, beams)

        decoded: dict[int, Decoded] = {}
        for (frames, _, longest), some in self.batches(visible, kind):
            run = self.program((longest, beams), lambda longest=longest: make(longest))
            prompt = np.asarray([prompts[row] for row in some], np.int32)
            batch = batch_of(states, visible, apply_norm, some, frames)
            out = run.rows(run(*batch, prompt, limits[some].astype(np.int32)), len(some))
            for row, (text, length, total, cut) in zip(some, out, strict=True):
                ids = tuple(text[:length].tolist())
                decoded[row] = Decoded(tokens=ids, log_probability=float(total), cut=bool(cut))
        return [decoded[row] for row in range(len(visible))]

    def detect(
        self, states: States, visible: Counts, apply_norm: Flags
    ) -> tuple[list[str], Float32[np.ndarray, " B"]]:
        """The likeliest language of each row, by Whisper's code, and its probability among the languages.

        Where the states aren't finite, the probability is NaN and the language means nothing.

        Raises:
          Refusal: the model is English-only.
        """
        if not self.tokens.multilingual or not self.tokens.languages:
            raise Refusal("an English-only model detects no language. Remedy: give a multilingual model.")
        self.check(states, visible)
        code = {id: language for language, id in self.tokens.languages.items()}

        def make() -> Program:
            return generation.detection(self.graph, self.tokens.sot, tuple(self.tokens.languages.values()))

        languages, probabilities = [""] * len(visible), np.zeros(len(visible), np.float32)
        for (frames,), some in self.batches(visible, lambda row: (self.frames_step(int(visible[row])),)):
            run = self.program("detect", make)
            out = run.rows(run(*batch_of(states, visible, apply_norm, some, frames)), len(some))
            for row, (id, probability) in zip(some, out, strict=True):
                languages[row], probabilities[row] = code[int(id)], probability
        return languages, probabilities

    def check(self, states: States, visible: Counts) -> None:
        """Refuse impossible numbers of visible frames."""
        wrong = [int(n) for n in visible if not 1 <= n <= states.shape[1]]
        if wrong or states.shape[1] > self.sizes.positions:
            most = min(states.shape[1], self.sizes.positions)
            raise Refusal(f"visible frames must be 1 to {most}, got {wrong} of {states.shape[1]} frames")

    def _check_room(self, start: int, limit: int) -> None:
        room = self.sizes.text_positions
        if start < 1 or limit < 0 or start + limit > room:
            rule = f"a prompt of at least 1 token and the new ones must fit the model's {room} positions"
            raise Refusal(f"{rule}, got {start} and {limit}")

    def frames_step(self, visible: int) -> int:
        """Number of frames of the program that takes a row with `visible` ones."""
        return min(-(-visible // FRAMES_STEP) * FRAMES_STEP, self.sizes.positions)

    def batches(self, visible: Counts, kind: Callable[[int], Kind]) -> Iterator[tuple[Kind, list[int]]]:
        """Kinds, each with as many of its rows as a step takes; shortest first, so that rows end together."""
        kinds: dict[Kind, list[int]] = {}
        for row in sorted(range(len(visible)), key=lambda row: int(visible[row])):
            kinds.setdefault(kind(row), []).append(row)
        for key, rows in kinds.items():
            for start in range(0, len(rows), self.capacity):
                yield key, rows[start : start + self.capacity]

    def program(self, key: Hashable, make: Callable[[], Program]) -> DataParallel:
        """The program of a key over the decoder's parameters, made at its first use."""
        if key not in self._programs:
            program = make()
            if self._exact:
                program = jax.default_matmul_precision("highest")(program)
            self._programs[key] = DataParallel(program, self._replicas, rows_per_device=self._rows)
        return self._programs[key]


def text_step(length: int, most: int) -> int:
    """Number of tokens of the program that takes a text of `length`; `most` is the largest number."""
    return next((step for step in TEXT_STEPS if length <= step < most), most)


def batch_of(
    states: States, visible: Counts, apply_norm: Flags, rows: list[int], frames: int
) -> tuple[Float[np.ndarray, "R W D"], Int[np.ndarray, " R"], Bool[np.ndarray, " R"]]:
    """Inputs of a program: the chosen rows, cropped or padded to a number of frames."""
    cropped = states[rows, :frames]
    if cropped.shape[1] < frames:
        cropped = np.pad(cropped, ((0, 0), (0, frames - cropped.shape[1]), (0, 0)))
    return cropped, visible[rows].astype(np.int32), apply_norm[rows]


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

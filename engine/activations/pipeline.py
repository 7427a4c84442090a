"""Pipeline from recordings to shards: decoding, computing and writing overlap.

Threads decode ahead, others compute steps on the devices, TensorStore's threads write. Memory is bounded:
waveforms decoded ahead, states of one step more than are computed at once, and `rows_writing` rows of states
being written. An utterance that fails is reported and left out; a store that can't be written stops
the run, because every later write would also fail.
"""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorstore as ts
from jaxtyping import Float

from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.activations.encoders import LoadedEncoder
from isogloss.engine.corpora import audio
from isogloss.engine.corpora.listing import Utterance
from isogloss.engine.runtime import objects
from isogloss.engine.runtime.ahead import computed_ahead


@dataclasses.dataclass(frozen=True, kw_only=True)
class PendingUtterance:
    """Utterance to encode and write."""

    store: LanguageStore
    row: int
    frames: int
    utterance: Utterance

    @property
    def name(self) -> str:
        """Language, utterance and file, for messages."""
        return f"{self.utterance.language} {self.utterance.name} ({self.utterance.source.name})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the pipeline's memory.

    Attributes:
      rows_ahead: waveforms being decoded or waiting for a device.
      rows_writing: rows of states being written.
      threads: number of decoding threads.
    """

    rows_ahead: int
    rows_writing: int
    threads: int


class Pipeline:
    """Pipeline that encodes utterances and writes them; calls `done` or `failed` for each."""

    def __init__(
        self,
        encode: LoadedEncoder,
        *,
        samples: int,
        states: tuple[str, ...],
        largest: float,
        limits: Limits,
        stored: Callable[[], None],
        done: Callable[[PendingUtterance], None],
        failed: Callable[[PendingUtterance, str], None],
        key: Callable[[int], int] = lambda frames: 0,
    ) -> None:
        """Nothing starts yet.

        Args:
          encode: the encoder.
          samples: length of the window; longer recordings are cut.
          states: names of the states, for messages.
          largest: largest magnitude in the stored dtype.
          limits: limits of memory.
          stored: called by any thread as soon as an utterance is on disk.
          done: called later, by this one.
          failed: called with the reason when an utterance can't be stored.
          key: function of frames; utterances of a step share its value, see `EncoderModel.step_key`.
        """
        self._encode, self._samples, self._states, self._largest = encode, samples, states, largest
        self._key = key
        self._limits, self._stored, self._done, self._failed = limits, stored, done, failed
        self._writing: collections.deque[tuple[PendingUtterance, list[ts.WriteFutures]]] = collections.deque()

    def run(self, units: Iterable[PendingUtterance]) -> None:
        """Write or report every utterance; WriteError if the store can't be written."""
        ordered = sorted(units, key=lambda unit: self._key(unit.frames))
        threads = self._encode.steps_at_once
        # One more than computes, which is copied and written meanwhile.
        for step, output in computed_ahead(
            self._batches(self._decoded(ordered)), self._encoded, threads=threads, ahead=threads + 1
        ):
            self._write([unit for unit, _ in step], output.result())
        while self._writing:
            self._finish_oldest()

    def _encoded(self, step: list[tuple[PendingUtterance, np.ndarray]]) -> tuple:
        frames = np.asarray([unit.frames for unit, _ in step], np.int32)
        return self._encode([prepared for _, prepared in step], frames)

    def _decoded(self, units: Iterable[PendingUtterance]) -> Iterator[tuple[PendingUtterance, np.ndarray]]:
        """Utterances in order with the encoder's input, `rows_ahead` of them decoded ahead."""
        limits = self._limits
        for unit, future in computed_ahead(
            units, self._prepared, threads=limits.threads, ahead=limits.rows_ahead
        ):
            try:
                prepared = future.result()
            except audio.AudioError as error:
                self._failed(unit, str(error))
            else:
                yield unit, prepared

    def _prepared(self, unit: PendingUtterance) -> np.ndarray:
        return self._encode.prepare(audio.decode(unit.utterance.source, self._samples))

    def _batches(
        self, decoded: Iterable[tuple[PendingUtterance, np.ndarray]]
    ) -> Iterator[list[tuple[PendingUtterance, np.ndarray]]]:
        """Steps of up to `capacity` utterances of one key."""
        for _, alike in itertools.groupby(decoded, lambda pair: self._key(pair[0].frames)):
            while step := list(itertools.islice(alike, self._encode.capacity)):
                yield step

    def _write(self, batch: list[PendingUtterance], output: tuple) -> None:
        rows = self._encode.rows(output, len(batch))
        for unit, (stored, peak, *of_neurons) in zip(batch, rows, strict=True):
            if reason := self._unusable(peak, *of_neurons[1:]):
                self._failed(unit, f"{unit.name}: {reason}")
                continue
            while len(self._writing) >= self._limits.rows_writing:
                self._finish_oldest()
            writing = [unit.store.write_neurons(unit.row, neurons) for neurons in of_neurons[:1]]
            writing.append(unit.store.write(unit.row, stored))
            self._count(writing)
            self._writing.append((unit, writing))
        while self._writing and all(future.done() for future in self._writing[0][1]):
            self._finish_oldest()

    def _unusable(
        self, peak: Float[np.ndarray, " S"], of_neurons: Float[np.ndarray, " L"] | None = None
    ) -> str:
        """Reason why an utterance can't be stored, by the peaks of its states and neurons; "" if it can."""
        named = dict(zip((f"state {state}" for state in self._states), peak, strict=True))
        if of_neurons is not None:
            named |= {f"neurons of block {block + 1}": value for block, value in enumerate(of_neurons)}
        # `not <=` also finds NaN; beyond the largest float16, storing would silently give infinity.
        bad = {name: value for name, value in named.items() if not value <= self._largest}
        if not bad:
            return ""
        rule = f"states must be finite and at most {self._largest:.4g} in magnitude"
        remedy = "Remedy: --dtype=float32; if that fails too, check the recording and the checkpoint"
        where = ", ".join(bad).replace(", state ", ", ")
        return f"{rule}, got {np.max([*bad.values()]):.4g} in {where}. {remedy}"

    def _count(self, writing: Sequence[ts.WriteFutures]) -> None:
        """Tell when the last of an utterance's writes has ended well."""
        waiting = [False] * (len(writing) - 1)

        def ended(write: ts.Future) -> None:
            if write.exception() is not None:
                return
            try:
                waiting.pop()  # whole, whichever thread does it
            except IndexError:
                self._stored()

        for write in writing:
            write.add_done_callback(ended)

    def _finish_oldest(self) -> None:
        unit, writing = self._writing.popleft()
        for future in writing:
            objects.finish(future, unit.store.path, f"{unit.store.path}: {unit.name}")
        self._done(unit)

"""States of recordings, decoded ahead in threads; one pass of the encoder computes all requested states.

The decoder sees the whole window, silence included, as Whisper was trained. Broken recordings are reported,
and the run continues. Memory for each thread that asks: waveforms of two steps, decoded ahead, and the
states of one, states * positions * features * 4 bytes a row (large-v2: 8 MB a state).
"""

import dataclasses
import functools
import itertools
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future

import jax
import numpy as np
from jaxtyping import Float32

from isogloss.engine.activations.state_source import Encoded, ListedUtterance, Unusable
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.corpora import audio, durations, estimated_lengths, listing
from isogloss.engine.corpora.corpus import Corpus
from isogloss.engine.corpora.listing import Listing, Utterance
from isogloss.engine.runtime.ahead import computed_ahead
from isogloss.engine.runtime.devices import DataParallel
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis
from isogloss.engine.whisper import encoder_program

_THREADS = 4  # decoding threads
_AHEAD = 2  # steps of waveforms decoded ahead
_Decoded = Iterator[tuple[int, Future[np.ndarray | Unusable]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recorded:
    """Source of a corpus's states, see `state_source.StateSource`; the encoder runs when states are needed.

    Attributes:
      checkpoint: model with the encoder.
      states: names, in the order of the encoder.
      corpus: the recordings'; a language is listed when its utterances are first asked for.
      languages: codes, in order.
      recordings: "first" or "all" of a sentence.
      long: treatment of recordings longer than the window, truncate, skip or error.
      precision: precision of the computation.
      rows_per_device: rows of a step on one device.
      estimate: estimate lengths for which audio would have to be fetched, for a dry run.
      estimated: number of such lengths by language, where there are any.
      listings, listed: listings and utterances of the languages used so far.
      once: held while the encoder is loaded, which all threads use.
    """

    checkpoint: Checkpoint
    states: tuple[str, ...]
    corpus: Corpus
    languages: tuple[str, ...]
    recordings: str
    long: str
    precision: encoder_program.Precision
    rows_per_device: int
    estimate: bool = False
    estimated: dict[str, int] = dataclasses.field(default_factory=dict)
    listings: dict[str, Listing] = dataclasses.field(default_factory=dict)
    listed: dict[str, tuple[ListedUtterance, ...]] = dataclasses.field(default_factory=dict)
    once: threading.Lock = dataclasses.field(default_factory=threading.Lock, repr=False)

    whole_window = True

    @property
    def apply_norm(self) -> tuple[bool, ...]:
        """False for every state: the encoder computes all of them itself."""
        return (False,) * len(self.states)

    @property
    def corpora(self) -> tuple[str, ...]:
        """Description of the corpus."""
        return (self.corpus.description,)

    @property
    def step_rows(self) -> int:
        """Utterances that the encoder takes at once on all devices."""
        return self.rows_per_device * jax.local_device_count()

    @property
    def _axis(self) -> TimeAxis:
        return encoder_program.time_axis(self.checkpoint.dimensions)

    def sentences(self, language: str) -> list[str]:
        """Sentence of each utterance of a language, sorted; looks at no recording."""
        known = self.corpus.sentences(language)
        if not known:
            self._listing(language)  # which refuses a language without a recording
        return listing.taken(known, self.recordings)

    def utterances(self, language: str) -> tuple[ListedUtterance, ...]:
        """All utterances of a language; headers are read once."""
        if language not in self.listed:
            found = self._listing(language)
            samples, guessed = estimated_lengths.lengths(found, self._axis, estimate=self.estimate)
            self.estimated.update({language: guessed} if guessed else {})
            frames = durations.frames_in_use(found, samples, self._axis, self.long)
            self.listed[language] = tuple(
                _listed(row, utterance, samples[row], frames[row], self._axis)
                for row, utterance in enumerate(found.utterances)
            )
        return self.listed[language]

    def _listing(self, language: str) -> Listing:
        if language not in self.listings:
            self.listings[language] = self.corpus.listing(language, self.recordings)
        return self.listings[language]

    def without_states(self, rows: Mapping[str, Sequence[int]]) -> list[tuple[str, Unusable]]:
        """Language and reason of each of these rows that can't be read, and of little audio, or decoded."""
        found, pending = [], {}
        for language, some in rows.items():
            for row in some:
                utterance = self._listing(language).utterances[row]
                if frames := self.utterances(language)[row].frames:
                    pending[utterance] = row, frames
                else:
                    found.append((language, self._unreadable(row, utterance)))
        broken = durations.undecodable_soon({u: frames for u, (_, frames) in pending.items()}, self._axis)
        return found + [(u.language, Unusable(row=pending[u][0], reason=why)) for u, why in broken.items()]

    def _unreadable(self, row: int, utterance: Utterance) -> Unusable:
        reason, asked_for = durations.why_unusable(utterance, self._axis)
        return Unusable(row=row, reason=reason, asked_for=asked_for)

    def encoded(self, language: str, rows: Sequence[int]) -> Iterator[Encoded | Unusable]:
        """States of some utterances, in the order of `rows`."""
        window = self._axis.window_samples
        decoded = self._decoded(language, rows)
        while step := [(row, wave.result()) for row, wave in itertools.islice(decoded, self.step_rows)]:
            sound = [(row, wave) for row, wave in step if not isinstance(wave, Unusable)]
            made: dict[int, Encoded | Unusable] = {r: w for r, w in step if isinstance(w, Unusable)}
            waves = np.zeros((len(sound), window), np.float32)
            for padded, (_, wave) in zip(waves, sound, strict=True):
                padded[: len(wave)] = wave
            if sound:  # the encoder isn't loaded for broken recordings alone
                made |= self._states(language, [row for row, _ in sound], waves)
            yield from (made[row] for row, _ in step)

    def _decoded(self, language: str, rows: Sequence[int]) -> _Decoded:
        """Rows and their waveforms, some steps of them decoded ahead."""
        return computed_ahead(
            rows,
            lambda row: self._waveform(language, row),
            threads=_THREADS,
            ahead=max(_THREADS, _AHEAD * self.step_rows),
        )

    def _states(
        self, language: str, rows: Sequence[int], waves: Float32[np.ndarray, "B window"]
    ) -> dict[int, Encoded | Unusable]:
        """One step of the encoder."""
        with self.once:
            run = self._encoder
        utterances = self._listing(language).utterances
        output = run.in_turn(waves, np.full(len(rows), self._axis.window_frames, np.int32))
        return {
            row: _finite(row, states, peak, self.states, utterances[row].source.name)
            for row, (states, peak) in zip(rows, output, strict=True)
        }

    def _waveform(self, language: str, row: int) -> np.ndarray | Unusable:
        utterance = self._listing(language).utterances[row]
        if not self.utterances(language)[row].frames:
            return self._unreadable(row, utterance)
        try:
            return audio.decode(utterance.source, self._axis.window_samples)
        except audio.AudioError as error:
            return Unusable(row=row, reason=str(error))

    @functools.cached_property
    def _encoder(self) -> DataParallel:
        return encoder_program.load(
            self.checkpoint,
            self.states,
            "float32",
            self.precision,
            rows_per_device=self.rows_per_device,
        )

    def identity(self, language: str) -> dict[str, Json]:
        """Everything except the weights that decides a language's states.

        Rows per step don't count: they follow the memory of the device and change only the last bits.
        """
        found = self._listing(language)
        listed = {"corpus": found.corpus, "corpus_sha256": found.sha256()}
        return {**listed, **self.known_identity(language)}

    def known_identity(self, language: str) -> dict[str, Json]:
        """Part of `identity` that is known before any recording is opened."""
        return {
            "long": self.long,
            "compute": self.precision.compute,
            "attention": self.precision.attention,
        }


def _listed(row: int, utterance: Utterance, samples: int, frames: int, axis: TimeAxis) -> ListedUtterance:
    return ListedUtterance(
        row=row,
        name=utterance.name,
        sentence=utterance.sentence,
        transcription=utterance.transcription,
        seconds=samples / SAMPLE_RATE if samples else math.nan,
        frames=frames,
        truncated=samples > axis.window_samples,
    )


def _finite(
    row: int,
    states: Float32[np.ndarray, "S N D"],
    peak: Float32[np.ndarray, " S"],
    names: Sequence[str],
    source: str,
) -> Encoded | Unusable:
    bad = [name for name, largest in zip(names, peak, strict=True) if not np.isfinite(largest)]
    if bad:
        return Unusable(row=row, reason=f"{source}: state {', '.join(bad)} isn't finite. Check the recording")
    return Encoded(row=row, states=states, visible=states.shape[1])

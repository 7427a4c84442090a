"""States from activation stores, which hold only an utterance's own frames.

A decoder that sees only these mostly fails: Whisper was trained with the whole window and needs the silence
after speech to find the end (base, 32 French prompts: 21 continued to the token limit). So the rest of the
window can be filled with the states of a silent recording, at the cost of one pass of the encoder. A thread
reads one utterance at a time; a damaged shard is reported, and the run continues.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32

from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.activations.state_source import Encoded, ListedUtterance, Unusable
from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import UnreadableError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """Source of states in activation stores, see `state_source.StateSource`.

    Attributes:
      stores: stores by language.
      states: names, in the order of the encoder.
      taken: state that is read from the stores for each of them.
      positions: frames of the model's window.
      silence: function that returns the states `taken` of a silent window; None fills nothing.
      lacking: reason by language, if its store lacks the states.
      silence_by: computation of the silence, for `identity`.
      listed: content of the stores read so far, see `_Listed`.
      once: held while something is made that all threads use.
    """

    stores: dict[str, LanguageStore]
    states: tuple[str, ...]
    taken: tuple[str, ...]
    positions: int
    lacking: Mapping[str, str] = dataclasses.field(default_factory=dict)
    silence: Callable[[], Float32[np.ndarray, "S N D"]] | None = None
    silence_by: str = ""
    listed: dict[str, "_Listed"] = dataclasses.field(default_factory=dict)
    once: threading.Lock = dataclasses.field(default_factory=threading.Lock, repr=False)

    @property
    def whole_window(self) -> bool:
        """True if silence fills the rest of the window."""
        return self.silence is not None

    @property
    def apply_norm(self) -> tuple[bool, ...]:
        """True for each state that still needs the final LayerNorm."""
        return tuple(taken != state for taken, state in zip(self.taken, self.states, strict=True))

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages, in order."""
        return tuple(self.stores)

    @property
    def corpora(self) -> tuple[str, ...]:
        """Descriptions of the corpora, sorted."""
        return tuple(sorted({str(store.attributes["corpus"]) for store in self.stores.values()}))

    @property
    def estimated(self) -> Mapping[str, int]:
        """Nothing: a store has the lengths."""
        return {}

    @property
    def step_rows(self) -> int:
        """1: states are read, not computed."""
        return 1

    def sentences(self, language: str) -> list[str]:
        """Sentence of each utterance of a language, sorted."""
        return sorted(map(str, self.stores[language].coordinate("sentence")))

    def utterances(self, language: str) -> tuple[ListedUtterance, ...]:
        """All utterances of a language."""
        store = self.stores[language]
        columns = (store.coordinate(name) for name in ("sentence", "transcription", "duration", "truncated"))
        rows = zip(store.names, *columns, store.frames, strict=True)
        return tuple(
            ListedUtterance(
                row=row,
                name=str(name),
                sentence=str(sentence),
                transcription=str(transcription),
                seconds=float(seconds),
                frames=int(frames),
                truncated=bool(truncated),
            )
            for row, (name, sentence, transcription, seconds, truncated, frames) in enumerate(rows)
        )

    def encoded(self, language: str, rows: Sequence[int]) -> Iterator[Encoded | Unusable]:
        """States of some utterances, in the order of `rows`."""
        if language in self.lacking:
            yield from (Unusable(row=row, reason=self.lacking[language]) for row in rows)
            return
        store, listed = self.stores[language], self._listed(language)
        for row in rows:
            yield self._read(store, row) if listed.present[row] else self._absent(store, row, listed)

    def without_states(self, rows: Mapping[str, Sequence[int]]) -> list[tuple[str, Unusable]]:
        """Language and reason of each of these rows that isn't stored; damaged shards pass, see verify."""
        return [
            (language, made)
            for language, some in rows.items()
            # What isn't stored is known without a read.
            for made in self.encoded(language, self._absent_rows(language, some))
            if isinstance(made, Unusable)
        ]

    def _absent_rows(self, language: str, rows: Sequence[int]) -> list[int]:
        every = language in self.lacking
        return [row for row in rows if every or not self._listed(language).present[row]]

    def _listed(self, language: str) -> "_Listed":
        with self.once:
            if language not in self.listed:
                self.listed[language] = _listed(self.stores[language])
        return self.listed[language]

    def _read(self, store: LanguageStore, row: int) -> Encoded | Unusable:
        frames, own = int(store.frames[row]), []
        for taken in self.taken:
            try:
                # Row by row, so that one damaged shard costs one utterance.
                own += store.read(taken, [row])
            except UnreadableError as error:
                reason = f"{store.path.name}: {store.names[row]}: state {taken} can't be read ({error})"
                remedy = "Delete that file, run extract again, then this job"
                return Unusable(row=row, reason=f"{reason}. {remedy}")
        # NaN, not 0, beyond the utterance: a decoder that read padding would say so.
        if self.silence is None:
            states = np.full((len(self.taken), self.positions, store.features), np.nan, np.float32)
        else:
            with self.once:
                silence = self.silence()
            # A copy, because all utterances start from the same silence.
            states = silence.copy()
        for state, stored in zip(states, own, strict=True):
            state[:frames] = stored
        return Encoded(row=row, states=states, visible=self.positions if self.silence else frames)

    def _absent(self, store: LanguageStore, row: int, listed: "_Listed") -> Unusable:
        unfinished = f"{store.path.name}: {store.names[row]} isn't extracted yet. Run extract to its end"
        # What a failing disk kept from extract is extract's to try again, not this job's.
        noted = listed.failures.get(row, "").replace(disk_faults.AGAIN, "run extract again")
        return Unusable(
            row=row, reason=noted or unfinished, asked_for=bool(noted) and bool(listed.left_out[row])
        )

    def identity(self, language: str) -> dict[str, Json]:
        """Everything except the weights that decides a language's states."""
        attributes = self.stores[language].attributes
        keys = ("corpus", "corpus_sha256", "settings")
        return {"silence_by": self.silence_by, **{key: attributes[key] for key in keys}}

    def known_identity(self, language: str) -> dict[str, Json]:
        """All of `identity`: no recording need be opened."""
        return self.identity(language)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Listed:
    """Content of a language's store when it was first needed.

    Listing 760 shards takes seconds on a network file system, so a run doesn't repeat it for every block of
    utterances; the next run finds shards that are written meanwhile.

    Attributes:
      present: True for each utterance that is stored.
      left_out: True for each utterance that --long=skip leaves out.
      failures: reason by row of each unusable utterance.
    """

    present: Bool[np.ndarray, " U"]
    left_out: Bool[np.ndarray, " U"]
    failures: Mapping[int, str]


def _listed(store: LanguageStore) -> _Listed:
    return _Listed(
        present=store.present(),
        left_out=store.coordinate("truncated") & (store.frames == 0),
        failures=store.failures(),
    )

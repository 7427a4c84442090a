"""States out of activation stores, which keep an utterance's own frames only.

A decoder that sees no others mostly fails: Whisper was trained to see the whole window, and looks at the
silence after speech to know where to end (base, 32 French prompts: 21 ran on to their limit). So the
rest of the window can be filled with states of a silent recording, for one pass of the encoder. One utterance
is read at a time; a damaged shard is reported and the rest goes on.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32

from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.activations.state_source import Encoded, ListedUtterance, Unusable
from isogloss.engine.runtime.json_values import Json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """Source of activation stores, see `state_source.StateSource`.

    Attributes:
      stores: by language.
      states: names, in the order of the encoder.
      taken: state of the stores behind each of them.
      positions: frames of the model's window.
      silence: gives the states of a silent window, as `taken`; None leaves the utterance alone.
      lacking: why a language's store can't give the states, if it can't.
      silence_by: how they are computed, for `identity`.
      listed: what each language's store holds, see `_Listed`, once it was asked for.
    """

    stores: dict[str, LanguageStore]
    states: tuple[str, ...]
    taken: tuple[str, ...]
    positions: int
    lacking: Mapping[str, str] = dataclasses.field(default_factory=dict)
    silence: Callable[[], Float32[np.ndarray, "S N D"]] | None = None
    silence_by: str = ""
    listed: dict[str, "_Listed"] = dataclasses.field(default_factory=dict)

    @property
    def whole_window(self) -> bool:
        """Whether the rest of the window is filled."""
        return self.silence is not None

    @property
    def apply_norm(self) -> tuple[bool, ...]:
        """Which states still need the final LayerNorm."""
        return tuple(taken != state for taken, state in zip(self.taken, self.states, strict=True))

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes, in order."""
        return tuple(self.stores)

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
        store = self.stores[language]
        if language not in self.listed:
            self.listed[language] = _listed(store)
        listed = self.listed[language]
        for row in rows:
            yield self._read(store, row) if listed.present[row] else self._absent(store, row, listed)

    def _read(self, store: LanguageStore, row: int) -> Encoded | Unusable:
        frames, own = int(store.frames[row]), []
        for taken in self.taken:
            try:
                own += store.read(taken, [row])
            except ValueError as error:
                reason = f"{store.path.name}: {store.names[row]}: state {taken} can't be read ({error})"
                remedy = "Delete that file, run extract again, then this"
                return Unusable(row=row, reason=f"{reason}. {remedy}")
        if self.silence is None:
            states = np.full((len(self.taken), self.positions, store.features), np.nan, np.float32)
        else:
            states = self.silence().copy()
        for state, stored in zip(states, own, strict=True):
            state[:frames] = stored
        return Encoded(row=row, states=states, visible=self.positions if self.silence else frames)

    def _absent(self, store: LanguageStore, row: int, listed: "_Listed") -> Unusable:
        unfinished = f"{store.path.name}: {store.names[row]} isn't extracted yet. Run extract to its end"
        noted = listed.failures.get(row)
        return Unusable(
            row=row, reason=noted or unfinished, asked_for=bool(noted) and bool(listed.left_out[row])
        )

    def identity(self, language: str) -> dict[str, Json]:
        """All, beside the weights, that decides a language's states."""
        attributes = self.stores[language].attributes
        keys = ("corpus", "corpus_sha256", "settings")
        return {"silence_by": self.silence_by, **{key: attributes[key] for key in keys}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Listed:
    """Utterances of a language by what its store held when it was first asked.

    A listing of 760 shards takes seconds on a network file system, so a run doesn't repeat it for every block
    of utterances; shards that are written meanwhile are found by the next run.

    Attributes:
      present: those that are stored.
      left_out: those that --long=skip leaves out.
      failures: reason by row of those that can't be used.
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

"""Inventory of an extraction: content of stores and recordings before a run, outcome of each utterance.

Sorts the utterances of a share: already stored, to encode, or unusable by their header.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence

from isogloss.engine import time_axis
from isogloss.engine.activations import activation_store, pipeline
from isogloss.engine.activations.activation_store import Identity, LanguageStore
from isogloss.engine.corpora import durations
from isogloss.engine.corpora.listing import Listing
from isogloss.engine.runtime import shards
from isogloss.engine.runtime.progress import Progress

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """State of one language before a run.

    Attributes:
      listing: its utterances.
      identity: identity of its store, existing or not.
      samples: lengths at 16 kHz, 0 if a header can't be read; empty if there is a store.
      frames: number of frames to store of each utterance, 0 if it is left out.
      present: True for each utterance that is stored.
    """

    listing: Listing
    identity: Identity
    samples: tuple[int, ...]
    frames: tuple[int, ...]
    present: tuple[bool, ...]


def survey(root: pathlib.Path, listing: Listing, identity: Identity, positions: int, long: str) -> Survey:
    """State of a language, from its store if there is one, else from the headers of its recordings.

    Args:
      root: folder of all stores.
      listing: utterances.
      identity: required identity of the store.
      positions: frames of the encoder's window.
      long: treatment of recordings longer than the window, one of durations.LONG.

    Raises:
      Refusal: the store has another identity, or long is "error" and a recording exceeds the window.
    """
    if listing.language in activation_store.languages(root):
        store = activation_store.open_store(root, listing.language)
        activation_store.check_identity(store, identity)
        samples, frames = (), tuple(store.frames.tolist())
        present = tuple(store.present().tolist())
    else:
        samples = durations.lengths(listing)
        frames = durations.frames_in_use(listing, samples, positions, long)
        present = (False,) * len(frames)
    return Survey(listing=listing, identity=identity, samples=samples, frames=frames, present=present)


class Outcome:
    """Outcome of the utterances of a share.

    Attributes:
      todo: utterances to encode.
      done, skipped, left_out, truncated: counts, see extract.ExtractSummary.
      audio_seconds: seconds of audio written by this run.
      failed: reasons by "language utterance".
      progress: display that counts finished utterances, None before it is set.
    """

    def __init__(
        self,
        stores: Sequence[LanguageStore],
        listings: Sequence[Listing],
        share: shards.Share,
        positions: int,
    ) -> None:
        """Read which utterances are stored; unusable recordings are reported immediately."""
        self.todo: list[pipeline.PendingUtterance] = []
        self.done = self.skipped = self.left_out = self.truncated = 0
        self.audio_seconds = 0.0
        self.failed: dict[str, str] = {}
        self.progress: Progress | None = None
        rows = [
            (store, listing, row)
            for store, listing in zip(stores, listings, strict=True)
            for row in range(len(listing.utterances))
        ]
        present = {store.language: store.present() for store in stores}
        cut = {store.language: store.coordinate("truncated") for store in stores}
        for store, listing, row in share.of(rows):
            unit = pipeline.PendingUtterance(
                store=store, row=row, frames=int(store.frames[row]), utterance=listing.utterances[row]
            )
            self.truncated += bool(cut[store.language][row] and unit.frames)
            if present[store.language][row]:
                self.skipped += 1
            elif unit.frames:
                self.todo.append(unit)
            else:
                self._leave_out(unit, positions)

    def _leave_out(self, unit: pipeline.PendingUtterance, positions: int) -> None:
        reason, asked_for = durations.why_unusable(unit.utterance, positions)
        if asked_for:
            self.left_out += 1
            unit.store.note_failure(unit.row, reason)
        else:
            self.fail(unit, reason)

    def fail(self, unit: pipeline.PendingUtterance, reason: str) -> None:
        """Record an utterance that can't be used."""
        _LOG.error("%s: %s", unit.name, reason)
        unit.store.note_failure(unit.row, reason)
        self.failed[f"{unit.utterance.language} {unit.utterance.name}"] = reason
        self._advance()

    def finish(self, unit: pipeline.PendingUtterance) -> None:
        """Record an utterance that is on disk."""
        unit.store.forget_failure(unit.row)
        self.done += 1
        self.audio_seconds += unit.frames * time_axis.FRAME_SECONDS
        self._advance()

    def _advance(self) -> None:
        if self.progress is not None:
            self.progress.advance()

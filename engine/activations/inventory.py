"""Inventory of an extraction: what stores and recordings hold before a run, and how each utterance ends.

Sorts a share's utterances by what the stores hold: on disk already, to encode, or unusable by their header.
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
    """One language as it stands before a run.

    Attributes:
      listing: its utterances.
      identity: what its store is, or will be, of.
      samples: lengths at 16 kHz, 0 where a header can't be read; none if there is a store.
      frames: frames each gives to the store, 0 where it's left out.
      present: which are stored already.
    """

    listing: Listing
    identity: Identity
    samples: tuple[int, ...]
    frames: tuple[int, ...]
    present: tuple[bool, ...]


def look(root: pathlib.Path, listing: Listing, identity: Identity, positions: int, long: str) -> Survey:
    """What is there of a language: its store's word if it has one, else its recordings' headers.

    Args:
      root: folder of all stores.
      listing: utterances.
      identity: that a store must have.
      positions: frames of the encoder's window.
      long: what to do with recordings that exceed it, one of durations.LONG.

    Raises:
      Refusal: the store is of something else, or long is "error" and a recording exceeds the window.
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
    """What a share's utterances come to.

    Attributes:
      todo: units to encode.
      done, skipped, left_out, truncated: counts, see extract.Summary.
      audio_seconds: real audio written by this run.
      failed: reason by "language utterance".
      progress: told of every unit that ends, once there is one.
    """

    def __init__(
        self,
        stores: Sequence[LanguageStore],
        listings: Sequence[Listing],
        share: shards.Share,
        positions: int,
    ) -> None:
        """Look at what is on disk; unusable recordings are reported at once."""
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
                self._unusable(unit, positions)

    def _unusable(self, unit: pipeline.PendingUtterance, positions: int) -> None:
        reason, asked_for = durations.why_unusable(unit.utterance, positions)
        if asked_for:
            self.left_out += 1
            unit.store.note_failure(unit.row, reason)
        else:
            self.fail(unit, reason)

    def fail(self, unit: pipeline.PendingUtterance, reason: str) -> None:
        """Note an utterance that can't be used."""
        _LOG.error("%s: %s", unit.name, reason)
        unit.store.note_failure(unit.row, reason)
        self.failed[f"{unit.utterance.language} {unit.utterance.name}"] = reason
        self._advance()

    def finish(self, unit: pipeline.PendingUtterance) -> None:
        """Note an utterance that is on disk."""
        unit.store.forget_failure(unit.row)
        self.done += 1
        self.audio_seconds += unit.frames * time_axis.FRAME_SECONDS
        self._advance()

    def _advance(self) -> None:
        if self.progress is not None:
            self.progress.advance()

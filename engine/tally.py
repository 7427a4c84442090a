"""Count of an extraction: what is to do, and how each utterance ends.

Sorts a share's utterances by what the stores hold: on disk already, to encode, or unusable by their header.
"""

import logging
from collections.abc import Sequence

from isogloss.engine import pipeline, plan, survey, time_axis
from isogloss.engine.activation_store import LanguageStore
from isogloss.engine.listing import Listing
from isogloss.engine.progress import Progress

_LOG = logging.getLogger(__name__)


class Tally:
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
        share: plan.Share,
        positions: int,
    ) -> None:
        """Look at what is on disk; unusable recordings are reported at once."""
        self.todo: list[pipeline.Unit] = []
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
            unit = pipeline.Unit(
                store=store,
                row=row,
                frames=int(store.frames[row]),
                utterance=listing.utterances[row],
            )
            self.truncated += bool(cut[store.language][row] and unit.frames)
            if present[store.language][row]:
                self.skipped += 1
            elif unit.frames:
                self.todo.append(unit)
            else:
                self._unusable(unit, positions)

    def _unusable(self, unit: pipeline.Unit, positions: int) -> None:
        reason, asked_for = survey.why_unusable(unit.utterance, positions)
        if asked_for:
            self.left_out += 1
            unit.store.note_failure(unit.row, reason)
        else:
            self.fail(unit, reason)

    def fail(self, unit: pipeline.Unit, reason: str) -> None:
        """Note an utterance that can't be used."""
        _LOG.error("%s: %s", unit.name, reason)
        unit.store.note_failure(unit.row, reason)
        self.failed[f"{unit.utterance.language} {unit.utterance.name}"] = reason
        self._advance()

    def finish(self, unit: pipeline.Unit) -> None:
        """Note an utterance that is on disk."""
        unit.store.forget_failure(unit.row)
        self.done += 1
        self.audio_seconds += unit.frames * time_axis.FRAME_SECONDS
        self._advance()

    def _advance(self) -> None:
        if self.progress is not None:
            self.progress.advance()

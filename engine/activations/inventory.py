"""Inventory of an extraction: content of stores and recordings before a run, outcome of each utterance.

Sorts the utterances of a share: already stored, to encode, or unusable by their header.
"""

import dataclasses
import logging
from collections.abc import Sequence

from isogloss.engine.activations import activation_store, pipeline, store_growth
from isogloss.engine.activations.activation_store import Identity, LanguageStore
from isogloss.engine.activations.settings import ExtractionSettings
from isogloss.engine.corpora import durations, estimated_lengths
from isogloss.engine.corpora.listing import Listing, Utterance
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.time_axis import TimeAxis

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """State of one language before a run.

    Attributes:
      listing: its utterances.
      rows: those of the process's share.
      identity: identity of its store, existing or not.
      changes: names of recordings that are new, gone or changed since the store was made; "" if none are.
      samples: lengths at 16 kHz, 0 if a header can't be read; empty if there is a store.
      frames: number of frames to store of each utterance, 0 if it is left out.
      present: True for each utterance that is stored.
      truncated: True for each utterance longer than the window.
      guessed: number of lengths that are estimated.
    """

    listing: Listing
    rows: range
    identity: Identity
    changes: str
    samples: tuple[int, ...]
    frames: tuple[int, ...]
    present: tuple[bool, ...]
    truncated: tuple[bool, ...]
    guessed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """Outcome of a run as far as stores and recordings tell it; attributes as in extract.ExtractSummary."""

    skipped: int
    left_out: int
    truncated: int
    failed: dict[str, str]
    through_ffmpeg: list[str]


def forecast(surveys: Sequence[Survey], axis: TimeAxis) -> Forecast:
    """Outcome of the shares before they are done; of little audio in files also what only decoding finds."""
    mine = [(found, row, found.listing.utterances[row]) for found in surveys for row in found.rows]
    unusable = {
        _name(utterance): durations.why_unusable(utterance, axis)
        for found, row, utterance in mine
        if not found.present[row] and not found.frames[row]
    }
    pending = {utterance: f.frames[row] for f, row, utterance in mine if f.frames[row] and not f.present[row]}
    # Headers may be fine where the audio isn't; only decoding finds that, and it takes time.
    broken = durations.undecodable_soon(pending, axis)
    sound = [utterance for utterance in pending if utterance not in broken]
    return Forecast(
        skipped=sum(found.present[row] for found, row, _ in mine),
        left_out=sum(asked_for for _, asked_for in unusable.values()),
        truncated=sum(bool(found.truncated[row] and found.frames[row]) for found, row, _ in mine),
        failed={name: reason for name, (reason, asked_for) in unusable.items() if not asked_for}
        | {_name(utterance): reason for utterance, reason in broken.items()},
        through_ffmpeg=through_ffmpeg(sound),
    )


def through_ffmpeg(utterances: Sequence[Utterance]) -> list[str]:
    """Names, "language utterance", of those in files that ffmpeg decodes; all such files are opened."""
    return [_name(utterance) for utterance in durations.through_ffmpeg(durations.in_files(utterances))]


def _name(utterance: Utterance) -> str:
    return f"{utterance.language} {utterance.name}"


def survey(
    store: LanguageStore | None,
    listing: Listing,
    rows: range,
    identity: Identity,
    settings: ExtractionSettings,
    *,
    redo_changed: bool,
    estimate: bool = False,
) -> Survey:
    """State of a language, from its store if there is one, else from the headers of its recordings.

    Args:
      store: the language's, if there is one.
      listing: utterances.
      rows: those of the process's share.
      identity: required identity of the store.
      settings: of the extraction.
      redo_changed: make states again whose recordings have changed.
      estimate: estimate lengths for which audio would have to be fetched.

    Raises:
      Refusal: the store is of another model, other settings or another corpus, or holds states of recordings
        that have changed since, or long is "error" and a recording exceeds the window.
    """
    if store is None:
        return _of_recordings(listing, rows, identity, settings, estimate=estimate)
    # Identity first: rows of a store of other settings would be compared in vain.
    activation_store.check_identity(store, identity)
    found = store_growth.compare(store, listing, identity, settings.axis, settings.long)
    store_growth.check_changed(store, found, redo_changed=redo_changed)
    return Survey(
        listing=listing,
        rows=rows,
        identity=identity,
        changes=found.text,
        samples=(),
        frames=found.frames,
        present=found.present,
        truncated=found.truncated,
        guessed=0,
    )


def _of_recordings(
    listing: Listing, rows: range, identity: Identity, settings: ExtractionSettings, *, estimate: bool
) -> Survey:
    """State of a language that has no store."""
    samples, guessed = estimated_lengths.lengths(listing, settings.axis, estimate=estimate)
    frames = durations.frames_in_use(listing, samples, settings.axis, settings.long)
    return Survey(
        listing=listing,
        rows=rows,
        identity=identity,
        changes="",
        samples=samples,
        frames=frames,
        present=(False,) * len(frames),
        truncated=tuple(count > settings.axis.window_samples for count in samples),
        guessed=guessed,
    )


class Outcome:
    """Outcome of the utterances of a share.

    Attributes:
      todo: utterances to encode.
      done, skipped, left_out, truncated: counts, see extract.ExtractSummary.
      stored_frames: number of frames of each utterance stored now or before.
      audio_seconds: seconds of audio written by this run.
      failed: reasons by "language utterance".
      written: utterances written by this run.
      progress: display that counts finished utterances, None before it is set.
    """

    def __init__(self, languages: Sequence[tuple[LanguageStore, Survey]], axis: TimeAxis) -> None:
        """Read which utterances of the languages' shares are stored; report unusable ones at once."""
        self.todo: list[pipeline.PendingUtterance] = []
        self._axis = axis
        self.done = self.skipped = self.left_out = self.truncated = 0
        self.stored_frames: list[int] = []
        self.audio_seconds = 0.0
        self.failed: dict[str, str] = {}
        self.written: list[Utterance] = []
        self.progress: Progress | None = None
        for store, found in languages:
            # Listed once per store: on a network file system each listing of a folder takes seconds.
            present, cut = store.present(), store.coordinate("truncated")
            for row in found.rows:
                unit = pipeline.PendingUtterance(
                    store=store,
                    row=row,
                    frames=int(store.frames[row]),
                    utterance=found.listing.utterances[row],
                )
                self.truncated += bool(cut[row] and unit.frames)
                if present[row]:
                    self.skipped += 1
                    self.stored_frames.append(unit.frames)
                elif unit.frames:
                    self.todo.append(unit)
                else:
                    self._leave_out(unit)

    def _leave_out(self, unit: pipeline.PendingUtterance) -> None:
        reason, asked_for = durations.why_unusable(unit.utterance, self._axis)
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
        if self.progress is not None:
            self.progress.advance(stored=False)

    def finish(self, unit: pipeline.PendingUtterance) -> None:
        """Record an utterance that is on disk."""
        unit.store.forget_failure(unit.row)
        self.done += 1
        self.written.append(unit.utterance)
        self.stored_frames.append(unit.frames)
        # By frames, because a recording beyond the window is encoded only so far.
        self.audio_seconds += unit.frames * self._axis.frame_seconds
        if self.progress is not None:
            self.progress.advance(stored=False)  # it counted the utterance when the write ended

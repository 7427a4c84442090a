"""Lengths of recordings whose audio isn't fetched yet, estimated from the sizes of their files, for dry runs.

One question to the hub for the sizes of all files; no audio is moved. A file's bytes are divided among its
rows, and by the usual rate of the format: within a factor of two for the sum, of no use for one recording.
So no recording is called too short or too long by its estimate, which lies between one frame and the window.
"""

import logging
import pathlib
from collections.abc import Sequence

from isogloss.engine.corpora import durations
from isogloss.engine.corpora.listing import Listing, Utterance
from isogloss.engine.corpora.parquet_rows import RowSource
from isogloss.engine.corpora.stored_files import HubFiles, StoredSource
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis

_LOG = logging.getLogger(__name__)
# Bytes of a second of speech: 16 bits at 16 kHz, FLAC half of it, the others at usual rates of speech.
_RATES = {".wav": 32_000, ".flac": 16_000, ".mp3": 6_000, ".m4a": 8_000, ".ogg": 6_000, ".opus": 4_000}


def lengths(listing: Listing, axis: TimeAxis, *, estimate: bool) -> tuple[tuple[int, ...], int]:
    """Numbers of samples at 16 kHz, as `durations.lengths`, and how many of them are estimated.

    Unless lengths are to be estimated, audio is fetched where nothing else tells them.
    """
    if not estimate:
        return durations.lengths(listing), 0
    absent = _absent(listing.utterances)
    sizes = {
        (files, file): size
        for files in {files for files, _ in absent}
        for file, size in files.missing([file for of, file in absent if of == files]).items()
    }
    guessed = {
        utterance: min(max(_samples(utterance, sizes[key]), axis.frame_samples), axis.window_samples)
        for key, utterances in absent.items()
        for utterance in utterances
        if key in sizes
    }
    known = durations.lengths_of([each for each in listing.utterances if each not in guessed])
    found = iter(known)
    return tuple(guessed.get(each) or next(found) for each in listing.utterances), len(guessed)


def reported(count: int) -> dict[str, int]:
    """Entry of a plan that tells how many lengths are estimated, none if none are; also logged."""
    if not count:
        return {}
    _LOG.warning(
        "the lengths of %d recordings are estimated from the sizes of files that aren't fetched yet; hours, "
        "bytes and seconds may be off by a factor of two",
        count,
    )
    return {"estimated_lengths": count}


def _absent(utterances: Sequence[Utterance]) -> dict[tuple[HubFiles, str], list[Utterance]]:
    """Utterances whose lengths only audio of the hub tells, by repository and file."""
    found: dict[tuple[HubFiles, str], list[Utterance]] = {}
    for utterance in utterances:
        source = utterance.source
        if (
            isinstance(source, StoredSource)
            and isinstance(source.files, HubFiles)
            and source.promised is None
        ):
            source.require()  # offline, what isn't here is refused
            found.setdefault((source.files, source.file), []).append(utterance)
    return found


def _samples(utterance: Utterance, size: int) -> int:
    source = utterance.source
    rows = source.rows_of_file if isinstance(source, RowSource) else 1
    rate = _RATES.get(pathlib.PurePosixPath(source.name).suffix.lower(), _RATES[".wav"])
    return round(size / rows / rate * SAMPLE_RATE)

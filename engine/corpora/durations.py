"""Lengths of recordings, their numbers of frames, and reasons why recordings can't be used.

Reads only headers, in threads: about 0.3 ms a file; `undecodable` and `undecodable_soon` decode. Applies
`--long`.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from isogloss.engine.corpora import audio
from isogloss.engine.corpora.listing import Listing, Utterance
from isogloss.engine.runtime import disk_faults, name_lists
from isogloss.engine.runtime.refusal import Refusal, UnreachableError
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis

LEFT_OUT = "left out by --long=skip"  # end of the reason that isn't a failure
_THREADS = 8
_DECODED_HOURS = 1.0  # of audio that a dry run decodes: some 15 s on two cores
_LOG = logging.getLogger(__name__)


def lengths(listing: Listing) -> tuple[int, ...]:
    """Number of samples at 16 kHz of every recording; 0 if its header can't be read.

    Raises:
      UnreachableError: the disk fails, perhaps for a moment.
    """
    return lengths_of(listing.utterances)


def lengths_of(utterances: Sequence[Utterance]) -> tuple[int, ...]:
    """As `lengths`, of some utterances."""
    with ThreadPoolExecutor(_THREADS, "probe") as pool:
        return tuple(pool.map(_samples, utterances))


def frames_in_use(listing: Listing, samples: Sequence[int], axis: TimeAxis, long: str) -> tuple[int, ...]:
    """Number of frames of each recording; 0 if it can't be read or --long=skip leaves it out.

    Raises:
      Refusal: long is "error" and a recording exceeds the window.
    """
    window = axis.window_samples
    too_long = [u.source.name for u, n in zip(listing.utterances, samples, strict=True) if n > window]
    if too_long and long == "error":
        raise Refusal(
            f"{listing.corpus}: {len(too_long)} recordings of {listing.language} are longer than "
            f"{axis.window_seconds:g} s: {name_lists.first_names(too_long)}. "
            "Cut them, or choose --long=truncate or --long=skip"
        )
    return tuple(0 if n > window and long == "skip" else axis.frame_count(n) for n in samples)


def in_files(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Utterances in files of their own on this machine, so that nothing is fetched for a look at them."""
    return [utterance for utterance in utterances if isinstance(utterance.source, audio.FileSource)]


def through_ffmpeg(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Those of the utterances that libsndfile can't read; all are opened."""
    with ThreadPoolExecutor(_THREADS, "probe") as pool:
        found = pool.map(lambda utterance: audio.through_ffmpeg(utterance.source), utterances)
        return [utterance for utterance, by_it in zip(utterances, found, strict=True) if by_it]


def undecodable(utterances: Sequence[Utterance], axis: TimeAxis) -> dict[Utterance, str]:
    """Reason why an utterance whose header is sound can't be decoded; all are decoded, a thread a core."""
    with ThreadPoolExecutor(os.cpu_count() or 1, "decode") as pool:
        found = pool.map(lambda utterance: _why_undecodable(utterance, axis), utterances)
        return {utterance: why for utterance, why in zip(utterances, found, strict=True) if why}


def undecodable_soon(pending: Mapping[Utterance, int], axis: TimeAxis) -> dict[Utterance, str]:
    """As `undecodable`, for a dry run: little audio in files is decoded; a line in the log tells of the rest.

    `pending` has the number of frames of each utterance.
    """
    here = in_files(list(pending))
    hours = sum(pending[utterance] for utterance in here) * axis.frame_seconds / 3600
    if left := len(pending) - (len(here) if hours <= _DECODED_HOURS else 0):
        _LOG.info("%d recordings weren't decoded, which may find more broken ones: run isogloss check", left)
    return undecodable(here, axis) if hours <= _DECODED_HOURS else {}


def _why_undecodable(utterance: Utterance, axis: TimeAxis) -> str:
    try:
        audio.decode(utterance.source, axis.window_samples)
    except audio.AudioError as error:
        return str(error)
    return ""


def _samples(utterance: Utterance) -> int:
    try:
        return audio.samples(utterance.source)
    except audio.AudioError as error:
        if disk_faults.may_pass(str(error)):  # a store would keep for good that it is broken
            raise UnreachableError(str(error)) from error
        return 0  # `why_unusable` finds the reason again, in this run and in later ones


def why_unusable(utterance: Utterance, axis: TimeAxis) -> tuple[str, bool]:
    """Reason why an utterance has no frames, and True if the reason is --long=skip."""
    try:
        samples = audio.samples(utterance.source)
    except audio.AudioError as error:
        return str(error), False
    seconds = samples / SAMPLE_RATE
    if 0 < samples < axis.frame_samples:
        rule = f"{1000 * seconds:.1f} ms, but the encoder's first frame needs"
        return f"{utterance.source.name}: {rule} {1000 * axis.frame_samples / SAMPLE_RATE:g} ms", False
    if (window := axis.window_seconds) < seconds:
        return f"{utterance.source.name}: {seconds:.1f} s, over {window:g} s, {LEFT_OUT}", True
    return f"{utterance.source.name}: was broken when the store was made; extract into a new store", False

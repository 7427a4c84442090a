"""Lengths of recordings before anything is decoded, and the stores made from them.

Reads headers only, in threads: about 0.3 ms a file. Decides what `--long` means for each recording and finds
the ones that can't be used.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from isogloss.engine import activation_store, audio
from isogloss.engine.activation_store import Identity, LanguageStore
from isogloss.engine.listing import Listing, Utterance

LONG = ("truncate", "skip", "error")
_THREADS = 8
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """What the headers of one language's recordings say.

    Attributes:
      samples: length of each recording at 16 kHz, 0 where its header can't be read.
      frames: frames each gives to the store, 0 where it's left out.
    """

    samples: tuple[int, ...]
    frames: tuple[int, ...]


def survey(listing: Listing, positions: int, long: str) -> Survey:
    """Probe every recording of a language.

    Args:
      listing: utterances.
      positions: frames of the encoder's window.
      long: what to do with recordings that exceed it, one of LONG.

    Raises:
      ValueError: long is "error" and a recording exceeds the window.
    """
    with ThreadPoolExecutor(_THREADS, "probe") as pool:
        samples = tuple(pool.map(_samples, listing.utterances))
    window = positions * activation_store.SAMPLES_PER_FRAME
    too_long = [u.source.name for u, n in zip(listing.utterances, samples, strict=True) if n > window]
    if too_long and long == "error":
        seconds = window / audio.SAMPLE_RATE
        raise ValueError(
            f"{listing.corpus}: {len(too_long)} recordings of {listing.language} are longer than "
            f"{seconds:g} s: {', '.join(too_long[:10])}. Cut them, or choose --long=truncate or --long=skip"
        )
    frames = tuple(
        0 if n > window and long == "skip" else activation_store.frame_count(n, positions) for n in samples
    )
    return Survey(samples=samples, frames=frames)


def _samples(utterance: Utterance) -> int:
    try:
        return audio.samples(utterance.source)
    except audio.AudioError:
        return 0  # `why_unusable` says why, on this run and on every later one


def why_unusable(utterance: Utterance, positions: int) -> tuple[str, bool]:
    """Why an utterance has no frames, and whether that was asked for by --long=skip."""
    try:
        seconds = audio.samples(utterance.source) / audio.SAMPLE_RATE
    except audio.AudioError as error:
        return str(error), False
    window = positions * activation_store.SAMPLES_PER_FRAME / audio.SAMPLE_RATE
    if seconds > window:
        return (
            f"{utterance.source.name}: {seconds:.1f} s, over {window:g} s, left out by --long=skip",
            True,
        )
    return (
        f"{utterance.source.name}: was broken when the store was made; extract into a new store",
        False,
    )


def open_or_create(
    root: pathlib.Path,
    listing: Listing,
    *,
    states: Sequence[str],
    positions: int,
    features: int,
    long: str,
    identity: Identity,
) -> LanguageStore:
    """The language's store, made now if it isn't there; ValueError if it's of something else."""
    if listing.language in activation_store.languages(root):
        store = activation_store.open_store(root, listing.language)
    else:
        found = survey(listing, positions, long)
        store = activation_store.create(
            root,
            listing,
            found.samples,
            found.frames,
            states=states,
            positions=positions,
            features=features,
            identity=identity,
        )
    activation_store.check_identity(store, identity)
    return store

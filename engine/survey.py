"""What there is of a language before a run: its store's word, or the lengths of its recordings.

Reads headers only, in threads: about 0.3 ms a file. Decides what `--long` means for each recording and finds
the ones that can't be used.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from isogloss.engine import activation_store, audio, time_axis
from isogloss.engine.activation_store import Identity
from isogloss.engine.listing import Listing, Utterance

LONG = ("truncate", "skip", "error")
_THREADS = 8


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
      long: what to do with recordings that exceed it, one of LONG.

    Raises:
      ValueError: the store is of something else, or long is "error" and a recording exceeds the window.
    """
    if listing.language in activation_store.languages(root):
        store = activation_store.open_store(root, listing.language)
        activation_store.check_identity(store, identity)
        samples, frames = (), tuple(store.frames.tolist())
        present = tuple(store.present().tolist())
    else:
        samples = lengths(listing)
        frames = frames_in_use(listing, samples, positions, long)
        present = (False,) * len(frames)
    return Survey(listing=listing, identity=identity, samples=samples, frames=frames, present=present)


def lengths(listing: Listing) -> tuple[int, ...]:
    """Samples at 16 kHz of every recording, 0 where its header can't be read."""
    with ThreadPoolExecutor(_THREADS, "probe") as pool:
        return tuple(pool.map(_samples, listing.utterances))


def frames_in_use(listing: Listing, samples: Sequence[int], positions: int, long: str) -> tuple[int, ...]:
    """Frames that each recording gives, 0 for what can't be read and what --long=skip leaves out.

    Raises:
      ValueError: long is "error" and a recording exceeds the window.
    """
    window = positions * time_axis.SAMPLES_PER_FRAME
    too_long = [u.source.name for u, n in zip(listing.utterances, samples, strict=True) if n > window]
    if too_long and long == "error":
        seconds = window / time_axis.SAMPLE_RATE
        raise ValueError(
            f"{listing.corpus}: {len(too_long)} recordings of {listing.language} are longer than "
            f"{seconds:g} s: {', '.join(too_long[:10])}. "
            "Cut them, or choose --long=truncate or --long=skip"
        )
    return tuple(0 if n > window and long == "skip" else time_axis.frame_count(n, positions) for n in samples)


def _samples(utterance: Utterance) -> int:
    try:
        return audio.samples(utterance.source)
    except audio.AudioError:
        return 0  # `why_unusable` says why, on this run and on every later one


def why_unusable(utterance: Utterance, positions: int) -> tuple[str, bool]:
    """Why an utterance has no frames, and whether that was asked for by --long=skip."""
    try:
        seconds = audio.samples(utterance.source) / time_axis.SAMPLE_RATE
    except audio.AudioError as error:
        return str(error), False
    window = positions * time_axis.SAMPLES_PER_FRAME / time_axis.SAMPLE_RATE
    if seconds > window:
        return (
            f"{utterance.source.name}: {seconds:.1f} s, over {window:g} s, left out by --long=skip",
            True,
        )
    return (
        f"{utterance.source.name}: was broken when the store was made; extract into a new store",
        False,
    )

"""Growth of a language's store with its corpus: recordings are added, left out and found to be other ones.

A recording is known by the utterance's name and the fingerprint of its file. New ones get rows at the end;
those that the corpus no longer has keep their rows and states and have no place in the corpus, so that nobody
reads them until they come back. A changed file doesn't fit its stored states: that is refused unless the run
asks for them to be made again, because a wrong folder of audio is more likely than a wish to lose hours of
work. Labels are replaced in one step, after the states that they no longer describe are removed.
"""

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int

from isogloss.engine.activations import activation_store, stored_neurons
from isogloss.engine.activations.activation_store import Identity, LanguageStore
from isogloss.engine.corpora import durations
from isogloss.engine.corpora.listing import Listing
from isogloss.engine.runtime import name_lists, zarr_group, zarr_growth
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreGrowth:
    """Difference between a store and a listing.

    Attributes:
      text: number and names of recordings that are new, gone or changed; "" if there are none.
      lost: rows of the array whose states are of other recordings than the listing's.
      frames, truncated, present: by utterance of the listing; what is lost isn't present.
      columns: labels of the store by row of the array, as they should be; None if they are so.
    """

    text: str
    lost: tuple[int, ...]
    frames: tuple[int, ...]
    truncated: tuple[bool, ...]
    present: tuple[bool, ...]
    columns: dict[str, np.ndarray] | None


def compare(
    store: LanguageStore, listing: Listing, identity: Identity, axis: TimeAxis, long: str
) -> StoreGrowth:
    """Difference between a store and a listing; headers are read only of recordings that the store lacks.

    Args:
      store: store of the language.
      listing: utterances that it should have.
      identity: required identity of the store.
      axis: frames and window of the encoder.
      long: treatment of recordings longer than the window, truncate, skip or error.

    Raises:
      Refusal: the store has no utterance of the listing, or long is "error" and a new recording exceeds the
        window.
    """
    if _as_it_was(store, listing, identity):
        return StoreGrowth(
            text="",
            lost=(),
            frames=tuple(store.frames.tolist()),
            truncated=tuple(store.coordinate("truncated").tolist()),
            present=tuple(store.present().tolist()),
            columns=None,
        )
    held = store.columns
    rows = _rows(held, listing)
    known = rows < len(held["utterance"])
    if not known.any():
        raise Refusal(
            f"{store.path}: {listing.corpus} has none of its {known.size} utterances "
            f"({held['utterance'][0]}, ...), so it is of another corpus. Name another --store"
        )
    same = known & _same(held, listing, rows, known)
    columns = _listed(held, listing, rows, same, axis, long)
    stored = np.isin(rows, store.stored_rows())
    merged = _merged(held, columns, rows)
    return StoreGrowth(
        text=_text(held, listing, rows, same),
        lost=tuple(rows[known & ~same & stored].tolist()),
        frames=tuple(columns["frames"].tolist()),
        truncated=tuple(columns["truncated"].tolist()),
        present=tuple((same & stored).tolist()),
        columns=None if _equal(held, merged) else merged,
    )


def grow(
    root: Place, listing: Listing, identity: Identity, axis: TimeAxis, long: str, *, redo_changed: bool
) -> LanguageStore:
    """Existing store of a language, with the utterances of `listing` from now on.

    Raises:
      Refusal: see `compare` and `check_changed`.
      WriteError: the store can't be written.
    """
    path = root / f"{listing.language}.zarr"
    # Compared again under the lock, because another process may have grown it meanwhile.
    with zarr_growth.locked(path):
        store = activation_store.open_store(root, listing.language)
        found = compare(store, listing, identity, axis, long)
        check_changed(store, found, redo_changed=redo_changed)
        if found.columns is None:
            return store
        rows = len(found.columns["utterance"])
        shapes = {name: (rows, *store.group.arrays[name]["shape"][1:]) for name in store.arrays}
        labels = activation_store.coordinates(found.columns, store.states, axis)
        if stored_neurons.NAME in shapes:
            labels += stored_neurons.coordinates(shapes[stored_neurons.NAME][1])
        remove = [file for row in found.lost for file in store.files_of_row(row)]
        zarr_growth.relabel(path, identity.attributes(axis), labels, shapes, remove)
    return LanguageStore(group=zarr_group.open_group(path))


def check_changed(store: LanguageStore, found: StoreGrowth, *, redo_changed: bool) -> None:
    """Refuse to lose states whose recordings have changed, unless that is asked for."""
    if found.lost and not redo_changed:
        names = store.columns["utterance"][list(found.lost)]
        files = store.columns["source"][list(found.lost)]
        raise Refusal(
            f"{store.path}: {name_lists.changes((), (), list(names))}, since the states were stored "
            f"({name_lists.first_names(list(files))}). Restore the files, or add --redo_changed to make "
            "these states again"
        )


def _as_it_was(store: LanguageStore, listing: Listing, identity: Identity) -> bool:
    """True if nothing has changed; recordings whose headers couldn't be read must be looked at again."""
    described = store.attributes["corpus_sha256"]
    if "recording" not in store.columns:
        return described == listing.sha256()
    return described == identity.corpus_sha256 and not np.isnan(store.coordinate("duration")).any()


def _rows(held: Mapping[str, np.ndarray], listing: Listing) -> Int[np.ndarray, " U"]:
    """Row of the array for each utterance of a listing, by name; new ones follow the existing ones."""
    there = {name: row for row, name in enumerate(held["utterance"])}
    new = itertools.count(len(there))
    names = (utterance.name for utterance in listing.utterances)
    return np.asarray([there[name] if name in there else next(new) for name in names])


def _same(
    held: Mapping[str, np.ndarray],
    listing: Listing,
    rows: Int[np.ndarray, " U"],
    known: Bool[np.ndarray, " U"],
) -> Bool[np.ndarray, " U"]:
    """True for each known utterance whose recording is the store's."""
    # Any valid row for the unknown ones: `known` masks what is read there.
    at = np.where(known, rows, 0)
    samples = _samples(held["duration"][at])
    if "recording" in held:
        same = held["recording"][at] == np.asarray(listing.recordings, object)
        unread = known & same & (samples == 0)
    else:  # of an older format: known by file name and length
        same = held["source"][at] == np.asarray([u.source.name for u in listing.utterances], object)
        unread = known & same
    same = same.astype(bool)
    if unread.any():
        # A recording whose header couldn't be read had no length; that of an older format had no fingerprint.
        # In both cases the length decides.
        same[unread] = samples[unread] == durations.lengths(_some(listing, unread))
    return same


def _listed(
    held: Mapping[str, np.ndarray],
    listing: Listing,
    rows: Int[np.ndarray, " U"],
    same: Bool[np.ndarray, " U"],
    axis: TimeAxis,
    long: str,
) -> dict[str, np.ndarray]:
    """Labels of a listing's utterances; lengths of recordings that the store lacks are from their headers."""
    # Any valid row for the others, which are overwritten below.
    at = np.where(same, rows, 0)
    samples, frames = _samples(held["duration"][at]), held["frames"][at].copy()
    if not same.all():
        new = _some(listing, ~same)
        lengths = durations.lengths(new)
        samples[~same] = lengths
        frames[~same] = durations.frames_in_use(new, lengths, axis, long)
    return activation_store.columns(listing, samples.tolist(), frames.tolist(), axis)


def _samples(seconds: np.ndarray) -> Int[np.ndarray, " U"]:
    return np.rint(np.nan_to_num(seconds) * SAMPLE_RATE).astype(int)


def _some(listing: Listing, chosen: Bool[np.ndarray, " U"]) -> Listing:
    utterances = tuple(itertools.compress(listing.utterances, chosen))
    return dataclasses.replace(listing, utterances=utterances)


def _merged(
    held: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray], rows: Int[np.ndarray, " U"]
) -> dict[str, np.ndarray]:
    """Labels by row of the array; rows without an utterance keep theirs, except the place."""
    there = len(held["utterance"])
    merged = {}
    for name, values in columns.items():
        blank = "" if values.dtype == object else -1 if name == "place" else values.dtype.type(0)
        merged[name] = np.full(max(there, rows.max() + 1), blank, values.dtype)
        if name in held and name != "place":
            merged[name][:there] = held[name]
        # Rows never move: states of a row stay those of its utterance, whatever the listing's order.
        merged[name][rows] = values
    return merged


def _equal(held: Mapping[str, np.ndarray], merged: Mapping[str, np.ndarray]) -> bool:
    return all(
        name in held and np.array_equal(held[name], values, equal_nan=values.dtype.kind == "f")
        for name, values in merged.items()
    )


def _text(
    held: Mapping[str, np.ndarray],
    listing: Listing,
    rows: Int[np.ndarray, " U"],
    same: Bool[np.ndarray, " U"],
) -> str:
    """Names of what is new, gone or changed: sentences, or recordings if a sentence may have several."""
    listed = held.get("place", np.arange(len(held["utterance"]))) >= 0
    new = [row >= len(listed) or not listed[row] for row in rows]
    # Sentence ids mean more to a reader than names of recordings, where one stands for the other.
    single = not any(utterance.rank for utterance in listing.utterances)
    names = [utterance.sentence if single else utterance.name for utterance in listing.utterances]
    gone = np.setdiff1d(np.flatnonzero(listed), rows)
    changed = [name for name, other, added in zip(names, ~same, new, strict=True) if other and not added]
    return name_lists.changes(
        list(itertools.compress(names, new)),
        list(held["sentence" if single else "utterance"][gone]),
        changed,
        "sentence" if single else "recording",
    )

"""State of a store: one listing and one file of metadata for each language; no label, no audio is read.

Languages with which no process has begun are counted by what extract has written down of them.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from isogloss.engine.activations import activation_store, store_languages
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.corpora import durations
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.tallies.pace import pace
from isogloss.engine.tallies.tally import Count, Tally

_THREADS = 8  # languages listed at once


def tally(root: Place) -> Tally:
    """Utterances by language; Refusal if no language is extracted."""
    stores = activation_store.stores(root)
    if not stores:
        raise Refusal(f"{root}: no language is extracted there; name another --store")
    found = _each(stores)
    begun = {code: count for code, (count, _, _) in found.items()}
    planned = {code: Count(total=size) for code, size in store_languages.planned(root).items()}
    by_language = dict(sorted((planned | begun).items()))
    total = sum(by_language.values(), Count())
    files = [(code, row) for code, (_, rows, _) in found.items() for row in rows]

    def place(index: int) -> Place:
        code, row = files[index]
        return stores[code].group.chunk("states", (row, 0, 0, 0))

    return Tally(
        unit="utterances",
        count=total,
        parts={"language": by_language},
        reasons={
            f"{code} {name}": why for code, (_, _, notes) in found.items() for name, why in notes.items()
        },
        pace=pace(len(files), place, total.left),
    )


def counts(stores: Mapping[str, LanguageStore]) -> dict[str, Count]:
    """Utterances of some languages, by language."""
    return {code: count for code, (count, _, _) in _each(stores).items()}


def _each(stores: Mapping[str, LanguageStore]) -> dict[str, tuple[Count, list[int], dict[str, str]]]:
    with ThreadPoolExecutor(_THREADS, "status") as pool:
        return dict(zip(stores, pool.map(_language, stores.values()), strict=True))


def _language(store: LanguageStore) -> tuple[Count, list[int], dict[str, str]]:
    """Counts of a language, its stored rows, and the reason of each failure by the utterance's name."""
    [total] = store.group.arrays["utterance"]["shape"]
    rows = set(store.stored_rows())
    listed = set(range(total))
    if "place" in store.group.arrays:  # rows of recordings that the corpus no longer has are -1
        listed = set(np.flatnonzero(store.group.open_array("place").read().result() >= 0).tolist())
    notes = {row: note for row, note in store.notes().items() if row in listed - rows}
    left_out = {row for row, note in notes.items() if note["error"].endswith(durations.LEFT_OUT)}
    failed = {note["utterance"]: note["error"] for row, note in notes.items() if row not in left_out}
    count = Count(
        done=len(rows & listed), total=len(listed), failed=len(notes) - len(left_out), left_out=len(left_out)
    )
    return count, sorted(rows), failed

"""Languages of a store: those that are there, and those that an extraction is to store.

A process of extract makes the stores of its own share's languages only. STORE/languages.json names those of
all processes: without it a language with which no process has begun would be missing from a grid, and from
the counts of status, without a word.
"""

import json
from collections.abc import Mapping, Sequence

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.runtime import objects
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

_NAME = "languages.json"


def plan(root: Place, sizes: Mapping[str, int]) -> None:
    """Write down languages and their numbers of utterances; those of earlier runs stay."""
    before = planned(root)
    wanted = before | dict(sizes)
    if wanted != before:  # of the processes of a run all would write the same
        objects.write(root / _NAME, (json.dumps(wanted, sort_keys=True) + "\n").encode())


def planned(root: Place) -> dict[str, int]:
    """Number of utterances by language; none of stores made before there was such a file."""
    content = objects.read(root / _NAME)
    return json.loads(content) if content else {}


def chosen(root: Place, wanted: Sequence[str]) -> dict[str, LanguageStore]:
    """Stores of the languages wanted under `root`, of all if none is named.

    Raises:
      Refusal: a language isn't there; if none is named, a language with which no process has begun.
    """
    if wanted:
        return {code: activation_store.open_store(root, code) for code in wanted}
    found = activation_store.stores(root)
    if absent := sorted(planned(root).keys() - found.keys()):
        raise Refusal(
            f"{root}: no process of extract has begun with {first_names(absent)}. Remedy: run its other "
            "shards, or name --languages"
        )
    return found


def compared(root: Place, wanted: Sequence[str], what: str) -> dict[str, LanguageStore]:
    """Stores as of `chosen`, sorted, for a job that compares them.

    Args:
      root: folder of the stores.
      wanted: codes of languages.
      what: the job in messages, such as "a grid".

    Raises:
      Refusal: as of `chosen`, or there are fewer than two.
    """
    found = chosen(root, sorted(wanted))
    if len(found) < 2:
        raise Refusal(f"{root}: {what} needs two extracted languages, got {', '.join(found) or 'none'}")
    return found

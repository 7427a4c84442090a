"""Languages of a store: those that are there, and those that an extraction is to store.

A process of extract makes the stores of its own share's languages only. STORE/languages/CODE.json names each
of all processes: without it a language with which no process has begun would be missing from a grid, and from
the counts of status, without a word. Each language has a file of its own, so that processes that write at the
same time lose nothing of each other, in a bucket too.
"""

import json
import re
from collections.abc import Mapping, Sequence

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.runtime import objects
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

_FOLDER = "languages"
_FILE = re.compile(r"([^.].*)\.json")


def plan(root: Place, sizes: Mapping[str, int]) -> None:
    """Write down languages and their numbers of utterances; those of earlier runs stay."""
    before = planned(root)
    for code, size in sizes.items():
        if before.get(code) != size:  # of the processes of a run all would write the same
            objects.write(_file(root, code), (json.dumps({"utterances": size}) + "\n").encode())


def planned(root: Place) -> dict[str, int]:
    """Number of utterances by language, sorted; none of stores made before there were such files."""
    names = objects.children(root / _FOLDER)
    codes = sorted(found[1] for found in map(_FILE.fullmatch, names) if found)
    contents = objects.read_all([_file(root, code) for code in codes])
    return {code: json.loads(text)["utterances"] for code, text in zip(codes, contents, strict=True) if text}


def codes(root: Place) -> tuple[str, ...]:
    """Languages that are stored or are to be, sorted: the same whichever shards have begun."""
    return tuple(sorted(planned(root).keys() | activation_store.stores(root).keys()))


def every(root: Place, other: str = "") -> dict[str, LanguageStore]:
    """Stores of all languages under `root`; Refusal, with an `other` remedy, if a planned one has none."""
    found = activation_store.stores(root)
    if absent := sorted(planned(root).keys() - found.keys()):
        raise Refusal(
            f"{root}: no process of extract has begun with {first_names(absent)}, or what it stored was "
            f"removed. Remedy: run the other shards of extract{other}; if a language was removed on purpose, "
            f"remove its file too, such as {_file(root, absent[0])}"
        )
    return found


def chosen(root: Place, wanted: Sequence[str]) -> dict[str, LanguageStore]:
    """Stores of the languages wanted under `root`, of all if none is named.

    Raises:
      Refusal: a language isn't there; if none is named, a language with which no process has begun.
    """
    if wanted:
        return {code: activation_store.open_store(root, code) for code in wanted}
    return every(root, ", or name --languages")


def _file(root: Place, code: str) -> Place:
    return root / _FOLDER / f"{code}.json"


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

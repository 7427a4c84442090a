"""Languages of a store: those that are there, and those that an extraction is to store.

A process of extract makes the stores of its own share's languages only. STORE/languages/CODE.json names each
of all processes, with its number of utterances: without it a language with which no process has begun would
be missing from a grid, and from the counts of status, without a word. Each language has a file of its own, so
that processes that write at the same time lose nothing of each other, in a bucket too.

The file is also the claim of a model and settings on a language: it is made only if there is none, so of two
processes that begin at the same moment on an empty store, with different models, one is refused.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from isogloss.engine.activations import activation_store, state_origin
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.runtime import objects
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

_FOLDER = "languages"
_FILE = re.compile(r"([^.].*)\.json")


def plan(
    root: Place, sizes: Mapping[str, int], origin: Mapping[str, Json], stored: Collection[str] = ()
) -> None:
    """Write down languages and their numbers of utterances; those of earlier runs stay.

    Args:
      root: folder of all stores.
      sizes: number of utterances by language.
      origin: model, weights and settings that they are to be stored from.
      stored: languages that have a store, which tells its origin better.

    Raises:
      Refusal: another process plans to store one of them from another model or other settings.
    """
    before, claimed = _described(root), []
    for code, size in sizes.items():
        file, wanted = _file(root, code), json.loads(json.dumps({"utterances": size, **origin}))
        content = (json.dumps(wanted) + "\n").encode()
        if code not in before:
            if objects.write_new(file, content):
                claimed.append(file)
                continue
            before[code] = json.loads(objects.read(file) or b"{}")
        try:
            _check(file, before[code], origin, other=code not in stored)
        except Refusal:
            for mine in claimed:  # of a run that stores nothing
                objects.remove(mine)
            raise
        if before[code] != wanted:  # of the processes of a run all would write the same
            objects.write(file, content)


def check(root: Place, codes: Collection[str], origin: Mapping[str, Json]) -> None:
    """Refuse what `plan` would refuse of languages without a store; nothing is written."""
    for code, found in _described(root).items():
        _check(_file(root, code), found, origin, other=code in codes)


def _check(file: Place, found: Mapping[str, Json], origin: Mapping[str, Json], *, other: bool) -> None:
    # Files of earlier versions have no origin.
    if other and "settings" in found and (lines := state_origin.differences(found, origin)):
        raise Refusal(
            f"{file}: that language is to be stored from another model or other settings{lines}\n"
            "  Remedy: name another --store, or use those flags; if no such process runs any more, remove "
            f"{file.parent}"
        )


def planned(root: Place) -> dict[str, int]:
    """Number of utterances by language, sorted; none of stores made before there were such files."""
    return {code: found["utterances"] for code, found in _described(root).items()}


def _described(root: Place) -> dict[str, dict[str, Any]]:
    names = objects.children(root / _FOLDER)
    codes = sorted(found[1] for found in map(_FILE.fullmatch, names) if found)
    contents = objects.read_all([_file(root, code) for code in codes])
    return {code: json.loads(text) for code, text in zip(codes, contents, strict=True) if text}


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
    if not found:
        raise Refusal(
            f"{root}: {what} needs two extracted languages, and no store is there. Remedy: name the folder "
            "that extract's --store named, or run extract"
        )
    if len(found) < 2:
        raise Refusal(f"{root}: {what} needs two extracted languages, got {', '.join(found)}")
    return found

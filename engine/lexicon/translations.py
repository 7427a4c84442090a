"""Translations of words, from tables and from dictionaries in dictd's format.

Where a word isn't found, nothing is known of its meaning: it may still be a translation. So a pair of words
is compared only if both are found.
"""

import dataclasses
import pathlib
from collections.abc import Collection, Mapping, Sequence

from isogloss.engine.corpora import tsv
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.texts import dictd
from isogloss.engine.texts.spoken_words import single_word

_COLUMNS = ("language_a", "word_a", "language_b", "word_b")
_FORMS = "FILE.tsv or LANG_A:LANG_B:FILE.index"


@dataclasses.dataclass(frozen=True)
class Translations:
    """Words and their translations, as they are spoken, by pair of languages in the order they were found."""

    found: Mapping[tuple[str, str], Collection[tuple[str, str]]]

    def between(self, a: str, b: str) -> set[tuple[str, str]]:
        """Words of a with their translations in b, whichever of the two the source is written for."""
        return {*self.found.get((a, b), ()), *((x, y) for y, x in self.found.get((b, a), ()))}


def read(given: Sequence[str], words: Mapping[str, Collection[str]]) -> Translations | None:
    """Translations that --translations names, of the words of each language; None if it names none.

    Raises:
      Refusal: a file is missing, has another form, or is of other languages.
    """
    if not given:
        return None
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for source in given:
        a, _, rest = source.partition(":")
        b, _, path = rest.partition(":")
        if source.endswith(".index") and path:
            _add_dictionary(found, source, (a, b), pathlib.Path(path).expanduser(), words)
        elif source.endswith(".tsv"):
            _add_table(found, pathlib.Path(source).expanduser(), words)
        else:
            raise Refusal(f"--translations={source}: must be {_FORMS}")
    return Translations(found)


def _add_dictionary(
    found: dict[tuple[str, str], set[tuple[str, str]]],
    source: str,
    pair: tuple[str, str],
    index: pathlib.Path,
    words: Mapping[str, Collection[str]],
) -> None:
    if unknown := [code for code in pair if code not in words]:
        raise Refusal(f"--translations={source}: {unknown[0]} is none of the languages {', '.join(words)}")
    held = dictd.translations(index, words[pair[0]])
    found.setdefault(pair, set()).update((word, each) for word in held for each in held[word])


def _add_table(
    found: dict[tuple[str, str], set[tuple[str, str]]],
    path: pathlib.Path,
    words: Mapping[str, Collection[str]],
) -> None:
    for a, x, b, y in tsv.table(path, _COLUMNS, "--translations="):
        if {a, b} <= words.keys() and (pair := (single_word(x), single_word(y))) and all(pair):
            found.setdefault((a, b), set()).add(pair)

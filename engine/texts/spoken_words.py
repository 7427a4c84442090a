"""Words of a sentence as they are spoken: without punctuation, in lower case.

A word is what stands between spaces, without signs at its ends; in languages written without spaces, by the
table of languages, it is a character with its marks. Signs inside a word stay: "l'eau" is one.
"""

import unicodedata

from isogloss.engine.corpora.languages import without_spaces


def spoken_words(text: str, language: str) -> tuple[str, ...]:
    """Words of a text in order, each with at least one letter or digit."""
    pieces = text.casefold().split()
    if without_spaces(language):
        pieces = [character for piece in pieces for character in _characters(piece)]
    return tuple(bare for piece in pieces if (bare := _bare(piece)))


def single_word(text: str) -> str:
    """The word that a text consists of, as it is spoken; "" if it has several or none.

    Words are what stands between spaces here, in all languages: a text without a space is one word.
    """
    words = [bare for piece in text.casefold().split() if (bare := _bare(piece))]
    return words[0] if len(words) == 1 else ""


def _characters(text: str) -> list[str]:
    """Letters with the marks that follow them."""
    found: list[str] = []
    for character in text:
        if found and unicodedata.category(character)[0] == "M":
            found[-1] += character
        else:
            found.append(character)
    return found


def _bare(word: str) -> str:
    """The word without signs at its ends."""
    held = [i for i, character in enumerate(word) if unicodedata.category(character)[0] in "LMN"]
    return word[held[0] : held[-1] + 1] if held else ""

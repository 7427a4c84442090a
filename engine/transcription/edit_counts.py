"""Edit distances of texts and references in words and characters, as written and normalised.

Levenshtein distances by rapidfuzz, of words split as jiwer splits them; `error_rates` makes rates of their
sums. Normalisation is that of Whisper's authors: transformers' EnglishTextNormalizer for English, its
BasicTextNormalizer otherwise. The basic one replaces combining marks by spaces, vowel signs of Indic scripts
among them, so the normalised rates of those languages are too low; compare the rates as written.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Int
from rapidfuzz.distance import Levenshtein
from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

from isogloss.engine.corpora.languages import without_spaces
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.transcription import bleu_chrf

COUNTS = tuple(
    f"{what}{form}" for form in ("", "_normalised") for what in ("word_edits", "words", "char_edits", "chars")
)
"""Columns of `counts`: edits, and length of the reference, as written and normalised."""

_ONCE_WITH_SPACES = ("bo", "km")  # parts of earlier versions count spaces of these as characters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normaliser:
    """Rules that make texts of a language comparable.

    Attributes:
      name: in the summary.
      rules: name in keys of parts, where texts that are counted otherwise than once have another.
      normal: the function.
      spaces: whether spaces count as characters.
      tokenizer: sacrebleu's, for BLEU.
    """

    name: str
    rules: str
    normal: Callable[[str], str]
    spaces: bool
    tokenizer: str

    def __call__(self, text: str) -> str:
        """Normalised text, without spaces at its ends."""
        return self.normal(text).strip()


def normaliser(language: str, spellings: Mapping[str, str] | None) -> Normaliser:
    """Normaliser of a language by Whisper's code; any other code has the basic rules.

    `spellings` are American by British, from `read_spellings`; None if the model has none.
    """
    tokenizer = bleu_chrf.bleu_tokenizer(language)
    if language == "en":
        name = "english" if spellings is not None else "english without spellings"
        normal = EnglishTextNormalizer(dict(spellings or {}))
        return Normaliser(name=name, rules=name, normal=normal, spaces=True, tokenizer=tokenizer)
    spaces = not without_spaces(language)
    rules = "basic, without spaces" if language in _ONCE_WITH_SPACES else "basic"
    normal = BasicTextNormalizer()
    return Normaliser(name="basic", rules=rules, normal=normal, spaces=spaces, tokenizer=tokenizer)


def read_spellings(file: pathlib.Path) -> dict[str, str]:
    """Table of English spellings that a model's folder holds as normalizer.json."""
    try:
        table = json.loads(file.read_text("utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one too
        raise Refusal(f"{file}: not JSON: {error}. Remedy: fetch the file again.") from error
    if not isinstance(table, dict) or not all(isinstance(word, str) for word in table.values()):
        raise Refusal(f"{file}: must hold an object of words by words. Remedy: fetch the file again.")
    return table


def usable(reference: str, normal: Normaliser) -> bool:
    """True if a normalised reference has letters or digits."""
    return any(letter.isalnum() for letter in normal(reference))


def counts(
    references: Sequence[str], texts: Sequence[str], normal: Normaliser
) -> dict[str, Int[np.ndarray, " U"]]:
    """Edits of each text against its `usable` reference and lengths of the reference, see COUNTS."""
    columns: dict[str, Int[np.ndarray, " U"]] = {}
    for form in ("", "_normalised"):
        pairs = [(r.strip(), t.strip()) for r, t in zip(references, texts, strict=True)]
        if form:
            pairs = [(normal(r), normal(t)) for r, t in pairs]
        words = [(_words(r), _words(t)) for r, t in pairs]
        if not normal.spaces:
            # In such a script spaces separate no words, and writers set them as they like.
            pairs = [("".join(r.split()), "".join(t.split())) for r, t in pairs]
        for unit, split in (("word", words), ("char", pairs)):
            # Of lists of words or of strings: rapidfuzz compares elements, whatever they are.
            edits = [Levenshtein.distance(r, t) for r, t in split]
            columns[f"{unit}_edits{form}"] = np.asarray(edits, np.int64)
            columns[f"{unit}s{form}"] = np.asarray([len(r) for r, _ in split], np.int64)
    return columns


def _words(text: str) -> list[str]:
    """Words of a text; white space is a space or a run of two or more, so a no-break space joins."""
    return [word for word in re.sub(r"\s\s+", " ", text).split(" ") if word]

"""What two texts differ by: words and characters, as written and normalised as Whisper's authors do.

Counts are jiwer's (Levenshtein); rates are made of their sums in `transcript_scores`. Normalisation is
transformers' BasicTextNormalizer, for English its EnglishTextNormalizer. The basic one turns combining marks
into spaces, vowel signs of Indic and other scripts among them, so rates of those languages are known to look
better normalised than they are: the figures as written stand beside them. About 50 us a pair of texts.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

import jiwer
import numpy as np
from jaxtyping import Int
from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

from isogloss.engine.corpora.languages import WITHOUT_SPACES

COUNTS = tuple(
    f"{what}{form}" for form in ("", "_normalised") for what in ("word_edits", "words", "char_edits", "chars")
)
"""Columns of `counts`: edits, and length of the reference, as written and normalised."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normaliser:
    """How texts of a language are made comparable.

    Attributes:
      name: what the summary calls it.
      normal: the function.
      spaces: whether characters are compared with the spaces between words.
    """

    name: str
    normal: Callable[[str], str]
    spaces: bool

    def __call__(self, text: str) -> str:
        """The text, normalised, without spaces around it."""
        return self.normal(text).strip()


def normaliser(language: str, spellings: Mapping[str, str] | None) -> Normaliser:
    """The normaliser of one of Whisper's languages.

    Args:
      language: by Whisper's code; any other word is a language without rules of its own.
      spellings: American for British, from `read_spellings`; None where the model brings none.
    """
    if language == "en":
        name = "english" if spellings is not None else "english without spellings"
        return Normaliser(name=name, normal=EnglishTextNormalizer(dict(spellings or {})), spaces=True)
    return Normaliser(name="basic", normal=BasicTextNormalizer(), spaces=language not in WITHOUT_SPACES)


def read_spellings(file: pathlib.Path) -> dict[str, str]:
    """Table of English spellings that a model's folder holds as normalizer.json."""
    try:
        table = json.loads(file.read_text("utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one too
        raise ValueError(f"{file}: not JSON: {error}. Remedy: fetch the file again.") from error
    if not isinstance(table, dict) or not all(isinstance(word, str) for word in table.values()):
        raise ValueError(f"{file}: must hold an object of words by words. Remedy: fetch the file again.")
    return table


def usable(reference: str, normal: Normaliser) -> bool:
    """Whether a reference has letters or digits to compare with, normalised too."""
    return any(letter.isalnum() for letter in normal(reference))


def counts(
    references: Sequence[str], texts: Sequence[str], normal: Normaliser
) -> dict[str, Int[np.ndarray, " U"]]:
    """Edits and lengths of each text against its reference, see COUNTS.

    Args:
      references: `usable` ones.
      texts: what was decoded; an empty one costs the whole reference.
      normal: of the language.
    """
    columns: dict[str, Int[np.ndarray, " U"]] = {}
    for form in ("", "_normalised"):
        pairs = [(r.strip(), t.strip()) for r, t in zip(references, texts, strict=True)]
        if form:
            pairs = [(normal(r), normal(t)) for r, t in pairs]
        columns |= _counted(f"word_edits{form}", f"words{form}", jiwer.process_words, pairs)
        if not normal.spaces:
            pairs = [("".join(r.split()), "".join(t.split())) for r, t in pairs]
        columns |= _counted(f"char_edits{form}", f"chars{form}", jiwer.process_characters, pairs)
    return columns


def _counted(
    edits: str,
    lengths: str,
    process: Callable[..., jiwer.WordOutput] | Callable[..., jiwer.CharacterOutput],
    pairs: Sequence[tuple[str, str]],
) -> dict[str, Int[np.ndarray, " U"]]:
    if not pairs:
        return {name: np.zeros(0, np.int64) for name in (edits, lengths)}
    references, texts = ([pair[side] for pair in pairs] for side in (0, 1))
    output = process(references, texts)
    found = [
        sum(
            max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
            for chunk in chunks
            if chunk.type != "equal"
        )
        for chunks in output.alignments
    ]
    sizes = [len(units) for units in output.references]
    return {edits: np.asarray(found, np.int64), lengths: np.asarray(sizes, np.int64)}

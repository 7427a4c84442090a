"""Proper names in sentences, found by spaCy or given in a table.

Whatever finds names errs in its own way (a model may take "Veuillez" for a person), so every name that each
rater gives is kept as evidence. spaCy reads the raw text: in lower case it misses most names. It needs the
extra `names`, and a model for each language (python -m spacy download MODEL).
"""

import importlib
import pathlib
from collections.abc import Mapping, Sequence

from isogloss.engine.corpora import tsv
from isogloss.engine.runtime.refusal import Refusal, install

Names = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Names by language and sentence; a language that is there was read, a sentence that is not has none."""

NONE = "none"
LABELS = frozenset(
    "EVENT FAC GPE LANGUAGE LAW LOC MISC NORP ORG PER PERSON PRODUCT WORK_OF_ART persName placeName".split()
)
"""Labels of spaCy's models that are proper names; dates, times and amounts are not."""
_COLUMNS = ("language", "sentence", "name")
_FORMS = "LANG:spacy:MODEL, table:FILE.tsv or none"


def find(
    given: Sequence[str], texts: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Names of the sentences of `texts` (by language and sentence), by the raters of --names.

    Raises:
      Refusal: a rater has another form, can't be opened, or is of a language that the grid lacks.
    """
    if tuple(given) == (NONE,):
        return {}
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for rater in given:
        first, _, rest = rater.partition(":")
        kind, _, model = rest.partition(":")
        if first == "table" and rest:
            made = _of_table(pathlib.Path(rest).expanduser())
            made = {code: held for code, held in made.items() if code in texts}
        elif kind == "spacy" and model and first in texts:
            made = {first: _of_spacy(rater, model, texts[first])}
        else:
            known = f"; languages are {', '.join(texts)}" if kind == "spacy" and model else ""
            raise Refusal(f"--names={rater}: must be {_FORMS}{known}")
        if twice := found.keys() & made.keys():
            raise Refusal(f"--names gives {', '.join(sorted(twice))} twice; give each language one rater")
        found |= made
    return found


def _of_table(path: pathlib.Path) -> dict[str, dict[str, tuple[str, ...]]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for language, sentence, name in tsv.table(path, _COLUMNS, "--names=table:"):
        held = found.setdefault(language, {})
        # A sentence with an empty name was read and has none.
        held[sentence] = (*held.get(sentence, ()), *([name] if name else []))
    return found


def _of_spacy(rater: str, model: str, texts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    try:
        spacy = importlib.import_module("spacy")  # an extra that takes seconds
    except ImportError as error:
        raise Refusal(
            f"--names={rater} needs spaCy, and {error.name} isn't installed: {install('names')}, "
            "or give names by table:FILE.tsv"
        ) from error
    try:
        read = spacy.load(model)
    except (OSError, ValueError) as error:
        raise Refusal(
            f"--names={rater}: {str(error).splitlines()[0]} Install it: python -m spacy download {model}"
        ) from error
    return {
        sentence: tuple(each.text for each in document.ents if each.label_ in LABELS)
        for sentence, document in zip(texts, read.pipe(texts.values()), strict=True)
    }

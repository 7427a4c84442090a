"""The corpora that `--corpus` names, and what every corpus can do.

A corpus is opened without its audio: unknown words, missing columns and missing files
are found here, before any compute. Readers are one module each.
"""

import pathlib
from typing import Literal, Protocol, runtime_checkable

from isogloss.engine import manifest
from isogloss.engine.listing import Listing, Utterance

__all__ = ["FORMS", "Corpus", "Listing", "Utterance", "open_corpus"]

FORMS = "fleurs, fleurs:SPLIT, fleurs-dir:PATH[:SPLIT], manifest:FILE.tsv"


@runtime_checkable
class Corpus(Protocol):
    """Utterances of several languages that share sentences.

    Attributes:
      description: the corpus in words that hold on every machine, with its pinned revision.
    """

    description: str

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that a listing can be asked for."""
        ...

    def listing(self, language: str, recordings: Literal["first", "all"] = "first") -> Listing:
        """Utterances of one language; ValueError if the corpus lacks it."""
        ...


def open_corpus(spec: str) -> Corpus:
    """Open the corpus that `--corpus=spec` names; ValueError for anything else."""
    kind, _, rest = spec.partition(":")
    if kind == "manifest" and rest:
        return manifest.Manifest(pathlib.Path(rest).expanduser())
    raise ValueError(f"--corpus={spec} is not one of: {FORMS}")

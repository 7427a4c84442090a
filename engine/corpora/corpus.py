"""The corpora that `--corpus` names, and what every corpus can do.

A corpus is opened without its audio: unknown words, missing columns and missing files
are found here, before any compute. Readers are one module each; `fleurs` alone may
download, one language at a time, when its listing is asked for.
"""

import pathlib
from typing import Protocol, runtime_checkable

from isogloss.engine.corpora import (
    fleurs_hub,
    fleurs_parquet,
    fleurs_tsv,
    languages as fleurs_languages,
    manifest,
)
from isogloss.engine.corpora.listing import Listing, Utterance
from isogloss.engine.runtime.refusal import Refusal

__all__ = ["FORMS", "Corpus", "Listing", "Utterance", "open_corpus"]

FORMS = "fleurs, fleurs:SPLIT, fleurs-dir:PATH, fleurs-dir:PATH:SPLIT, manifest:FILE.tsv"


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

    def listing(self, language: str, recordings: str = "first") -> Listing:
        """Utterances of one language; Refusal if the corpus lacks it."""
        ...


def open_corpus(spec: str) -> Corpus:
    """Open the corpus that `--corpus=spec` names; Refusal for anything else.

    A path may hold colons: only a last part that is a split's name is taken for one.
    """
    splits = fleurs_languages.SPLITS
    kind, colon, rest = spec.partition(":")
    if kind == "fleurs" and (rest in splits or not colon):
        return fleurs_hub.Hub(splits[rest or "test"])
    if kind == "fleurs-dir" and rest:
        path, _, last = rest.rpartition(":")
        if not path or last not in splits:
            path, last = rest, "test"
        return _open_folder(pathlib.Path(path).expanduser(), splits[last])
    if kind == "manifest" and rest:
        return manifest.Manifest(pathlib.Path(rest).expanduser())
    raise Refusal(f"--corpus={spec} is none of: {FORMS}. SPLIT is one of {', '.join(splits)}, default test.")


def _open_folder(folder: pathlib.Path, split: str) -> Corpus:
    """Open a FLEURS folder in the form that its files have."""
    tree = fleurs_tsv.Tree(folder, split)
    if tree.languages():
        return tree
    parquet = fleurs_parquet.Folder(folder, split)
    if parquet.languages():
        return parquet
    raise Refusal(
        f"{folder} holds no {split} split of FLEURS: neither LANGUAGE/{split}.tsv nor "
        f"{' nor '.join(fleurs_parquet.patterns('LANGUAGE', split))}. "
        "Give the folder that holds the language folders; in a clone of the hub's it is data/."
    )

"""The corpora that `--corpus` names, and the interface of every corpus.

A corpus is opened without its audio: unknown words, missing columns and missing files
are found here, before any computation. Each reader is a module of its own. Only `fleurs`
downloads: a language's texts when it is listed, its audio when a recording is decoded.
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
      description: the same on every machine, with the pinned revision.
    """

    description: str

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that can be listed."""
        ...

    def listing(self, language: str, recordings: str = "first") -> Listing:
        """Utterances of one language; Refusal if the corpus lacks it."""
        ...


def open_corpus(spec: str) -> Corpus:
    """The corpus that `--corpus=spec` names; Refusal for anything else.

    A path may contain colons: its last part is a split only if it is the name of one.
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
    raise Refusal(
        f"--corpus={spec} must be one of: {FORMS}. SPLIT is one of {', '.join(splits)}, default test."
    )


def _open_folder(folder: pathlib.Path, split: str) -> Corpus:
    """Corpus of a FLEURS folder, read in the format of its files."""
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

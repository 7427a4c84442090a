"""Corpora that `--corpus` can name, and their common interface.

Opening a corpus doesn't read audio; it finds unknown names, missing columns and missing files before any
computation. Each reader is a module of its own. Only `fleurs` downloads: a language's texts when it is
listed, its audio when a recording is decoded.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from isogloss.engine.corpora.languages import SPLITS
from isogloss.engine.runtime.refusal import Refusal

if TYPE_CHECKING:
    from isogloss.engine.corpora.listing import Listing


@runtime_checkable
class Corpus(Protocol):
    """Utterances of several languages that share sentences.

    Attributes:
      description: name of the corpus with its pinned revision, the same on every machine.
    """

    description: str

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that can be listed."""
        ...

    def listing(self, language: str, recordings: str = "first") -> "Listing":
        """Utterances of one language; Refusal if the corpus lacks it."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """Kind of corpus.

    Attributes:
      name: first part of the value of --corpus, before a colon.
      forms: allowed values, as help shows them.
      open: function of the text after the colon (None without a colon); returns None if the text has no
        allowed form.
    """

    name: str
    forms: tuple[str, ...]
    open: Callable[[str | None], Corpus | None]


def open_corpus(spec: str) -> Corpus:
    """Corpus that `--corpus=spec` names; Refusal if there is none."""
    name, colon, rest = spec.partition(":")
    for kind in KINDS:
        if kind.name == name and (opened := kind.open(rest if colon else None)):
            return opened
    raise Refusal(
        f"--corpus={spec} must be one of: {', '.join(forms())}. SPLIT is one of {', '.join(SPLITS)}, "
        "default test."
    )


def _open_hub(rest: str | None) -> Corpus | None:
    from isogloss.engine.corpora import fleurs_hub  # noqa: PLC0415 (--help loads this module)

    split = SPLITS.get("test" if rest is None else rest)
    return fleurs_hub.Hub(split) if split else None


def _open_folder(rest: str | None) -> Corpus | None:
    """Corpus of a FLEURS folder, read in the format of its files.

    A path may contain colons: the text after the last one is a split only if it is the name of a split.
    """
    from isogloss.engine.corpora import fleurs_parquet, fleurs_tsv  # noqa: PLC0415 (as above)

    if not rest:
        return None
    path, _, last = rest.rpartition(":")
    if not path or last not in SPLITS:
        path, last = rest, "test"
    folder, split = pathlib.Path(path).expanduser(), SPLITS[last]
    for corpus in (fleurs_tsv.Tree(folder, split), fleurs_parquet.Folder(folder, split)):
        if corpus.languages():
            return corpus
    raise Refusal(
        f"{folder} holds no {split} split of FLEURS: neither LANGUAGE/{split}.tsv nor "
        f"{' nor '.join(fleurs_parquet.patterns('LANGUAGE', split))}. "
        "Give the folder that holds the language folders; in a clone of the hub's repository it is data/."
    )


def _open_manifest(rest: str | None) -> Corpus | None:
    from isogloss.engine.corpora import manifest  # noqa: PLC0415 (as above)

    return manifest.Manifest(pathlib.Path(rest).expanduser()) if rest else None


KINDS = (
    Kind(name="fleurs", forms=("fleurs", "fleurs:SPLIT"), open=_open_hub),
    Kind(name="fleurs-dir", forms=("fleurs-dir:PATH", "fleurs-dir:PATH:SPLIT"), open=_open_folder),
    Kind(name="manifest", forms=("manifest:FILE.tsv",), open=_open_manifest),
)
"""All kinds of corpora; a new one needs a reader and a line here."""


def forms() -> tuple[str, ...]:
    """Allowed values of `--corpus`, for help and messages."""
    return tuple(form for kind in KINDS for form in kind.forms)

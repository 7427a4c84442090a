"""Corpora that `--corpus` can name, and their common interface.

Opening a corpus doesn't read audio; it finds unknown names, missing columns and missing files before any
computation. Each reader is a module of its own. Those of the hub download: a language's texts when it is
listed, its audio when a recording is decoded.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from isogloss.engine.corpora.columns import ROLES
from isogloss.engine.corpora.languages import SPLITS
from isogloss.engine.runtime.options import Field, option
from isogloss.engine.runtime.refusal import Refusal

if TYPE_CHECKING:
    from isogloss.engine.corpora.listing import Listing


@runtime_checkable
class Corpus(Protocol):
    """Utterances of several languages that share sentences."""

    @property
    def description(self) -> str:
        """Name of the corpus with its pinned revision, the same on every machine."""
        ...

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that can be listed."""
        ...

    def sentences(self, language: str) -> Sequence[str]:
        """Sentence of each recording of a language, in any order; touches no recording, unlike `listing`."""
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
      meaning: recordings that they name, for docs/.
      open: function of the text after the colon (None without a colon), and of --columns if it takes them;
        returns None if the text has no allowed form.
      takes_columns: True for data sets whose columns --columns can name.
    """

    name: str
    forms: tuple[str, ...]
    meaning: str
    open: Callable[..., Corpus | None]
    takes_columns: bool = False


def open_corpus(spec: str, columns: Sequence[str] = ()) -> Corpus:
    """Corpus that `--corpus=spec` names; Refusal if there is none.

    Args:
      spec: value of --corpus.
      columns: value of --columns: ROLE=COLUMN, see columns.Columns.
    """
    name, colon, rest = spec.partition(":")
    if "://" in spec:
        raise Refusal(
            f"--corpus={spec}: recordings must be on a file system or on the hub; only --store and --grid "
            "may be in a bucket. Mount the bucket, or copy it"
        )
    for kind in KINDS:
        if kind.name == name:
            if columns and not kind.takes_columns:
                takers = ", ".join(kind.name for kind in KINDS if kind.takes_columns)
                raise Refusal(f"--columns is for data sets of the hub ({takers}), got --corpus={spec}")
            more = (columns,) if kind.takes_columns else ()
            if opened := kind.open(rest if colon else None, *more):
                return opened
    raise Refusal(
        f"--corpus={spec} must be one of: {forms()}. SPLIT is one of {', '.join(SPLITS)}, default test."
    )


def corpus_option(what: str = "Corpus", default: object = dataclasses.MISSING) -> Field:
    """Field `corpus` of a job's configuration."""
    return option(f"{what}: {forms()}.", default)


def columns_option() -> Field:
    """Field of the configuration of jobs that open a corpus."""
    return option(
        f"Columns of a data set of the hub, ROLE=COLUMN,...; roles are {', '.join(ROLES)}.",
        (),
    )


def languages_option() -> Field:
    """Field of the configuration of jobs that take some languages of a corpus or a store."""
    return option("Languages by their codes, or all.", (), empty="all")


def recordings_option(default: str = "first") -> Field:
    """Field of the configuration of jobs that open a corpus and may take one recording of a sentence."""
    return option("Recordings of a sentence in a language: the first by file name, or all.", default)


def _open_preset(name: str) -> Callable[[str | None, Sequence[str]], Corpus | None]:
    def open_it(rest: str | None, columns: Sequence[str]) -> Corpus | None:
        from isogloss.engine.corpora import hub  # noqa: PLC0415 (--help loads this module)

        return hub.open_preset(name, rest, columns)

    return open_it


def _open_hub(rest: str | None, columns: Sequence[str]) -> Corpus | None:
    from isogloss.engine.corpora import hub  # noqa: PLC0415 (as above)

    return hub.open_hub(rest, columns)


def _open_folder(rest: str | None) -> Corpus | None:
    """Corpus of a FLEURS folder, read in the format of its files.

    A path may contain colons: the text after the last one is a split only if it is the name of a split.
    """
    from isogloss.engine.corpora import fleurs_dir  # noqa: PLC0415 (as above)

    if not rest:
        return None
    path, _, last = rest.rpartition(":")
    if not path or last not in SPLITS:
        path, last = rest, "test"
    return fleurs_dir.FleursFolder(pathlib.Path(path).expanduser(), SPLITS[last])


def _open_mass(rest: str | None) -> Corpus | None:
    from isogloss.engine.corpora import mass  # noqa: PLC0415 (as above)

    return mass.Mass(pathlib.Path(rest).expanduser()) if rest else None


def _open_manifest(rest: str | None) -> Corpus | None:
    from isogloss.engine.corpora import manifest  # noqa: PLC0415 (as above)

    return manifest.Manifest(pathlib.Path(rest).expanduser()) if rest else None


KINDS = (
    Kind(
        name="fleurs",
        forms=("fleurs", "fleurs:SPLIT"),
        meaning="FLEURS from the hub (a pinned commit of its Parquet files); 102 languages",
        open=_open_preset("fleurs"),
        takes_columns=True,
    ),
    Kind(
        name="fleurs-dir",
        forms=("fleurs-dir:PATH", "fleurs-dir:PATH:SPLIT"),
        meaning="FLEURS on disk: either Parquet layout of the hub, or the original TSV with wav or tar.gz",
        open=_open_folder,
    ),
    Kind(
        name="covost2",
        forms=("covost2[:CONFIG][:SPLIT]",),
        meaning="CoVoST 2 from the hub; a configuration such as fr_en is French speech",
        open=_open_preset("covost2"),
        takes_columns=True,
    ),
    Kind(
        name="voxpopuli",
        forms=("voxpopuli[:CONFIG][:SPLIT]",),
        meaning="VoxPopuli from the hub, the transcribed part; a configuration is a language",
        open=_open_preset("voxpopuli"),
        takes_columns=True,
    ),
    Kind(
        name="mass",
        forms=("mass:PATH",),
        meaning="MaSS, verses of the Bible in 8 languages, in the files that its own scripts cut",
        open=_open_mass,
    ),
    Kind(
        name="hub",
        forms=("hub:REPO[@REVISION][:CONFIG][:SPLIT]", "hub:PATH[:CONFIG][:SPLIT]"),
        meaning="any speech data set of the hub, or a folder in a form of `datasets`; see --columns",
        open=_open_hub,
        takes_columns=True,
    ),
    Kind(
        name="manifest",
        forms=("manifest:FILE.tsv",),
        meaning="your own: a table separated by tabs, one row per recording",
        open=_open_manifest,
    ),
)
"""All kinds of corpora; a new one needs a reader and a line here."""


def forms() -> str:
    """Allowed values of `--corpus`, for help and messages."""
    return ", ".join(form for kind in KINDS for form in kind.forms)

"""Word times for interpretation where nobody has made them yet: the align job, on the same stores."""

import pathlib
from typing import Protocol

from isogloss.engine import align
from isogloss.engine.interpret_input import Opened
from isogloss.engine.plan import Share


class Wanted(Protocol):
    """What is needed of the interpret job's configuration."""

    @property
    def store(self) -> pathlib.Path:
        """Folder of stores."""
        ...

    @property
    def model(self) -> str | None:
        """Whose decoder aligns; None for the store's, if its name is a hub id."""
        ...

    @property
    def revision(self) -> str | None:
        """Of a hub id."""
        ...

    @property
    def tokenizer(self) -> str | None:
        """None for the model's own."""
        ...

    @property
    def out(self) -> pathlib.Path:
        """Folder to write to."""
        ...


def folder(wanted: Wanted, opened: Opened) -> pathlib.Path:
    """Folder of the words of all languages, aligned now as far as they aren't.

    Utterances that can't be aligned are reported there and have no words.
    """
    align.run(_config(wanted, opened, dry_run=False))
    return _folder(wanted)


def align_plan(wanted: Wanted, opened: Opened) -> dict[str, int | float]:
    """What aligning would take."""
    return dict(align.run(_config(wanted, opened, dry_run=True)).plan)


def _folder(wanted: Wanted) -> pathlib.Path:
    return wanted.out / "words"


def _config(wanted: Wanted, opened: Opened, *, dry_run: bool) -> align.Config:
    """The align job on the pairs' languages: texts as transcribed, at the final state."""
    name = str(next(iter(opened.members.values())).store.attributes["model"])
    model = wanted.model or (name if "/" in name else None)
    if model is None:
        raise ValueError(
            f"word times are needed: give --words, the folder of isogloss.jobs.align, or --model to align "
            f"here with the weights that {wanted.store} was made with ({name}, which is no hub id)"
        )
    return align.Config(
        corpus=None,
        store=wanted.store,
        model=model,
        revision=wanted.revision,
        tokenizer=wanted.tokenizer,
        out=_folder(wanted),
        languages=tuple(sorted(opened.members)),
        recordings="first",
        long="truncate",
        text="reference",
        states=("final",),
        exit_norm="true",
        language="per-utterance",
        stand_in=(),
        rows_per_device=0,
        compute="auto",
        share=Share(),
        dry_run=dry_run,
    )

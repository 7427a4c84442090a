"""Word times for interpretation where nobody has made them yet: the align job.

It reads the recordings where `--corpus` is known, as the decoder sees their silence, too, and else the states
of the store, their window filled with the states of silence. The decoder is imported only then.
"""

import dataclasses
import pathlib
from typing import TYPE_CHECKING

from isogloss.engine.alignment.align_config import AlignConfig
from isogloss.engine.interpretation.inputs import Opened
from isogloss.engine.runtime.refusal import Refusal

if TYPE_CHECKING:
    pass


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the interpret job says of aligning.

    Attributes:
      store: folder of stores.
      corpus: the recordings, if they can be had.
      model: whose decoder aligns; None for the store's, if its name is a hub id.
      revision: of a hub id.
      tokenizer: None for the model's own.
      decoder_rows: utterances of a decoder's step; 0 for what fits.
      folder: of the interpretation; words of recordings and those of states are kept apart in it.
    """

    store: pathlib.Path
    corpus: str | None
    model: str | None
    revision: str | None
    tokenizer: str | None
    decoder_rows: int
    folder: pathlib.Path

    @property
    def out(self) -> pathlib.Path:
        """Where words are written."""
        return self.folder / ("words" if self.corpus else "words_of_states")


def align_all(wanted: Wanted, opened: Opened) -> None:
    """Align the words of all languages as far as they aren't.

    Utterances that can't be aligned are reported there and have no words.
    """
    from isogloss.engine.alignment import align  # noqa: PLC0415  (interpreting needs neither transformers nor jiwer)

    align.run(_config(wanted, opened, dry_run=False))


def align_plan(wanted: Wanted, opened: Opened) -> dict[str, int | float]:
    """What aligning would take."""
    from isogloss.engine.alignment import align  # noqa: PLC0415  (as above)

    return dict(align.run(_config(wanted, opened, dry_run=True)).plan)


def _config(wanted: Wanted, opened: Opened, *, dry_run: bool) -> AlignConfig:
    """The align job on the pairs' languages: texts as transcribed, at the final state."""
    name = str(next(iter(opened.members.values())).store.attributes["model"])
    model = wanted.model or (name if "/" in name else None)
    if model is None:
        raise Refusal(
            f"word times are needed: give --words, the folder of isogloss.jobs.align, or --model to align "
            f"here with the weights that {wanted.store} was made with ({name}, which is no hub id)"
        )
    if wanted.corpus:
        _check_weights(wanted, opened, model)
    return AlignConfig(
        corpus=wanted.corpus,
        store=None if wanted.corpus else wanted.store,
        model=model,
        revision=wanted.revision,
        tokenizer=wanted.tokenizer,
        decoder_rows=wanted.decoder_rows,
        out=wanted.out,
        languages=tuple(sorted(opened.members)),
        dry_run=dry_run,
    )


def _check_weights(wanted: Wanted, opened: Opened, model: str) -> None:
    """Refuse a model that isn't the store's; with a store, align itself does."""
    from isogloss.engine.checkpoints import checkpoint  # noqa: PLC0415  (as above)

    store = next(iter(opened.members.values())).store
    made_by, given = store.attributes["weights_sha256"], checkpoint.load_checkpoint(model, wanted.revision)
    if made_by != given.sha256:
        raise Refusal(
            f"{store.path}: made with weights {made_by} ({store.attributes['model']}), --model={given.name} "
            f"has {given.sha256}. Name the model that the store was made with"
        )

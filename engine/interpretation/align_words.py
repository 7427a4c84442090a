"""Word times by the align job, for interpretation without --words.

With --corpus the recordings are encoded again, so that the decoder attends to whole windows; without it the
states of the store are read, and the rest of the window is filled with states of silence. The decoder is
imported only here.
"""

import pathlib

from isogloss.engine.alignment.align_config import AlignConfig
from isogloss.engine.interpretation.inputs import InterpretInputs
from isogloss.engine.interpretation.interpret_config import InterpretConfig
from isogloss.engine.runtime.refusal import Refusal


def folder(config: InterpretConfig) -> pathlib.Path:
    """Folder of the words; those of recordings and those of states are kept apart."""
    return config.out / ("words" if config.corpus else "words_of_states")


def align_all(config: InterpretConfig, opened: InterpretInputs) -> None:
    """Align the words of all languages, except those that are aligned already.

    Utterances that can't be aligned are reported there and have no words.
    """
    from isogloss.engine.alignment import align  # noqa: PLC0415  (imports transformers, needed only here)

    align.run(_align_config(config, opened, dry_run=False))


def align_plan(config: InterpretConfig, opened: InterpretInputs) -> dict[str, int | float]:
    """Amount of work of the alignment, and its estimated time."""
    from isogloss.engine.alignment import align  # noqa: PLC0415  (as above)

    return dict(align.run(_align_config(config, opened, dry_run=True)).plan)


def _align_config(config: InterpretConfig, opened: InterpretInputs, *, dry_run: bool) -> AlignConfig:
    """The align job on the pairs' languages: texts as transcribed, at the final state."""
    # A store names its model: a hub id can be fetched again, but a folder may be anywhere.
    name = str(next(iter(opened.members.values())).store.attributes["model"])
    model = config.model or (name if "/" in name else None)
    if model is None:
        raise Refusal(
            f"word times are needed: give --words, the folder of isogloss.jobs.align, or --model to align "
            f"here with the weights that {config.store} was made with ({name}, which is not a hub id)"
        )
    if config.corpus:
        _check_weights(config, opened, model)
    return AlignConfig(
        corpus=config.corpus,
        columns=config.columns if config.corpus else (),
        store=None if config.corpus else config.store,
        model=model,
        revision=config.revision,
        tokenizer=config.tokenizer,
        decoder_rows=config.decoder_rows,
        out=folder(config),
        languages=tuple(sorted(opened.members)),
        dry_run=dry_run,
    )


def _check_weights(config: InterpretConfig, opened: InterpretInputs, model: str) -> None:
    """Refuse a model other than the store's; without --corpus the align job does so itself."""
    from isogloss.engine.activations import open_states  # noqa: PLC0415  (as above)
    from isogloss.engine.checkpoints import checkpoint  # noqa: PLC0415  (as above)

    store = next(iter(opened.members.values())).store
    open_states.check_model(store, checkpoint.load_checkpoint(model, config.revision))

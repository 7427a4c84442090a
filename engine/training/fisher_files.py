"""Fisher information of old tasks on disk: OUT/fisher/TASK.safetensors, an array for each trained parameter.

Made once, before the first step: a run that goes on reads it. A file names what it was made of, so that a run
with another lambda can take it from an earlier one.
"""

import logging
import pathlib
from collections.abc import Sequence

import jax
import numpy as np
import safetensors
import safetensors.numpy

from isogloss.engine.runtime import atomic_write, json_values
from isogloss.engine.runtime.devices import Lockstep, first
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.training import batches, fisher, trainable
from isogloss.engine.training.examples import Example
from isogloss.engine.training.trainable import HostValues, Trainable
from isogloss.engine.training.training_step import Constants
from isogloss.engine.training.tune_config import TuneConfig
from isogloss.engine.training.tune_input import TuneInput

_LOG = logging.getLogger(__name__)
_MADE_OF = "made_of_sha256"
# What Fisher information depends on beside the task's examples; the batch decides on keys of drawn labels.
_SETTINGS = (
    "weights_sha256",
    "vocabulary_sha256",
    "state",
    "exit_norm",
    "window",
    "train",
    "fisher",
    "fisher_examples",
    "batch",
    "seed",
    "compute",
)


def check(config: TuneConfig, given: TuneInput) -> None:
    """Nothing, where the run of --fisher_from has what this one needs.

    Raises:
      Refusal: a task's file lacks there, or was made of other weights, examples or options.
    """
    if not config.fisher_from:
        return
    for name, examples in given.old.items():
        file = _file(config.fisher_from, name)
        if _file(config.out, name).is_file():  # this run has taken it
            continue
        if not file.is_file():
            raise Refusal(
                f"{file}: there is no Fisher information of {name}. Remedy: the --out of a run that has "
                f"{name} in --ewc_tasks, or leave out --fisher_from"
            )
        if (made_of := _made_of_in(file)) is None:
            raise Refusal(
                f"{file} doesn't say what it was made of, as of an earlier version. Remedy: no --fisher_from"
            )
        if made_of != _made_of(given, examples):
            raise Refusal(
                f"{file}: made of another model, store, texts or split, or by other options than this run "
                f"({', '.join(_SETTINGS[2:])}). Remedy: the same ones, or leave out --fisher_from"
            )


def left(config: TuneConfig, given: TuneInput) -> list[str]:
    """Old tasks whose Fisher information OUT lacks."""
    return [name for name in given.old if not _file(config.out, name).is_file()]


def of_tasks(config: TuneConfig, given: TuneInput, parts: Trainable) -> HostValues:
    """Sum of the tasks' Fisher information.

    What OUT lacks is taken from --fisher_from, whose files `check` has compared, or computed.
    """
    total = {path: np.zeros_like(value) for path, value in parts.trained.items()}
    for name, examples in given.old.items():
        file = _file(config.out, name)
        if not file.is_file():
            if config.fisher_from:
                values = safetensors.numpy.load_file(_file(config.fisher_from, name))
            else:
                values = _compute(config, given, parts, name, examples)
            # Written task by task, so that a killed run computes none twice.
            _write(file, values, _made_of(given, examples))
        # Read back even where it was just made: a resumed run sums the very same bits.
        found = safetensors.numpy.load_file(file)
        total = {path: value + found[path] for path, value in total.items()}
    return total


def _file(out: pathlib.Path, task: str) -> pathlib.Path:
    return out / "fisher" / f"{task}.safetensors"


def _made_of(given: TuneInput, examples: Sequence[Example]) -> str:
    """Hash of all that a task's Fisher information depends on."""
    stored = {example.language: given.reader.source.identity(example.language) for example in examples}
    used = [(example.language, example.row, example.prompt, example.ids) for example in examples]
    return json_values.sha256([[given.settings[name] for name in _SETTINGS], stored, used])


def _made_of_in(file: pathlib.Path) -> str | None:
    try:
        with safetensors.safe_open(file, "np") as found:
            return (found.metadata() or {}).get(_MADE_OF)
    except safetensors.SafetensorError as error:
        raise Refusal(
            f"{file}: not a whole safetensors file ({error}). Remedy: leave out --fisher_from"
        ) from error


def _write(file: pathlib.Path, values: HostValues, made_of: str) -> None:
    atomic_write.make_folder(file.parent)
    atomic_write.write_whole_by_library(
        file, lambda draft: safetensors.numpy.save_file(values, draft, metadata={_MADE_OF: made_of})
    )


def _compute(
    config: TuneConfig, given: TuneInput, parts: Trainable, name: str, examples: Sequence[Example]
) -> HostValues:
    """Mean over examples, chosen by the seed if there are more than --fisher_examples."""
    count = min(len(examples), config.fisher_examples)
    chosen = sorted(
        (examples[i] for i in batches.order(len(examples), count, 0, (config.seed, 2))),
        # By length, so that a batch is padded to about its own texts.
        key=lambda example: len(example.ids),
    )
    lockstep = Lockstep(
        trainable.device_values(parts.trained), Constants(trainable.device_values(parts.frozen), {}, {})
    )
    measure = lockstep.measuring(fisher.information(parts, config.fisher))
    size = -(-given.mixture.rows // len(lockstep.devices)) * len(lockstep.devices)
    total = {path: np.zeros_like(value) for path, value in parts.trained.items()}
    progress = Progress(f"Fisher information of {name}", count, "examples", verb="seen")
    for start in range(0, count, given.mixture.rows):
        group = chosen[start : start + given.mixture.rows]
        # By the batch's place, so that drawn labels don't depend on how often a run was killed.
        key = jax.random.fold_in(jax.random.PRNGKey(config.seed), start)
        keys = np.asarray(jax.random.split(key, size))
        for path, value in first(measure((given.reader.read(group, size), keys))).items():
            total[path] += value
        for _ in group:
            progress.advance()
    progress.close()
    return {path: value / np.float32(count) for path, value in total.items()}

"""Fisher information of old tasks on disk: OUT/fisher/TASK.safetensors, an array for each trained parameter.

Made once, before the first step: a run that goes on reads it.
"""

import logging
import pathlib
from collections.abc import Sequence

import jax
import numpy as np
import safetensors.numpy

from isogloss.engine.runtime import atomic_write
from isogloss.engine.runtime.devices import Lockstep, first
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.training import batches, fisher, trainable
from isogloss.engine.training.examples import Example
from isogloss.engine.training.trainable import HostValues, Trainable
from isogloss.engine.training.training_step import Constants
from isogloss.engine.training.tune_config import TuneConfig
from isogloss.engine.training.tune_input import TuneInput

_LOG = logging.getLogger(__name__)


def of_tasks(config: TuneConfig, given: TuneInput, parts: Trainable) -> HostValues:
    """Sum of the tasks' Fisher information; what isn't on disk yet is computed and written."""
    total = {path: np.zeros_like(value) for path, value in parts.trained.items()}
    for name, examples in given.old.items():
        file = config.out / "fisher" / f"{name}.safetensors"
        if not file.is_file():
            _write(file, _compute(config, given, parts, name, examples))
        found = safetensors.numpy.load_file(file)
        total = {path: value + found[path] for path, value in total.items()}
    return total


def _write(file: pathlib.Path, values: HostValues) -> None:
    atomic_write.make_folder(file.parent)
    atomic_write.write_whole(file, lambda draft: safetensors.numpy.save_file(values, draft))


def _compute(
    config: TuneConfig, given: TuneInput, parts: Trainable, name: str, examples: Sequence[Example]
) -> HostValues:
    """Mean over examples, chosen by the seed if there are more than --fisher_examples."""
    count = min(len(examples), config.fisher_examples)
    chosen = sorted(
        (examples[i] for i in batches.order(len(examples), count, 0, (config.seed, 2))),
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
        key = jax.random.fold_in(jax.random.PRNGKey(config.seed), start)
        keys = np.asarray(jax.random.split(key, size))
        for path, value in first(measure((given.reader.read(group, size), keys))).items():
            total[path] += value
        for _ in group:
            progress.advance()
    progress.close()
    return {path: value / np.float32(count) for path, value in total.items()}

"""Estimated cost of a run: steps, FLOPs, memory of a device, time on this machine with that of compiling."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from isogloss.engine.decoding import decoder_cost
from isogloss.engine.runtime import devices, shards
from isogloss.engine.runtime.devices import Tree
from isogloss.engine.training import trainable
from isogloss.engine.training.trainable import Trainable
from isogloss.engine.training.training_step import Constants, Schedule, TrainingState, training_step
from isogloss.engine.training.tune_input import TuneInput

_PASSES = 3  # forward, and backward to activations and to parameters
_SAMPLED = 50  # batches whose padded length stands for all
_SHARE_OF_PEAK = 0.4  # of a dense product's speed that a step reaches


def plan(given: TuneInput, done: int, fisher_examples: int) -> dict[str, int | float]:
    """Steps to do, their examples and FLOPs.

    `programs` are compiled for steps: one for each padded length of the texts, as far as batches are sampled.

    Args:
      given: input of the run.
      done: steps that earlier runs have done.
      fisher_examples: of old tasks, still to be read for their Fisher information.
    """
    steps = given.schedule.steps
    left = steps - done
    sizes, rows = given.checkpoint.dimensions, given.mixture.rows
    seen = [given.reader.tokens(given.mixture.batch(step)) for step in range(steps)[done : done + _SAMPLED]]
    tokens = round(sum(seen) / max(1, len(seen)))
    forward = decoder_cost.flops(sizes, given.reader.window, tokens) if seen else 0.0
    return {
        "steps": left,
        "examples": left * rows,
        "training_examples": len(given.mixture.new),
        "dev_examples": len(given.dev),
        "fisher_examples": fisher_examples,
        "step_flops": int(_PASSES * rows * forward),
        "programs": len(set(seen)),
        "flops": int(_PASSES * (left * rows + fisher_examples) * forward),
    }


def disk_bytes(given: TuneInput, train: str, *, models: int, checkpoints: int, tasks: int) -> int:
    """Bytes of so many models, checkpoints, and files of old tasks' Fisher information, at most.

    A checkpoint has what is trained, by `train`, and AdamW's two moments of it.
    """
    sizes = given.checkpoint.dimensions
    trained = 4 * trainable.count(sizes, train)
    return models * decoder_cost.resident_bytes(sizes, "float32") + (3 * checkpoints + tasks) * trained


def here(
    planned: Mapping[str, int | float],
    parts: Trainable,
    schedule: Schedule,
    state: TrainingState,
    constants: Constants,
    rows: Tree,
) -> dict[str, int | float]:
    """Memory and time on this machine: the step is compiled, nothing is run but a product whose speed counts.

    `planned` is from `plan`; `rows` are those of one device, of the longest texts. Programs of other lengths
    are taken to compile as long.
    """
    shapes = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(jnp.shape(a), jnp.asarray(a).dtype), (state, constants, rows)
    )
    compiling, memory = devices.step_cost(training_step(parts, schedule), *shapes)
    compiling *= planned["programs"]
    speed = shards.product_flops(jax.default_backend()) * jax.local_device_count()
    training = planned["flops"] / (_SHARE_OF_PEAK * speed)
    found: dict[str, int | float] = {
        "peak_flops_per_second": speed,
        "compiling_seconds": round(compiling, 1),
        "estimated_seconds": round(compiling + training, 1),
    }
    return found if memory is None else {"memory_bytes": memory, **found}

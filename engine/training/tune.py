"""The tune job: a decoder is trained on stored states, with the encoder left as it is.

The run of one folder is one course of steps: a killed one goes on from its newest checkpoint and ends with
equal bits on the same number of devices; another number changes the last bits. Models are written last, so
that a run that has ended writes other averages at once.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from isogloss.engine.drawing import picture_files
from isogloss.engine.runtime import compilation, disk_space, out_folder, sentences
from isogloss.engine.runtime.ahead import computed_ahead
from isogloss.engine.runtime.devices import Lockstep, Tree, first
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.training import (
    fisher_files,
    trainable,
    training_step,
    tune_cost,
    tune_input,
    tuned_model,
)
from isogloss.engine.training.checkpoints import Checkpoints
from isogloss.engine.training.examples import Example
from isogloss.engine.training.loss import TaughtRows
from isogloss.engine.training.trainable import Trainable
from isogloss.engine.training.training_step import Constants, StepFigures, TrainingState
from isogloss.engine.training.tune_config import TuneConfig
from isogloss.engine.training.tune_input import TuneInput
from isogloss.engine.training.tuned_model import History

_LOG = logging.getLogger(__name__)
Measure = Callable[[TaughtRows], Tree]
NAME = "tune"
_MEASUREMENTS = 10  # of the dev loss in a run, where --dev_steps doesn't say


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneSummary:
    """Summary of a run.

    Attributes:
      steps: of the whole course.
      done: steps done by this run.
      skipped: steps that earlier runs had done.
      loss: of the last step's batch, in nats per token; None before the first.
      dev_loss_before, dev_loss: of the held-out sentences, before the first step and last; None without any.
      held_out: number of held-out sentences.
      models: folders written.
      seconds: of the run.
      examples_per_second: of the steps, compiling included.
      plan: work and its cost.
      programs: numbers of programs compiled, and found in --compilation_cache.
    """

    steps: int
    done: int
    skipped: int
    loss: float | None
    dev_loss_before: float | None
    dev_loss: float | None
    held_out: int
    models: Sequence[str]
    seconds: float
    examples_per_second: float
    plan: Mapping[str, int | float]
    programs: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """True: whatever can't be trained on is refused before."""
        return True

    def sentence(self, config: TuneConfig) -> str:
        """Place of the model, and the command that uses it."""
        course = (
            "" if self.dev_loss is None else f", dev loss {self.dev_loss_before:.3f} to {self.dev_loss:.3f}"
        )
        command = sentences.command(
            "transcribe", store=config.store, model=config.out, out="OUT", languages=config.source
        )
        return f"trained {self.steps:,} steps{course}; the model is in {config.out}; next: {command}"


@picture_files.draws
def run(config: TuneConfig) -> TuneSummary:
    """Summary of a run.

    Raises:
      Refusal: bad input, before any compute; or --out holds results of other settings.
      OSError: the results can't be written.
    """
    start, programs = time.monotonic(), compilation.keep(config.compilation_cache)
    given = tune_input.open_input(config)
    fisher_files.check(config, given)
    out_folder.check(config.out, NAME, given.settings)
    plan = tune_cost.plan(given, 0, 0 if config.fisher_from else config.fisher_examples)
    disk_space.require(config.out, int(plan["bytes"]), "a model and its checkpoints", "name another --out")
    base, dtype = given.checkpoint, jnp.dtype(given.precision.compute)
    parts = trainable.split(base.dimensions, base.read, config.train, dtype=dtype, seed=config.seed)
    history, done, models = tuned_model.empty_history(given.schedule.steps), 0, []
    if config.dry_run:
        plan |= _cost_here(given, parts, plan)
    else:
        out_folder.claim(config.out, NAME, given.settings)
        tuned_model.write_split(config.out, given)
        trained, history, done = _train(config, given, parts)
        tuned_model.write_steps(config.out, history, given.schedule.steps)
        tuned_model.write_figure(config.out, config, history)
        models = tuned_model.write_models(config, given, parts, trained)
    seconds, dev = time.monotonic() - start, history["dev_loss"][np.isfinite(history["dev_loss"])].tolist()
    return TuneSummary(
        steps=given.schedule.steps,
        done=done,
        skipped=0 if config.dry_run else given.schedule.steps - done,
        loss=None if config.dry_run else float(history["loss"][-1]),
        dev_loss_before=dev[0] if dev else None,
        dev_loss=dev[-1] if dev else None,
        held_out=len(given.split.dev),
        models=models,
        seconds=round(seconds, 3),
        examples_per_second=round(done * config.batch / seconds, 3),
        plan=plan,
        programs=programs(),
    )


def _cost_here(given: TuneInput, parts: Trainable, plan: Mapping[str, int | float]) -> dict[str, int | float]:
    every = [*given.mixture.new, *given.mixture.old]
    longest = max(every, key=lambda example: len(example.prompt) + len(example.ids))
    rows = -(-given.mixture.rows // jax.local_device_count())
    fisher = parts.trained if given.schedule.ewc else {}
    return tune_cost.here(
        plan,
        parts,
        given.schedule,
        _initial(given, parts),
        _constants(given, parts, fisher),
        given.reader.read([longest], rows),
    )


def _initial(given: TuneInput, parts: Trainable) -> TrainingState:
    return training_step.initial(trainable.device_values(parts.trained), given.schedule)


def _constants(given: TuneInput, parts: Trainable, fisher: Mapping[str, np.ndarray]) -> Constants:
    # Without a penalty nothing is drawn back, and a copy of the start would only take memory.
    pulled = given.schedule.ewc or given.schedule.anchor
    return Constants(
        trainable.device_values(parts.frozen),
        trainable.device_values(parts.trained if pulled else {}),
        trainable.device_values(fisher),
    )


def _train(
    config: TuneConfig, given: TuneInput, parts: Trainable
) -> tuple[dict[str, np.ndarray], History, int]:
    """Trained values at the end, figures of all steps, and the number of steps that this run did."""
    steps = given.schedule.steps
    checkpoints = Checkpoints(config.out / "checkpoints", config.checkpoint_steps)
    like: Tree = {
        "state": jax.tree.map(np.asarray, _initial(given, parts)),
        "history": tuned_model.empty_history(steps),
    }
    done, tree = checkpoints.restored(like) or (0, like)
    state, history = tree["state"], {name: np.array(values) for name, values in tree["history"].items()}
    if done < steps:
        # Of old tasks without a factor, it is for other runs, and the program is that without a penalty.
        fisher = fisher_files.of_tasks(config, given, parts) if given.old else {}
        lockstep = Lockstep(state, _constants(given, parts, fisher if given.schedule.ewc else {}))
        _go_on(config, given, parts, lockstep, history, done, checkpoints)
        state = lockstep.state()
    checkpoints.close()
    return {path: np.asarray(value) for path, value in state.trained.items()}, history, steps - done


def _go_on(
    config: TuneConfig,
    given: TuneInput,
    parts: Trainable,
    lockstep: Lockstep,
    history: History,
    done: int,
    checkpoints: Checkpoints,
) -> None:
    """Do the steps from `done` on; `history` gets their figures."""
    steps = given.schedule.steps
    advance = lockstep.stepping(training_step.training_step(parts, given.schedule))
    dev_loss = _dev_loss(given, parts, lockstep)
    every = config.dev_steps or max(1, steps // _MEASUREMENTS)
    _LOG.info(
        "%s, %s of %s: %d steps of %d rows on %d %s device(s), %d held-out examples",
        given.checkpoint.name, config.train, f"state {config.states[0]}", steps, config.batch,
        len(lockstep.devices), jax.default_backend(), len(given.dev),
    )  # fmt: skip
    if not done:
        history["dev_loss"][0] = dev_loss()
    progress, began = Progress(NAME, steps, "steps", before=done), time.monotonic()
    rows = padded(config.batch, len(lockstep.devices))
    batches = computed_ahead(
        range(done, steps),
        lambda step: given.reader.read(given.mixture.batch(step), rows),
        threads=1,
        ahead=2,
    )
    for step, batch in batches:
        figures: StepFigures = first(advance(batch.result()))
        for name, value in figures._asdict().items():
            history[name][step + 1] = value
        history["learning_rate"][step + 1] = given.schedule.rate(step)
        if (step + 1) % every == 0 or step + 1 == steps:
            history["dev_loss"][step + 1] = dev_loss()
        if checkpoints.due(step + 1, steps):
            checkpoints.save(step + 1, {"state": lockstep.state(), "history": history})
            # After the checkpoint: the table never tells of steps that a killed run has lost.
            tuned_model.write_steps(config.out, history, step + 1)
            progress.store(step + 1 - done - progress.counts().done)
        pace = (step + 1 - done) * config.batch / (time.monotonic() - began)
        progress.note(_note(history, step + 1, pace))
        progress.advance(stored=False)
    progress.close()


def _note(history: History, step: int, pace: float) -> str:
    """Losses after a step, and examples per second."""
    measured = history["dev_loss"][np.isfinite(history["dev_loss"])]
    dev = f"dev loss {measured[-1]:.3f}, " if measured.size else ""
    return f"loss {history['loss'][step]:.3f}, {dev}{pace:.1f} examples/s"


def padded(rows: int, devices: int) -> int:
    """Number of rows that is divided evenly among the devices."""
    return -(-rows // devices) * devices


def _dev_loss(given: TuneInput, parts: Trainable, lockstep: Lockstep) -> "DevLoss":
    size = padded(given.mixture.rows, len(lockstep.devices))
    # By length, so that a group is padded to about its own texts.
    ordered = sorted(given.dev, key=lambda example: len(example.ids))
    groups = [ordered[i : i + given.mixture.rows] for i in range(0, len(ordered), given.mixture.rows)]
    return DevLoss(lockstep.measuring(training_step.measurement(parts)), given, groups, size)


class DevLoss:
    """Loss of the held-out examples with the present parameters."""

    def __init__(
        self, measure: Measure, given: TuneInput, groups: Sequence[Sequence[Example]], rows: int
    ) -> None:
        """Nothing is computed yet."""
        self._measure, self._given, self._groups, self._rows = measure, given, groups, rows

    def __call__(self) -> float:
        """Nats per token of all groups; NaN if there are none."""
        total = count = 0.0
        for group in self._groups:
            value, tokens = first(self._measure(self._given.reader.read(group, self._rows)))
            # Weighted by tokens: a mean of the groups' means would count short texts more.
            total, count = total + float(value), count + float(tokens)
        return total / count if count else float("nan")

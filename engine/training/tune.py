"""The tune job: a decoder is trained on stored states, with the encoder left as it is.

The run of one folder is one course of steps: a killed one goes on from its newest checkpoint and ends with
equal bits on the same number of devices; another number changes the last bits. Models are written last, so
that a run that has ended writes other averages at once, as long as its checkpoints are kept.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from isogloss.engine.activations import store_languages
from isogloss.engine.activations.state_source import FINAL
from isogloss.engine.drawing import picture_files
from isogloss.engine.runtime import compilation, disk_space, out_folder, sentences
from isogloss.engine.runtime.ahead import computed_ahead
from isogloss.engine.runtime.devices import Lockstep, Tree, first
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.training import (
    checkpoints,
    fisher_files,
    trainable,
    training_step,
    tune_cost,
    tune_input,
    tuned_model,
)
from isogloss.engine.training.checkpoints import KEPT, Checkpoints
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
_CHECKPOINTS = "checkpoints"
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
      plan: work that is left and its cost.
      programs: numbers of programs compiled, and found in --compilation_cache.
      evaluation: command that decodes the held-out sentences as the decoder was trained.
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
    evaluation: str

    @property
    def complete(self) -> bool:
        """True: whatever can't be trained on is refused before."""
        return True

    def sentence(self, config: TuneConfig) -> str:
        """Place of the model, and the command that uses it."""
        course = (
            "" if self.dev_loss is None else f", dev loss {self.dev_loss_before:.3f} to {self.dev_loss:.3f}"
        )
        return f"trained {self.steps:,} steps{course}; the model is in {config.out}; next: {self.evaluation}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Earlier:
    """Steps and files that earlier runs have left in OUT.

    Attributes:
      done: steps.
      checkpoints: their number.
      kept: True if all models are there, and no checkpoints, as after these were deleted.
    """

    done: int
    checkpoints: int
    kept: bool


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
    picture_files.refuse_folders(tuned_model.figures(config.out))
    earlier = _earlier(config, given.schedule.steps)
    plan = _plan(config, given, earlier)
    disk_space.require(config.out, int(plan["bytes"]), "a model and its checkpoints", "name another --out")
    history, models = tuned_model.empty_history(given.schedule.steps), []
    if config.dry_run:
        plan |= (
            _cost_here(given, _parts(config, given), plan) if plan["steps"] else {"estimated_seconds": 0.0}
        )
    else:
        out_folder.claim(config.out, NAME, given.settings)
        tuned_model.write_split(config.out, given)
        history, models = _results(config, given, earlier)
    done = 0 if config.dry_run else given.schedule.steps - earlier.done
    seconds, dev = time.monotonic() - start, history["dev_loss"][np.isfinite(history["dev_loss"])].tolist()
    return TuneSummary(
        steps=given.schedule.steps,
        done=done,
        skipped=earlier.done,
        loss=None if config.dry_run else float(history["loss"][-1]),
        dev_loss_before=dev[0] if dev else None,
        dev_loss=dev[-1] if dev else None,
        held_out=len(given.split.dev),
        models=models,
        seconds=round(seconds, 3),
        examples_per_second=round(done * config.batch / seconds, 3),
        plan=plan,
        programs=programs(),
        evaluation=_evaluation(config, given),
    )


def _evaluation(config: TuneConfig, given: TuneInput) -> str:
    """Command of transcribe with the prompt, states and window of training, on what was held out."""
    # A text of --texts alone is no reference of transcribe, which takes them from a store.
    scored = config.task == "transcribe" or config.target in store_languages.codes(config.store)
    store = config.store if scored else f"STORE_WITH_{config.target}"
    flags: dict[str, object] = {"store": store, "model": config.out, "out": "OUT", "task": config.task}
    if config.language_token == "source":
        flags |= {"stand_in": ",".join(config.stand_in)} if config.stand_in else {}
    elif given.vocabulary.multilingual:  # without --stand_in, which would go before --language
        prompt, known = given.mixture.new[0].prompt, given.vocabulary.languages
        flags |= {"language": next(code for code, token in known.items() if token in prompt)}
    flags |= {"references": config.target} if config.task == "translate" else {}
    flags |= {"languages": config.source}
    flags |= {"window": config.window} if config.window else {}
    if config.states != (FINAL,):
        flags |= {"states": config.states[0], "exit_norm": str(config.exit_norm).lower()}
    flags |= {"compute": config.compute} if config.compute != "auto" else {}
    if scored and given.split.dev:
        flags |= {"sentences": config.out / "held_out.txt"}
    return sentences.command("transcribe", **flags)


def _earlier(config: TuneConfig, steps: int) -> _Earlier:
    if not out_folder.is_claimed(config.out, NAME):
        tuned_model.refuse_foreign(config)
    saved = checkpoints.saved(config.out / _CHECKPOINTS)
    kept = not saved and tuned_model.kept(config)
    return _Earlier(done=steps if kept else max(saved, default=0), checkpoints=len(saved), kept=kept)


def _plan(config: TuneConfig, given: TuneInput, earlier: _Earlier) -> dict[str, int | float]:
    """Work that is left, and the bytes that it adds to the folder."""
    ended = earlier.done == given.schedule.steps
    tasks = [] if ended else fisher_files.left(config, given)
    old = 0 if config.fisher_from else sum(min(len(given.old[t]), config.fisher_examples) for t in tasks)
    folders = tuned_model.folders(config)
    lacking = sum(not tuned_model.is_there(folder) for folder in folders)
    added = tune_cost.disk_bytes(
        given,
        config.train,
        # Of one that is replaced there are two for a moment; of checkpoints there is one more.
        models=0 if earlier.kept else lacking + (lacking < len(folders)),
        checkpoints=0 if ended else max(1, KEPT + 1 - earlier.checkpoints),
        tasks=len(tasks),
    )
    return {**tune_cost.plan(given, earlier.done, old), "bytes": added}


def _parts(config: TuneConfig, given: TuneInput) -> Trainable:
    base, dtype = given.checkpoint, jnp.dtype(given.precision.compute)
    return trainable.split(base.dimensions, base.read, config.train, dtype=dtype, seed=config.seed)


def _results(config: TuneConfig, given: TuneInput, earlier: _Earlier) -> tuple[History, list[str]]:
    """Figures of all steps, and folders of the models; the steps that are left are done."""
    if earlier.kept:
        history = tuned_model.read_steps(config.out)
        tuned_model.write_figure(config.out, config, history)
        return history, [str(folder) for folder in tuned_model.folders(config)]
    parts = _parts(config, given)
    trained, history = _train(config, given, parts)
    tuned_model.write_steps(config.out, history, given.schedule.steps)
    tuned_model.write_figure(config.out, config, history)
    return history, tuned_model.write_models(config, given, parts, trained)


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


def _train(config: TuneConfig, given: TuneInput, parts: Trainable) -> tuple[dict[str, np.ndarray], History]:
    """Trained values at the end, and figures of all steps."""
    steps = given.schedule.steps
    saves = Checkpoints(config.out / _CHECKPOINTS, config.checkpoint_steps)
    like: Tree = {
        "state": jax.tree.map(np.asarray, _initial(given, parts)),
        "history": tuned_model.empty_history(steps),
    }
    done, tree = saves.restored(like) or (0, like)
    state, history = tree["state"], {name: np.array(values) for name, values in tree["history"].items()}
    if done < steps:
        # Of old tasks without a factor, it is for other runs, and the program is that without a penalty.
        fisher = fisher_files.of_tasks(config, given, parts) if given.old else {}
        lockstep = Lockstep(state, _constants(given, parts, fisher if given.schedule.ewc else {}))
        _go_on(config, given, parts, lockstep, history, done, saves)
        state = lockstep.state()
    saves.close()
    return {path: np.asarray(value) for path, value in state.trained.items()}, history


def _go_on(
    config: TuneConfig,
    given: TuneInput,
    parts: Trainable,
    lockstep: Lockstep,
    history: History,
    done: int,
    saves: Checkpoints,
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
        if saves.due(step + 1, steps):
            saves.save(step + 1, {"state": lockstep.state(), "history": history})
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

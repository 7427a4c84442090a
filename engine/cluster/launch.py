"""Conductor of the launch job: steps of flag files, run in order on Slurm, on Kubernetes or here.

Launched again with the same folder, it submits nothing that is already in the queue. When nothing is left in
the queue, it starts again at the first step that isn't done, has other flags, or whose results aren't whole.
"""

import dataclasses
import logging
import pathlib
import shlex
import sys
import time
from collections.abc import Mapping, Sequence

from isogloss.engine.cluster import dry_run, kubernetes, local, remaining, slurm
from isogloss.engine.cluster.launch_config import LaunchConfig
from isogloss.engine.cluster.run_folder import PARTIAL, RunFolder
from isogloss.engine.cluster.steps import FETCH, Step, read_steps
from isogloss.engine.cluster.task_script import script
from isogloss.engine.runtime.options import JobConfig
from isogloss.engine.runtime.progress import seconds_since

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchSummary:
    """Result of a launch.

    Attributes:
      cluster: where the tasks run.
      run: folder of the run.
      tasks: number of tasks, by step.
      ids: ids in Slurm's queue, by step, one each round.
      submitted: arrays that this launch submitted.
      exit_codes: number of tasks by their exit code, by step; those that haven't ended have none.
      seconds: duration of the launch.
      plan: with --dry_run, cost of each step.
    """

    cluster: str
    run: str
    tasks: Mapping[str, int]
    ids: Mapping[str, Sequence[str]]
    submitted: int
    exit_codes: Mapping[str, Mapping[int, int]]
    seconds: float
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """False if the run has ended and a step is done only as far as its inputs allow."""
        return bool(self.ids) or not any(PARTIAL in codes for codes in self.exit_codes.values())

    def sentence(self, config: JobConfig) -> str:
        """Steps that are submitted or done, and the next command."""
        if self.cluster == "kubernetes":
            script = shlex.quote(f"{self.run}/submit.sh")
            return f"wrote manifests to {self.run}, nothing is submitted yet; next: bash {script}"
        if self.ids:
            arrays = "; ".join(f"{name} {' '.join(numbers)}" for name, numbers in self.ids.items())
            what = f"submitted {self.submitted} arrays" if self.submitted else "nothing was submitted"
            return f"{what}; in the queue: {arrays}; logs: {self.run}/logs"
        done = sum(self.tasks.values())
        return f"all {done} tasks are done, and what they made is there; logs: {self.run}/logs"


def run(config: LaunchConfig) -> LaunchSummary:
    """Summary of a launch.

    Raises:
      Refusal: bad flags or flag files, before anything is submitted; or a task that ran here was refused.
      UnfinishedError: a task that ran here died in every round.
    """
    start = time.monotonic()
    steps = read_steps(config.flagfiles, config.shards)
    folder = RunFolder(path=config.run)
    if config.cluster == "slurm":
        slurm.check(steps)
    if config.cluster == "kubernetes":
        kubernetes.check(steps)
    texts = _texts(config, folder, steps)
    plan: dict[str, int | float] = {}
    ids: dict[str, list[str]] = {}
    submitted = 0
    if config.dry_run:
        plan = _show(config, steps, texts)
    else:
        folder.make()
        # Two launches of one run would submit every array twice.
        with folder.locked():
            ids, submitted = _launch(config, folder, steps, texts)
    return LaunchSummary(
        cluster=config.cluster,
        run=str(config.run),
        tasks={step.name: step.tasks for step in steps},
        ids=ids,
        submitted=submitted,
        exit_codes={step.name: folder.counts(step) for step in steps},
        seconds=seconds_since(start),
        plan=plan,
    )


def _texts(config: LaunchConfig, folder: RunFolder, steps: Sequence[Step]) -> dict[pathlib.Path, str]:
    """Texts of what the cluster runs, by path."""
    if config.cluster == "kubernetes":
        texts = {
            folder.path / f"{step.name}.yaml": kubernetes.manifest(step, folder, config) for step in steps
        }
        return texts | {folder.path / "submit.sh": kubernetes.submit_script(steps, folder)}
    return {
        folder.script(step): script(
            step,
            before,
            folder,
            python=config.python,
            env=step.environment(config.env),
            sbatch=config.sbatch,
            folder=pathlib.Path.cwd(),
        )
        for step, before in zip(steps, [None, *steps], strict=False)
    }


def _show(
    config: LaunchConfig, steps: Sequence[Step], texts: Mapping[pathlib.Path, str]
) -> dict[str, int | float]:
    """Cost of all steps; what would be written, and what can't be estimated, goes to stderr."""
    for path, text in texts.items():
        print(f"--- {path}\n{text}", file=sys.stderr)
    plans: list[dry_run.Plan] = []
    found = dry_run.plan_steps(steps, config.flagfiles, elsewhere=config.cluster == "kubernetes")
    for step, (numbers, unknown) in zip(steps, found, strict=True):
        plans.append(numbers)
        if unknown:
            _LOG.warning("%s: %s", step.name, unknown)
    costs = dry_run.totals(plans, sum(step.tasks for step in steps))
    for step, numbers in zip(steps, plans, strict=True):
        costs |= {f"{step.name}_{what}": amount for what, amount in {"tasks": step.tasks, **numbers}.items()}
    return costs


def _launch(
    config: LaunchConfig, folder: RunFolder, every: Sequence[Step], texts: Mapping[pathlib.Path, str]
) -> tuple[dict[str, list[str]], int]:
    """Run or submit what isn't done and isn't in the queue; ids in the queue by step, number of new ones."""
    queue = slurm.queued(folder) if config.cluster == "slurm" else {}
    # What isn't done is read from stores and logs, not from memory: a launch may be killed at any point.
    left = remaining.find(folder, config.cluster, every, slurm.step_names(folder, queue))
    steps = left.steps
    if not steps:
        return {}, 0
    # Tasks in the queue read the scripts, so these stay as they are until all have ended.
    if not queue:
        remaining.begin(folder, config.cluster, config.rounds, every, left)
        for path, text in texts.items():
            folder.write(path, text)
    if config.cluster == "slurm":
        # Compute nodes often have no network; the machine that launches mostly has.
        here = [step for step in steps if step.job == FETCH and not queue]
        local.run_steps(folder, here, local.slots(1, 0), config.rounds)
        return _submit(folder, [step for step in steps if step.job != FETCH], config.rounds, queue)
    if config.cluster == "local":
        local.run_steps(folder, steps, local.slots(config.shards, config.gpus), config.rounds)
    return {}, 0


def _submit(
    folder: RunFolder, steps: Sequence[Step], rounds: int, queue: Mapping[str, str]
) -> tuple[dict[str, list[str]], int]:
    """Ids of the steps' arrays, each written down before the next is submitted, and number of new ones."""
    launched = folder.launched()
    assert launched, "written before"
    recorded = {
        slurm.job_name(folder, step, turn): number
        for step in steps
        for turn, number in enumerate(launched.steps[step.name].ids, 1)
    }
    ids: dict[str, list[str]] = {step.name: [] for step in steps}
    count = 0
    for step, number, new in slurm.submit(folder, steps, rounds, {**recorded, **queue}, queue):
        ids[step.name].append(number)
        count += new
        now = dataclasses.replace(launched.steps[step.name], ids=tuple(ids[step.name]))
        launched = dataclasses.replace(launched, steps={**launched.steps, step.name: now})
        # After each array: if this launch is killed, the next one doesn't submit it again.
        folder.write_launched(launched)
    return ids, count

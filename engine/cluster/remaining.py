"""Steps of a run that are still to be done, when it is launched again.

What is in the queue is never submitted twice. Once nothing is, records say which tasks have ended, and the
stores, grids and folders are asked whether all is there: files may have been removed since, or a corpus or a
store may have grown.
"""

import dataclasses
import logging
from collections.abc import Collection, Sequence

from isogloss.engine.cluster import results
from isogloss.engine.cluster.run_folder import DONE, Launched, LaunchedStep, RunFolder
from isogloss.engine.cluster.steps import Step
from isogloss.engine.runtime.refusal import Refusal

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Remaining:
    """Work that is left of a run.

    Attributes:
      steps: from the first one that isn't done, in order.
      lacking: what the first of them lacks although tasks of it are done; "" if nothing.
    """

    steps: Sequence[Step]
    lacking: str = ""


def find(folder: RunFolder, cluster: str, every: Sequence[Step], queued: Collection[str]) -> Remaining:
    """Steps that are left: from the first one on that is in the queue or, if none is, that isn't done.

    A step isn't done if its flags are others, if a task of it hasn't ended with 0, or if what its tasks made
    isn't whole any more.

    Args:
      folder: folder of the run, which may hold an earlier launch.
      cluster: where the steps are to run.
      every: all steps, in order.
      queued: names of steps in the queue.

    Raises:
      Refusal: the run is in the queue with other flags, or was launched on another cluster.
    """
    launched = folder.launched()
    if launched and launched.cluster != cluster:
        raise Refusal(f"{folder.path}: was launched with --cluster={launched.cluster}; name another --run")
    if cluster == "kubernetes":  # submit.sh asks there; the paths of flags are those in the containers
        return Remaining(steps=every)
    if not queued:
        for i, step in enumerate(every):
            counts = folder.counts(step) if _same(folder, launched, step) else {}
            # Exit codes alone don't do: somebody may have removed what a step made.
            whole = counts == {DONE: step.tasks}
            lacking = results.lacking(step, whole=whole) if DONE in counts else ""
            if lacking or not whole:
                return Remaining(steps=every[i:], lacking=lacking)
        return Remaining(steps=())
    names = [step.name for step in every]
    if (
        not launched
        or list(launched.steps) != names
        or not all(_same(folder, launched, step) for step in every)
    ):
        raise Refusal(
            f"{folder.path}: is in the queue with other steps, flags or shards. Remedy: name another "
            f"--run, or first scancel what {folder.launch_file} lists"
        )
    return Remaining(steps=every[min(names.index(name) for name in queued) :])


def begin(folder: RunFolder, cluster: str, rounds: int, every: Sequence[Step], left: Remaining) -> None:
    """Write down what is launched, and forget the exit codes of steps that are to be done.

    Tasks of the first step that are done with the same flags keep theirs, unless the step lacks something:
    which task made that isn't known. Later steps have new input. On Kubernetes every step with the same flags
    keeps all: its Job is there as well until someone deletes it, and submit.sh then forgets its tasks.
    """
    launched = folder.launched()
    if left.lacking:
        _LOG.warning("%s: %s; all of its tasks are started again", left.steps[0].name, left.lacking)
    for step in left.steps:
        noted = cluster == "kubernetes"
        kept = (noted or (step is left.steps[0] and not left.lacking)) and _same(folder, launched, step)
        before = launched.steps[step.name].tasks if launched and step.name in launched.steps else 0
        for index in range(max(step.tasks, before)):
            if not (kept and (noted or folder.exit_code(step, index) == DONE)):
                folder.record(step, index).unlink(missing_ok=True)
        folder.write(folder.flags(step), step.flags)
    now = {step.name: LaunchedStep(job=step.job, tasks=step.tasks) for step in every}
    folder.write_launched(Launched(cluster=cluster, rounds=rounds, steps=now))


def _same(folder: RunFolder, launched: Launched | None, step: Step) -> bool:
    """True if the step was launched before, with the same flags and number of tasks."""
    found = launched.steps.get(step.name) if launched else None
    flags = folder.flags(step)
    return (
        found is not None
        and found.tasks == step.tasks
        and flags.is_file()
        and flags.read_text("utf-8") == step.flags
    )

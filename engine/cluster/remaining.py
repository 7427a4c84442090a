"""Steps of a run that are still to be done, when it is launched again."""

from collections.abc import Collection, Sequence

from isogloss.engine.cluster.run_folder import DONE, Launched, LaunchedStep, RunFolder
from isogloss.engine.cluster.steps import Step
from isogloss.engine.runtime.refusal import Refusal


def steps(folder: RunFolder, cluster: str, every: Sequence[Step], queued: Collection[str]) -> Sequence[Step]:
    """Steps from the first one on that is in the queue or, if none is, that isn't done with the same flags.

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
    if not queued:
        todo = (
            i for i, step in enumerate(every) if not (_same(folder, launched, step) and _done(folder, step))
        )
        return every[next(todo, len(every)) :]
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
    return every[min(names.index(name) for name in queued) :]


def begin(folder: RunFolder, cluster: str, rounds: int, every: Sequence[Step], todo: Sequence[Step]) -> None:
    """Write down what is launched, and forget the exit codes of steps that are to be done.

    Tasks of the first step that are done with the same flags keep theirs; later steps have new input.
    """
    launched = folder.launched()
    for step in todo:
        kept = step is todo[0] and _same(folder, launched, step)
        before = launched.steps[step.name].tasks if launched and step.name in launched.steps else 0
        for index in range(max(step.tasks, before)):
            if not (kept and folder.exit_code(step, index) == DONE):
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


def _done(folder: RunFolder, step: Step) -> bool:
    return folder.counts(step) == {DONE: step.tasks}

"""State of a launched run: records, logs and flags of its steps, and the stores and grids that they name."""

import json
import pathlib

from isogloss.engine.activations import activation_store
from isogloss.engine.cluster.run_folder import DONE, PARTIAL, REFUSED, LaunchedStep, RunFolder
from isogloss.engine.cluster.steps import Step
from isogloss.engine.runtime import zarr_group
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.tallies import grid_status, store_status
from isogloss.engine.tallies.pace import Pace, pace
from isogloss.engine.tallies.tally import Count, Tally

_END = 65_536  # bytes at the end of a log that are read
_STOPPED = (130, 143)  # exit codes of Ctrl-C and SIGTERM, which no log explains


def tally(path: pathlib.Path) -> Tally:
    """Tasks by step, and utterances and units of the steps' stores and grids by step.

    Raises:
      Refusal: nothing was launched with this folder.
    """
    folder = RunFolder(path=path)
    launched = folder.launched()
    if launched is None:
        raise Refusal(f"{path}: no run was launched there (no launch.json); name another --run")
    steps: dict[str, Count] = {}
    parts: dict[str, dict[str, Count]] = {"step": steps}
    reasons: dict[str, str] = {}
    at_work: tuple[str, Pace] | None = None
    for name, launched_step in launched.steps.items():
        step = _step(folder, name, launched_step)
        codes = folder.exit_codes(step)
        # One that was killed, was stopped or hasn't ended is left: it is started again.
        steps[name] = Count(
            done=sum(code in (DONE, PARTIAL) for code in codes),
            total=step.tasks,
            failed=codes.count(REFUSED),
        )
        for task, code in enumerate(codes):
            if code not in (DONE, None, *_STOPPED):
                reasons |= _reasons(folder.log(step, task), f"{name}-{task}")
        made = _made(step)
        if made:
            parts[f"{made.unit} of {name}"] = {name: made.count, **made.parts["language"]}
            logged = {name.partition(" ")[2] for name in reasons}  # with the task
            reasons |= {unit: why for unit, why in made.reasons.items() if unit not in logged}
        if at_work is None and steps[name].left:
            at_work = _pace(folder, step, steps[name], made)
    pace_of, found = at_work or ("", Pace())
    return Tally(
        unit="tasks",
        count=sum(steps.values(), Count()),
        parts=parts,
        reasons=reasons,
        pace=found,
        pace_of=pace_of,
    )


def _pace(folder: RunFolder, step: Step, tasks: Count, made: Tally | None) -> tuple[str, Pace]:
    """Unit of work of a running step, and its speed: by the files of its store or grid, else by its tasks."""
    if made:
        return f"{made.unit} of {step.name}", made.pace
    ended = [task for task, code in enumerate(folder.exit_codes(step)) if code is not None]
    return f"tasks of {step.name}", pace(len(ended), lambda i: folder.record(step, ended[i]), tasks.left)


def _step(folder: RunFolder, name: str, launched: LaunchedStep) -> Step:
    step = Step(name=name, job=launched.job, flags="", tasks=launched.tasks, sharded=True)
    file = folder.flags(step)
    flags = file.read_text("utf-8") if file.is_file() else ""
    return Step(name=name, job=launched.job, flags=flags, tasks=launched.tasks, sharded=True)


def _reasons(log: pathlib.Path, task: str) -> dict[str, str]:
    """Failures by unit of a task's last summary, or the error that ended it."""
    if not log.is_file():
        return {task: "no log"}
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _END))
        lines = file.read().decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        if line.startswith("error: "):
            return {task: line.removeprefix("error: ")}
        if line.startswith("{"):
            failed = json.loads(line).get("failed", {})
            named = failed.items() if isinstance(failed, dict) else enumerate(failed, 1)
            return {f"{task} {unit}": str(why) for unit, why in named}
    return {task: lines[-1] if lines else "an empty log"}


def _made(step: Step) -> Tally | None:
    """Amount of a step's store or grid that is there; None if the step makes neither or hasn't begun."""
    where = step.place({"extract": "store", "convert": "store", "grid": "grid"}.get(step.job, ""))
    if where is None:
        return None
    if step.job != "grid":
        return store_status.tally(where) if activation_store.stores(where) else None
    return grid_status.tally(where) if zarr_group.exists(where) else None

"""Cost of a run's steps, by each job's own dry run.

A step behind an extract or a grid reads what isn't there yet. It plans with stores and a grid that are as
large, but empty, in a temporary folder: its units, files and bytes are exact as far as recordings are sound.
Kernels are timed here in any case; what only scores would tell, such as the hours of a report, isn't known.
"""

import json
import pathlib
import sys
from collections.abc import Mapping, Sequence

from isogloss.engine.cluster.steps import Step
from isogloss.engine.runtime import temporary
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

Plan = dict[str, int | float]


TOTALS = ("files", "bytes")
_MADE = {"extract": "store", "grid": "grid"}  # flag of what a job makes, for those that can make it empty
_BY_PYTHON = "from isogloss.jobs import planned; planned.main()"


def totals(plans: Sequence[Plan], tasks: int) -> Plan:
    """Sums over all steps, and their time one after the other, each with all its tasks at once.

    Files and bytes are those of steps that know both, because they write them: the bytes of a report and the
    files of a verify are read.
    """
    writing = [plan for plan in plans if all(what in plan for what in TOTALS)]
    sums = {what: sum(plan[what] for plan in writing) for what in TOTALS}
    return {
        "tasks": tasks,
        **sums,
        "estimated_seconds": round(sum(plan.get("task_seconds", 0) for plan in plans), 1),
    }


def plan_steps(
    steps: Sequence[Step], flagfiles: Sequence[str], *, elsewhere: bool = False
) -> list[tuple[Plan, str]]:
    """Numbers of each step, with the seconds of one task, and a sentence on what isn't known.

    Args:
      steps: in order.
      flagfiles: paths of their flags.
      elsewhere: True if the paths in the flags may be those of another machine: nothing is refused then.

    Raises:
      Refusal: the first step is refused.
    """
    found: list[tuple[Plan, str]] = []
    with temporary.Folder("isogloss-plan-") as folder:
        standing: dict[str | None, pathlib.Path] = {}  # by the place that it stands for
        for number, (step, path) in enumerate(zip(steps, flagfiles, strict=True)):
            flags = _standing_flags(step, standing)
            numbers, unknown = _plan(step, path, flags)
            if unknown and not found and not elsewhere:
                raise Refusal(f"{path}: {unknown}")
            if unknown and not elsewhere:
                unknown = f"can't be estimated before the steps before it are done ({unknown})"
            elif "--grid" in flags and not unknown:
                for what in ("estimated_seconds", "task_seconds"):
                    numbers.pop(what, None)  # verify has none
                unknown = "its hours and its files aren't known before the grid has scores"
            found.append((numbers, unknown))
            made = step.value(_MADE.get(step.job, ""))
            behind = [name for later in steps[number + 1 :] for name in _standing_flags(later, {made: path})]
            if made and behind and numbers and (flags or next(iter(numbers.values()))):
                here = standing.setdefault(made, pathlib.Path(folder, f"{len(standing)}.zarr"))
                _make_empty(step, path, flags | {f"--{_MADE[step.job]}": str(here)})
                _link_others(step.place(_MADE[step.job]), here)
    return found


def _standing_flags(step: Step, standing: Mapping[str | None, object]) -> dict[str, str]:
    """Flags of what the step reads that another one has yet to make, with what stands for it."""
    flags: dict[str, str] = {}
    for name in _MADE.values():
        places = (step.value(name) or "").split(",")
        if name != _MADE.get(step.job) and any(place in standing for place in places):
            flags[f"--{name}"] = ",".join(str(standing.get(place, place)) for place in places)
    return flags


def _plan(step: Step, path: str, flags: Mapping[str, str]) -> tuple[Plan, str]:
    """Numbers of a step; none, and the reason, if its dry run is refused."""
    command = [sys.executable, "-m", f"isogloss.jobs.{step.job}", f"--flagfile={path}", "--dry_run"]
    done = temporary.run([*command, *_words(flags)])
    if done.returncode in (0, 3):
        numbers: Plan = json.loads(done.stdout.splitlines()[-1])["plan"]
        if "estimated_seconds" in numbers:
            numbers["task_seconds"] = round(numbers["estimated_seconds"] / step.tasks, 1)
        return numbers, ""
    lines = done.stderr.strip().splitlines() or ["died"]
    return {}, lines[-1].removeprefix("error: ")


def _make_empty(step: Step, path: str, flags: Mapping[str, str]) -> None:
    """Make an empty store or grid; where that isn't possible the steps behind say what they lack."""
    temporary.run([sys.executable, "-c", _BY_PYTHON, step.job, f"--flagfile={path}", *_words(flags)])


def _link_others(place: Place | None, here: pathlib.Path) -> None:
    """Let languages that a folder of stores has already stand beside the empty ones."""
    for store in place.glob("*.zarr") if isinstance(place, pathlib.Path) and place.is_dir() else ():
        if here.is_dir() and not (here / store.name).exists() and (store / "zarr.json").is_file():
            (here / store.name).symlink_to(store.resolve())


def _words(flags: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in flags.items()]

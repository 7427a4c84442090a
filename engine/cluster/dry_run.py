"""Cost of a run's steps, by each job's own dry run."""

import json
import subprocess
import sys
from collections.abc import Sequence

from isogloss.engine.cluster.steps import Step
from isogloss.engine.runtime.refusal import Refusal

Plan = dict[str, int | float]


TOTALS = ("files", "bytes")


def totals(plans: Sequence[Plan], tasks: int) -> Plan:
    """Sums over all steps, and their time one after the other, each with all its tasks at once."""
    sums = {what: sum(plan.get(what, 0) for plan in plans) for what in TOTALS}
    return {
        "tasks": tasks,
        **sums,
        "estimated_seconds": round(sum(plan.get("task_seconds", 0) for plan in plans), 1),
    }


def plan(step: Step, flagfile: str, first: bool) -> tuple[Plan, str]:
    """Numbers of the whole step, with the seconds of one task, and a sentence if it can't be estimated yet.

    Args:
      step: the step.
      flagfile: path of its flags.
      first: True if no step comes before, so that its input must exist.

    Raises:
      Refusal: the first step is refused.
    """
    command = [sys.executable, "-m", f"isogloss.jobs.{step.job}", f"--flagfile={flagfile}", "--dry_run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode in (0, 3):
        numbers: Plan = json.loads(done.stdout.splitlines()[-1])["plan"]
        if "estimated_seconds" in numbers:
            numbers["task_seconds"] = round(numbers["estimated_seconds"] / step.tasks, 1)
        return numbers, ""
    reason = done.stderr.strip().splitlines()[-1].removeprefix("error: ") if done.stderr.strip() else "died"
    if first:
        raise Refusal(f"{flagfile}: {reason}")
    return {}, f"can't be estimated before the steps before it are done ({reason})"

r"""Script of one task: runs the job, records its exit code, and tells the scheduler what to repeat.

A scheduler repeats every task whose exit code isn't 0. Codes that trying again can't change (2, refused; 3,
done as far as the inputs allow) are therefore recorded and turned into 0; a task with such a record, or with
0, ends at once. A task starts only if the step before is done, so that a step which was refused isn't
followed by one that fails for a less clear reason.
"""

import pathlib
import shlex
import sys
from collections.abc import Sequence

from isogloss.engine.cluster.run_folder import RunFolder
from isogloss.engine.cluster.steps import Step

_SCRIPT = r"""#!/bin/bash
{directives}
# Task I of step {name}, {tasks} in all. Slurm says which; by hand: bash {name}.sh I
index=${{SLURM_ARRAY_TASK_ID:-$1}}
run={run}
record=$run/exit/{name}-$index
echo "== $(date +%FT%T%z) $(hostname) {name}-$index ${{SLURM_JOB_ID:+Slurm job $SLURM_JOB_ID}}" >&2

ls "$run/exit" > /dev/null  # a network disk then shows what other nodes wrote
code() {{ cat "$run/exit/$1" 2> /dev/null; }}
finish() {{
  case $(code {name}-$index)-$1 in 0-*|3-*|2-[!03]*) return ;; esac  # a start by a requeue got further
  echo "$1" > "$record.new" && mv "$record.new" "$record" || exit 1
}}

case $(code {name}-$index) in 0|2|3)
  echo "nothing to do: {name}-$index ended before with $(cat "$record"), says $record" >&2
  exit 0
esac
{before}
{exports}trap : TERM INT  # the job ends by itself, then its code is recorded
cd {folder} || exit 1
{command}
status=$?
finish $status
case $status in 0|2|3) exit 0 ;; *) exit $status ;; esac
"""

_BEFORE = r"""for task in {{0..{last}}}; do
  case $(code {name}-$task) in 0|3) continue ;; esac
  echo "error: not started, because {name}-$task isn't done; see $run/logs/{name}-$task.log" >&2
  finish 2
  exit 0
done
"""


def script(
    step: Step,
    before: Step | None,
    run: RunFolder,
    *,
    python: str | None,
    env: Sequence[str],
    sbatch: str | None,
    folder: pathlib.Path,
) -> str:
    """Script of a step's tasks, whose argument or variable of Slurm is the index.

    Args:
      step: the step.
      before: step that must be done, if there is one.
      run: folder of the run.
      python: command that starts Python; None: this one.
      env: environment variables NAME=VALUE.
      sbatch: options of sbatch for every step; those of the step's flag file overrule them.
      folder: folder that relative paths in flags start from.
    """
    options = ["--requeue --kill-on-invalid-dep=yes --open-mode=append", f'--output="{_log(step, run)}"']
    # Of equal options sbatch takes the last, so the step's own come last.
    options += [line for line in (sbatch, *step.sbatch) if line]
    words = ["-m", f"isogloss.jobs.{step.job}", f"--flagfile={run.flags(step)}", *step.shard_flags]
    index = '"$index"' if step.sharded else ""
    return _SCRIPT.format(
        directives="\n".join(f"#SBATCH {line}" for line in options),
        name=step.name,
        tasks=step.tasks,
        run=shlex.quote(str(run.path)),
        before=_BEFORE.format(name=before.name, last=before.tasks - 1) if before else "",
        exports="".join(f"export {_assignment(variable)}\n" for variable in env),
        folder=shlex.quote(str(folder)),
        command=f"{python or shlex.quote(sys.executable)} {shlex.join(words)}{index}",
    )


def _log(step: Step, run: RunFolder) -> str:
    return str(run.log(step, "TASK")).replace("%", "%%").replace("-TASK.log", "-%a.log")


def _assignment(variable: str) -> str:
    name, _, value = variable.partition("=")
    return f"{name}={shlex.quote(value)}"

"""Steps of a run as job arrays of Slurm, submitted by sbatch; `task_script` writes the scripts.

Nothing stays on the login node. A step is an array, submitted once for each round: round r starts only if a
task of every round before died (afternotok), whatever it died of: a time limit, preemption, a dead node,
memory. The next step waits for the end of all rounds (afterany). A job's name holds a hash of the run's
folder, so the queue itself says what is submitted, even where launch was killed before it could write that
down.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence

from isogloss.engine.cluster.run_folder import RunFolder
from isogloss.engine.cluster.steps import Step
from isogloss.engine.runtime import json_values
from isogloss.engine.runtime.refusal import Refusal


def check(steps: Sequence[Step]) -> None:
    """Refuse a machine without Slurm, and more tasks than an array of this cluster may have."""
    lines = _run("scontrol", "show", "config").splitlines()
    values = dict(line.replace(" ", "").split("=", 1) for line in lines if "=" in line)
    limit = int(values["MaxArraySize"])
    for step in steps:
        if step.tasks > limit:
            raise Refusal(
                f"--shards={step.tasks}: an array of this cluster has at most {limit} tasks (MaxArraySize)"
            )


def queued(run: RunFolder) -> dict[str, str]:
    """Ids of this run's arrays that wait or run, by job name."""
    lines = _run("squeue", "--me", "--noheader", "--format=%F %j").splitlines()
    ids = {name: number for number, name in (line.split(maxsplit=1) for line in lines)}
    return {name: number for name, number in ids.items() if name.endswith(_suffix(run))}


def step_names(run: RunFolder, queue: Mapping[str, str]) -> set[str]:
    """Names of the steps that have an array in the queue."""
    return {name.removesuffix(_suffix(run)).rpartition(".")[0] for name in queue}


def submit(
    run: RunFolder, steps: Sequence[Step], rounds: int, known: Mapping[str, str], queue: Mapping[str, str]
) -> Iterator[tuple[Step, str, bool]]:
    """Submit every round of every step that isn't; yields step, id, and True for each new array.

    The caller writes an id down before it asks for the next.

    Args:
      run: folder that holds the scripts and records.
      steps: in order.
      rounds: number of arrays of a step.
      known: ids of arrays that were submitted, by job name.
      queue: those of them that wait or run.
    """
    waiting = set(queue.values())
    before: list[str] = []
    for step in steps:
        ids: list[str] = []
        for turn in range(1, rounds + 1):
            name = job_name(run, step, turn)
            new = name not in known
            if new:
                kind, others = ("afternotok", ids) if ids else ("afterany", before)
                # Slurm forgets jobs some minutes after their end, and then refuses to wait for them.
                number = _sbatch(run, step, name, [f"{kind}:{other}" for other in others if other in waiting])
                waiting.add(number)
            else:
                number = known[name]
            ids.append(number)
            yield step, number, new
        before = ids


def job_name(run: RunFolder, step: Step, turn: int) -> str:
    """Name of a step's array in a round, from 1; no other run has it."""
    return f"{step.name}.{turn}{_suffix(run)}"


def _sbatch(run: RunFolder, step: Step, name: str, dependencies: Sequence[str]) -> str:
    """Id of a new array of the step's unfinished tasks."""
    return (
        _run(
            "sbatch",
            "--parsable",
            f"--job-name={name}",
            # An interrupted launch may go on when all have ended: tasks with a record then end at once.
            f"--array={_ranges(run.unfinished(step) or range(step.tasks))}",
            *([f"--dependency={','.join(dependencies)}"] if dependencies else []),
            str(run.script(step)),
        )
        .strip()
        .partition(";")[0]
    )  # "ID;CLUSTER" where there are several clusters


def _ranges(indices: Sequence[int]) -> str:
    """Numbers in Slurm's notation: 0-3,7."""
    parts: list[list[int]] = []
    for index in indices:
        if parts and parts[-1][-1] == index - 1:
            parts[-1][1:] = [index]
        else:
            parts.append([index])
    return ",".join("-".join(map(str, part)) for part in parts)


def _suffix(run: RunFolder) -> str:
    return f"@{json_values.fingerprint(str(run.path))[:8]}"


def _run(*command: str) -> str:
    """Standard output of a command of Slurm; a Refusal with its own words if it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise Refusal(
            f"--cluster=slurm: {command[0]} isn't installed here; start launch on a login node"
        ) from error
    except subprocess.CalledProcessError as error:
        raise Refusal(f"{command[0]} failed, nothing more was submitted: {error.stderr.strip()}") from error

"""Share of this process from the variables of Slurm and Kubernetes, where --num_shards asks for one.

Only on request, because an array may be there for something else, such as a sweep over models.
"""

from collections.abc import Mapping

from isogloss.engine.runtime.refusal import Refusal

AUTO = "auto"
_INDICES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")


def index(environment: Mapping[str, str], shards: int) -> int:
    """Index of this process among `shards`: its task id in Slurm's array, or its pod's index.

    A task started again alone, as by --array=3, thus does its own share.

    Raises:
      Refusal: this is neither a task nor a pod, or its number isn't that of a shard.
    """
    for name in _INDICES:
        if (given := environment.get(name, "")).isdecimal():
            if int(given) < shards:
                return int(given)
            raise Refusal(
                f"--num_shards={shards}: {name}={given} isn't from 0 to {shards - 1}. Number the tasks from "
                f"0, as --array=0-{shards - 1} does, or give --shard_index"
            )
    raise Refusal(
        f"--num_shards={shards}: which of them is this? Give --shard_index=I, from 0 to {shards - 1}; only "
        f"tasks of a Slurm array and pods of an indexed Job know it ({' or '.join(_INDICES)})"
    )


def shard(environment: Mapping[str, str]) -> tuple[int, int]:
    """(number of shards, index) of an array --array=0-(N-1).

    Raises:
      Refusal: this is not a task of such an array but of one with gaps, or one failed task started again,
        or a pod of Kubernetes, which gets its index alone.
    """
    given = [environment.get(f"SLURM_ARRAY_TASK_{name}", "") for name in ("COUNT", "MIN", "MAX", "ID")]
    if all(value.isdecimal() for value in given):
        count, first, last, index = map(int, given)
        if (first, last) == (0, count - 1):
            return count, index
        found = f"Slurm's array has {count} tasks from {first} to {last}"
    elif "JOB_COMPLETION_INDEX" in environment:
        found = "Kubernetes gives a pod its index, not the number of pods"
    else:
        found = "this isn't a task of a Slurm array"
    raise Refusal(
        f"--num_shards=auto needs a Slurm array --array=0-(N-1), and {found}. Give --num_shards=N: "
        "the index is that of the task or pod, or what --shard_index says"
    )

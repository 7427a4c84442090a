"""Number of shards and index of this process from Slurm's variables, for --num_shards=auto.

Only on request, because an array may be there for something else, such as a sweep over models.
"""

from collections.abc import Mapping

from isogloss.engine.runtime.refusal import Refusal

AUTO = "auto"


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
        f"--num_shards=auto needs a Slurm array --array=0-(N-1), and {found}. Give --num_shards=N and "
        "--shard_index=I, such as --shard_index=$SLURM_ARRAY_TASK_ID or $JOB_COMPLETION_INDEX"
    )

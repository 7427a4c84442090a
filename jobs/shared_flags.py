"""Flags that several jobs share, and how every job ends.

absl refuses a flag that two modules define; each function here defines its flags when a job first asks for
them and hands the same holders to the next, so that jobs can be imported together and accept only their own.
"""

import dataclasses
import functools
import json
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from absl import app, flags

if TYPE_CHECKING:
    from isogloss.engine import plan


class Summary(Protocol):
    """What an engine's conductor returns: a dataclass that knows whether all is done."""

    @property
    def plan(self) -> Mapping[str, int | float]:
        """What is to do, and with --dry_run what it would cost."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the exit code is 0."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sharding:
    """Holders of the flags that divide a job over processes."""

    num_shards: flags.FlagHolder[int]
    shard_index: flags.FlagHolder[int]
    dry_run: flags.FlagHolder[bool]

    def share(self) -> "plan.Share":
        """Share of this process; ValueError if the index is out of range."""
        from isogloss.engine import plan  # noqa: PLC0415

        count, index = self.num_shards.value, self.shard_index.value
        if index >= count and "JOB_COMPLETION_INDEX" in os.environ:
            raise ValueError(f"shard {index} of {count}: Kubernetes doesn't tell how many; give --num_shards")
        return plan.Share(index=index, count=count)


def scheduler_shard(environment: Mapping[str, str]) -> tuple[int, int]:
    """(number of shards, index) that Slurm's array or a Kubernetes indexed job gives; (1, 0) without one.

    Kubernetes tells a pod its index, not the number of completions: --num_shards must say it.
    """
    if "SLURM_ARRAY_TASK_ID" in environment and "SLURM_ARRAY_TASK_COUNT" in environment:
        first = int(environment.get("SLURM_ARRAY_TASK_MIN", "0"))
        step = int(environment.get("SLURM_ARRAY_TASK_STEP", "1"))
        index = (int(environment["SLURM_ARRAY_TASK_ID"]) - first) // step
        return int(environment["SLURM_ARRAY_TASK_COUNT"]), index
    return 1, int(environment.get("JOB_COMPLETION_INDEX", "0"))


@functools.cache
def sharding() -> Sharding:
    """--num_shards, --shard_index and --dry_run."""
    count, index = scheduler_shard(os.environ)
    return Sharding(
        num_shards=flags.DEFINE_integer(
            "num_shards",
            count,
            "Processes that divide the work; default: SLURM_ARRAY_TASK_COUNT.",
            1,
        ),
        shard_index=flags.DEFINE_integer(
            "shard_index",
            index,
            "Which of them this is; default: from Slurm or JOB_COMPLETION_INDEX.",
            0,
        ),
        dry_run=flags.DEFINE_boolean("dry_run", False, "Print the plan and its cost, do nothing."),
    )


@functools.cache
def store() -> flags.FlagHolder[str]:
    """--store, required."""
    return flags.DEFINE_string(
        "store", None, "Folder of activation stores, one <language>.zarr each.", required=True
    )


@functools.cache
def grid() -> flags.FlagHolder[str]:
    """--grid, required."""
    return flags.DEFINE_string("grid", None, "Grid of score matrices, a folder GRID.zarr.", required=True)


@functools.cache
def languages() -> flags.FlagHolder[list[str]]:
    """--languages."""
    return flags.DEFINE_list("languages", ["all"], "Languages by their codes, or all there are.")


@functools.cache
def states() -> flags.FlagHolder[list[str]]:
    """--states."""
    return flags.DEFINE_list("states", ["all"], "Encoder states: all, or some of 0,1,...,final.")


def choice(holder: flags.FlagHolder[list[str]]) -> tuple[str, ...]:
    """Values of a list flag; none where it says "all"."""
    values = tuple(holder.value or ())
    if not values:
        raise ValueError(f"--{holder.name} is empty; name some, or all")
    return () if values == ("all",) else values


def path(holder: flags.FlagHolder[str]) -> pathlib.Path:
    """A flag's file or folder, "~" expanded; ValueError if it's empty."""
    if not holder.value:
        raise ValueError(f"--{holder.name} is empty; name a path")
    return pathlib.Path(holder.value).expanduser()


def run(main: Callable[[], Summary]) -> None:
    """Parse the flags, call `main`, print its summary as one line of JSON, exit 0 if all is done.

    Bad input, a ValueError or OSError, ends with its message and exit code 2; a run that left something
    undone exits 1. `--verbosity=1` shows where a message comes from.
    """

    def absl_main(argv: Sequence[str]) -> None:
        if argv[1:]:
            raise app.UsageError(f"arguments that aren't flags: {' '.join(argv[1:])}")
        logging.getLogger("jax").setLevel(logging.WARNING)  # it looks for TPUs aloud
        log = logging.getLogger("isogloss")
        log.setLevel(min(logging.INFO, logging.getLogger().level))
        try:
            summary = main()
        except (ValueError, OSError) as error:
            log.debug("raised here", exc_info=error)
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        if flags.FLAGS.dry_run:
            for what, amount in summary.plan.items():
                print(f"{what:>24}: {amount:,}", file=sys.stderr)
        print(json.dumps(dataclasses.asdict(summary)))  # pyright: ignore[reportArgumentType]
        sys.exit(0 if summary.complete else 1)

    app.run(absl_main)

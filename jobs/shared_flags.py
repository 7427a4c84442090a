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
    from isogloss.engine.runtime import shards


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

    def share(self) -> "shards.Share":
        """Share of this process; ValueError if the index is out of range."""
        from isogloss.engine.runtime import shards  # noqa: PLC0415

        count, index = self.num_shards.value, self.shard_index.value
        if index >= count and "JOB_COMPLETION_INDEX" in os.environ:
            raise ValueError(f"shard {index} of {count}: Kubernetes doesn't tell how many; give --num_shards")
        return shards.Share(index=index, count=count)


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
def corpus() -> flags.FlagHolder[str | None]:
    """--corpus; a job that can't do without asks for it by `text`."""
    return flags.DEFINE_string(
        "corpus", None, "fleurs[:SPLIT], fleurs-dir:PATH[:SPLIT] or manifest:FILE.tsv."
    )


@functools.cache
def model() -> flags.FlagHolder[str | None]:
    """--model; a job that can't do without asks for it by `text`."""
    return flags.DEFINE_string("model", None, "Whisper checkpoint: hub id, folder or OpenAI .pt file.")


@functools.cache
def revision() -> flags.FlagHolder[str | None]:
    """--revision."""
    return flags.DEFINE_string("revision", None, "Commit, tag or branch of a hub id.")


@functools.cache
def store() -> flags.FlagHolder[str | None]:
    """--store; a job that can't do without asks for it by `path`."""
    return flags.DEFINE_string("store", None, "Folder of activation stores, one <language>.zarr each.")


@functools.cache
def out() -> flags.FlagHolder[str]:
    """--out, required."""
    return flags.DEFINE_string("out", None, "Folder to write to.", required=True)


@functools.cache
def recordings() -> flags.FlagHolder[str]:
    """--recordings."""
    return flags.DEFINE_enum(
        "recordings", "first", ["first", "all"], "Recordings of a sentence in a language."
    )


@functools.cache
def long() -> flags.FlagHolder[str]:
    """--long."""
    return flags.DEFINE_enum(
        "long", "truncate", ["truncate", "skip", "error"], "What to do with audio over 30 s."
    )


@functools.cache
def rows_per_device() -> flags.FlagHolder[int]:
    """--rows_per_device."""
    return flags.DEFINE_integer(
        "rows_per_device",
        0,
        "Utterances of an encoder's step on a device; 0: 1 on CPU, else 16 or what fits.",
        0,
    )


@functools.cache
def compute() -> flags.FlagHolder[str]:
    """--compute."""
    return flags.DEFINE_enum(
        "compute", "auto", ["auto", "float32", "bfloat16"], "Products; auto: float32 on CPU, else bfloat16."
    )


@functools.cache
def tokenizer() -> flags.FlagHolder[str | None]:
    """--tokenizer."""
    return flags.DEFINE_string(
        "tokenizer", None, "Folder or hub id that holds the tokenizer; default: the model's own."
    )


@functools.cache
def language() -> flags.FlagHolder[str | None]:
    """--language."""
    return flags.DEFINE_string(
        "language",
        "per-utterance",
        "What the decoder is told: per-utterance (each language's own token or stand-in), detect, or a code.",
    )


@functools.cache
def stand_in() -> flags.FlagHolder[list[str]]:
    """--stand_in."""
    return flags.DEFINE_list("stand_in", [], "Tokens for languages, as in ky=kk,ga=en; before all others.")


@functools.cache
def exit_norm() -> flags.FlagHolder[str]:
    """--exit_norm."""
    return flags.DEFINE_enum(
        "exit_norm",
        "true",
        ["true", "false", "both"],
        "Whether states pass the encoder's final LayerNorm; both is for transcribe.",
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


@functools.cache
def state() -> flags.FlagHolder[list[str]]:
    """--state, of jobs that look at single states."""
    return flags.DEFINE_list(
        "state", ["final"], "Encoder states: all, or some of 1,...,final; align takes one."
    )


@functools.cache
def pairs() -> flags.FlagHolder[list[str]]:
    """--pairs."""
    return flags.DEFINE_list("pairs", ["all"], "Language pairs a-b, or all; each counts once.")


@functools.cache
def compilation_cache() -> flags.FlagHolder[str | None]:
    """--compilation_cache."""
    return flags.DEFINE_string(
        "compilation_cache", None, "Folder that keeps compiled programs for the next run; none by default."
    )


def optional_path(holder: flags.FlagHolder[str | None]) -> pathlib.Path | None:
    """A flag's file or folder, "~" expanded; None if it wasn't given."""
    return pathlib.Path(holder.value).expanduser() if holder.value else None


def choice(holder: flags.FlagHolder[list[str]]) -> tuple[str, ...]:
    """Values of a list flag; none where it says "all"."""
    values = tuple(holder.value or ())
    if not values:
        raise ValueError(f"--{holder.name} is empty; name some, or all")
    return () if values == ("all",) else values


def text(holder: flags.FlagHolder[str | None]) -> str:
    """A flag's value; ValueError if it wasn't given or is empty."""
    if not holder.value:
        raise ValueError(f"--{holder.name} is missing or empty; --help says what it takes")
    return holder.value


def path(holder: flags.FlagHolder[str] | flags.FlagHolder[str | None]) -> pathlib.Path:
    """A flag's file or folder, "~" expanded; ValueError if it wasn't given or is empty."""
    if not holder.value:
        raise ValueError(f"--{holder.name} is missing or empty; name a path")
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

"""A job as a command: flags from the fields of its configuration, one call, one line of JSON on stdout.

The last line on stderr is a sentence for people: what is stored now, and the next command. Exit codes: 0,
complete; 1, a fault of the program, with a traceback, or a disk, a bucket or a hub that fails for now, even
if all else is done; 2, refused (malformed flags, bad input), or stopped until a person helps (no permission,
a full disk); 3, complete except for bad inputs, which are named; 130 or 143, stopped by Ctrl-C or SIGTERM.
What is written is kept.
"""

import dataclasses
import functools
import importlib
import json
import logging
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn, Protocol, TypeVar

from absl import app, flags

from isogloss.engine.runtime import amounts, disk_faults, options, sentences, version
from isogloss.engine.runtime.options import JobConfig, Option, Value
from isogloss.engine.runtime.refusal import Refusal, UnfinishedError, UnreachableError, WriteError
from isogloss.jobs import log_lines, scheduler, stopping

Config = TypeVar("Config", bound=JobConfig)
COUNT, INDEX = "num_shards", "shard_index"


class Summary(Protocol):
    """Result of a conductor: a dataclass."""

    @property
    def plan(self) -> Mapping[str, int | float]:
        """Work to do, and with --dry_run its cost."""
        ...

    @property
    def complete(self) -> bool:
        """True if nothing was left undone."""
        ...

    def sentence(self, config: JobConfig) -> str:
        """Amount stored now, and the next command; not asked for after a dry run."""
        ...


def run(config: type[JobConfig], conductor: str) -> None:
    """Parse the flags of a configuration, run the job, end the process with its exit code.

    Args:
      config: dataclass that the flags are made from.
      conductor: module whose `run` takes it; imported after the flags are parsed, so that --help is quick.
    """

    def main(argv: Sequence[str]) -> None:
        try:
            given, log_folder = _given(config, argv)
            if given.dry_run:
                stopping.keeps_nothing()
            log_lines.begin(conductor.rpartition(".")[2], given, log_folder)
            _quiet_libraries()
            summary: Summary = importlib.import_module(conductor).run(given)
        except (Refusal, WriteError) as error:
            logging.getLogger("isogloss").debug("raised here", exc_info=error)
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except (UnfinishedError, UnreachableError) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        stopping.ignore()
        print(json.dumps(_record(summary, given.dry_run)), flush=True)
        if given.dry_run:
            for what, amount in summary.plan.items():
                print(f"{what.replace('_', ' '):>24}: {amounts.figure(what, amount)}", file=sys.stderr)
        print(sentences.planned(summary.plan) if given.dry_run else summary.sentence(given), file=sys.stderr)
        sys.exit(_code(summary))

    define(config, flags.FLAGS)
    if not config.resumes:
        stopping.keeps_nothing()
    stopping.watch()
    app.run(main, flags_parser=functools.partial(_parsed, config))


def _code(summary: Summary) -> int:
    """Exit code of a run that came to its end; 1 if what failed may succeed when it is tried again."""
    if summary.complete:
        return 0
    failed: Mapping[str, str] | Sequence[str] = getattr(summary, "failed", ())
    reasons = failed.values() if isinstance(failed, Mapping) else failed
    return 1 if any(map(disk_faults.may_pass, reasons)) else 3


def _record(summary: Summary, dry_run: bool) -> dict[str, object]:
    """Fields of the line of JSON; in a dry run amounts of the plan stand in the plan alone."""
    fields: dict[str, object] = dataclasses.asdict(summary)  # pyright: ignore[reportArgumentType]
    return {name: value for name, value in fields.items() if not (dry_run and name in summary.plan)}


def define(config: type[JobConfig], holder: flags.FlagValues) -> None:
    """One flag for each option of a configuration that isn't positional, listed by --help."""
    holder.set_gnu_getopt()  # flags may follow arguments
    for each in options.options(config):
        if each.positional:
            continue
        _define(each, holder)
        holder.register_key_flag_for_module(sys.argv[0], holder[each.name])


def _define(each: Option, holder: flags.FlagValues) -> None:
    text = f"{each.described} Required." if each.required else each.described
    default = each.default
    if each.name == COUNT:
        text += " Or auto: those of a Slurm array --array=0-(N-1)."
        flags.DEFINE(_CountParser(), COUNT, default, text, flag_values=holder)
    elif each.choices and each.kind is not tuple:
        flags.DEFINE_enum(each.name, default, list(each.choices), text, flag_values=holder)  # pyright: ignore
    elif isinstance(default, tuple):
        names = [each.empty] if each.empty and not default else list(default)
        flags.DEFINE_list(each.name, names, text, flag_values=holder)
    else:
        kinds = {bool: flags.DEFINE_boolean, int: flags.DEFINE_integer, float: flags.DEFINE_float}
        kinds.get(each.kind, flags.DEFINE_string)(each.name, default, text, flag_values=holder)  # pyright: ignore


class _CountParser(flags.ArgumentParser):
    """Parser of a number of shards, or "auto"."""

    def parse(self, argument: str | int) -> str | int:
        """The number, or "auto"; a ValueError for anything else."""
        return argument if argument == scheduler.AUTO else int(argument)


def configuration(
    config: type[Config],
    holder: flags.FlagValues,
    environment: Mapping[str, str],
    arguments: Sequence[str] = (),
) -> Config:
    """Configuration that the flags and arguments give.

    Args:
      config: its class.
      holder: of the flags, parsed.
      environment: variables of Slurm and Kubernetes; read only if --num_shards asks for shards.
      arguments: those that aren't flags.

    Raises:
      Refusal: a required flag is missing, a value breaks a rule, or the job takes no arguments.
    """
    given: dict[str, Value | list[str]] = {
        each.name: tuple(arguments) if each.positional else _value(each, holder[each.name].value)
        for each in options.options(config)
    }
    if arguments and not any(each.positional for each in options.options(config)):
        raise Refusal(f"arguments that aren't flags: {' '.join(arguments)}")
    if given.get(COUNT) == scheduler.AUTO:
        given[COUNT], given[INDEX] = scheduler.shard(environment)
    elif isinstance(shards := given.get(COUNT), int) and shards > 1 and not holder[INDEX].present:
        given[INDEX] = scheduler.index(environment, shards)
    return config(**given)  # pyright: ignore[reportArgumentType]


def _value(each: Option, value: Value | list[str]) -> Value:
    if each.kind is pathlib.Path and isinstance(value, str):
        return options.path(each, value)
    if not isinstance(value, list):
        return value
    values = tuple(value or ())
    if each.empty and not values:
        raise Refusal(f"--{each.name} is empty; name some, or {each.empty}")
    return () if each.empty and values == (each.empty,) else values


def _given(config: type[Config], argv: Sequence[str]) -> tuple[Config, pathlib.Path | None]:
    """Configuration and folder of logs that the parsed flags give."""
    return configuration(config, flags.FLAGS, os.environ, argv[1:]), log_lines.folder(flags.FLAGS.log_dir)


def _parsed(config: type[JobConfig], argv: Sequence[str]) -> Sequence[str]:
    """Arguments that aren't flags; --help and --version end the process with 0, a malformed flag with 2.

    --only_check_args, after which absl ends the process with 0, refuses what the run would of its options.
    """
    if "--version" in argv[1:]:
        print(f"isogloss {version.isogloss_version()}")
        sys.exit(0)
    try:
        rest = flags.FLAGS(list(argv))
        if flags.FLAGS.only_check_args:
            _given(config, rest)
        return rest
    except Refusal as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except flags.Error as error:
        print(f"error: {error}; --help lists the flags", file=sys.stderr)
        sys.exit(2)
    except (SystemExit, BrokenPipeError):
        _leave()  # absl ends --help with 1


def _leave() -> NoReturn:
    """End the process with 0, also where nobody reads on: `--help | head`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's own flush fails
    sys.exit(0)


def _quiet_libraries() -> None:
    # transformers says that no model can be had without PyTorch; ours need none.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    # jax logs its search for TPUs, Orbax every checkpoint's stages by absl, fontTools all of a font.
    for name in ("jax", "absl", "fontTools"):
        logging.getLogger(name).setLevel(logging.WARNING)
    log = logging.getLogger("isogloss")
    log.setLevel(min(logging.INFO, logging.getLogger().level))

"""Options of a job: one frozen dataclass per job, the only place where an option is described.

The job's flags, help and documentation are made from its fields; Python callers get the same defaults and
checks. Imports nothing heavy, because `--help` loads this module.
"""

import dataclasses
import math
import operator
import pathlib
import types
import typing
from collections.abc import Mapping
from typing import ClassVar

from isogloss.engine.runtime import place
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.place import BucketPath, Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.runtime.shards import Share

Limit = int | float | None
Field = typing.Any  # the type of an option is its annotation, as with dataclasses.field
Value = bool | int | float | str | Place | tuple[str, ...] | None


def option(
    help: str,
    default: object = dataclasses.MISSING,
    *,
    choices: tuple[str, ...] = (),
    minimum: Limit = None,
    maximum: Limit = None,
    above: Limit = None,
    below: Limit = None,
    empty: str = "",
    positional: bool = False,
) -> Field:
    """Field of a job's configuration.

    Args:
      help: meaning of the option, for users.
      default: value if none is given; an option without a default is required.
      choices: allowed values, where the annotation doesn't name them; of a tuple those of its members.
      minimum: smallest allowed number.
      maximum: largest allowed number.
      above: number that the value must exceed.
      below: number that the value must not reach.
      empty: what an empty tuple means, "all" or "none", which is then the flag's value; "" if neither.
      positional: True if the values are the command's arguments that aren't flags.
    """
    limits = {"at least": minimum, "above": above, "below": below, "at most": maximum}
    metadata = {
        "help": help,
        "choices": choices,
        "limits": {how: limit for how, limit in limits.items() if limit is not None},
        "empty": empty,
        "positional": positional,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """One option as flags and documentation need it.

    Attributes:
      name: name of the field and of the flag.
      kind: type: bool, int, float, str, pathlib.Path or tuple (of strings).
      help: meaning, for users.
      default: value if none is given; None if the option is required.
      required: True if a value must be given.
      choices: allowed values, or members of a tuple; empty if any value is allowed.
      limits: allowed numbers, by the keys of `_WITHIN`; empty if any number is allowed.
      empty: what an empty tuple means; "" if nothing of its own.
      positional: True if the values are the command's arguments that aren't flags.
      bucket: True if a path may be in a bucket.
    """

    name: str
    kind: type
    help: str
    default: Value
    required: bool
    choices: tuple[str, ...]
    limits: Mapping[str, int | float]
    empty: str
    positional: bool
    bucket: bool

    @property
    def range(self) -> str:
        """Allowed numbers in words."""
        return " and ".join(f"{how} {limit:g}" for how, limit in self.limits.items())

    @property
    def described(self) -> str:
        """Meaning and allowed numbers; that a number is at least 0 or 1 goes without saying."""
        plain = self.limits in ({}, {"at least": 0}, {"at least": 1})
        return self.help if plain else f"{self.help} {self.range.capitalize()}."


def options(config: "type[JobConfig] | JobConfig") -> tuple[Option, ...]:
    """Options of a job, in the order of its fields; those that many jobs have come last."""
    of_many_jobs = [*_names(FigureOptions), *_names(ShardedJobConfig)]
    # Dataclasses list inherited fields first; a reader of --help wants the job's own first.
    fields = sorted(dataclasses.fields(config), key=lambda field: field.name in of_many_jobs)
    return tuple(_option(field) for field in fields)


def _names(options_of_several: type) -> list[str]:
    return [field.name for field in dataclasses.fields(options_of_several)]


def _option(field: "dataclasses.Field[object]") -> Option:
    kind, choices, bucket = _kind(field.type)
    required = field.default is dataclasses.MISSING
    return Option(
        name=field.name,
        kind=kind,
        default=None if required else typing.cast(Value, field.default),
        required=required,
        bucket=bucket,
        **{**field.metadata, "choices": choices or field.metadata["choices"]},
    )


def _kind(annotation: object) -> tuple[type, tuple[str, ...], bool]:
    """Type of a field without None, the choices of a Literal, and whether a path may be in a bucket."""
    bucket = False
    if isinstance(annotation, types.UnionType):
        parts = typing.get_args(annotation)
        bucket = BucketPath in parts
        [annotation] = [part for part in parts if part not in (types.NoneType, BucketPath)]
    if typing.get_origin(annotation) is typing.Literal:
        return str, typing.get_args(annotation), False
    kind = typing.get_origin(annotation) or annotation  # tuple[str, ...] is a tuple
    assert isinstance(kind, type)
    return kind, (), bucket


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobConfig:
    """Option of every job, and the checks of all options.

    Attributes:
      resumes: whether what a stopped run has written spares the next run of the same command that work.
    """

    resumes: ClassVar[bool] = True
    dry_run: bool = option("Print the plan and its cost, do nothing.", False)

    def __post_init__(self) -> None:
        """Expand "~" in paths, and refuse values that an option doesn't allow.

        Raises:
          Refusal: names the option, the rule and the value.
        """
        for each in options(self):
            value = getattr(self, each.name)
            if each.kind is pathlib.Path and value is not None:
                value = path(each, value)  # Python callers may give a string
                object.__setattr__(self, each.name, value)  # the dataclass is frozen
            _check(each, value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardedJobConfig(JobConfig):
    """Options of jobs whose work may be divided among several processes."""

    num_shards: int = option("Number of processes that divide the work.", 1, minimum=1)
    shard_index: int = option(
        "Index of this process, from 0; that of its Slurm task or pod if not given.", 0, minimum=0
    )

    def __post_init__(self) -> None:
        """Refuse an index that doesn't belong to a shard."""
        super().__post_init__()
        self.share  # noqa: B018 (making it checks the index)

    @property
    def share(self) -> Share:
        """Part of the work that this process does."""
        return Share(index=self.shard_index, count=self.num_shards)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """Options of every job that draws; a second base of its configuration."""

    figure_width: float = option(
        "Width of the figures in inches, to which all their parts are scaled; 0: as drawn.", 0.0, minimum=0
    )
    figure_font: str | None = option("Installed font of the figures; by default Matplotlib's own.", None)

    @property
    def drawn_as(self) -> list[Json]:
        """Both values, for the marks of outputs that have figures."""
        return [self.figure_width, self.figure_font]


_PLACES = ("corpus", "model", "tokenizer")  # that may lie on one machine


def recorded(config: JobConfig) -> dict[str, Json]:
    """Options for the record in what a run writes.

    None names a place of this machine or a shard, or says how figures look.
    """
    left_out = (*_PLACES, *_names(FigureOptions), *_names(ShardedJobConfig))
    return {
        each.name: list(value) if isinstance(value, tuple) else value
        for each in options(config)
        for value in [getattr(config, each.name)]
        if each.kind is not pathlib.Path and each.name not in left_out
    }


def compilation_cache_option() -> Field:
    """Field of the configuration of jobs that compile programs."""
    return option(
        "Folder that keeps compiled programs for the next run; by default only kernels of CPUs, in the "
        "user's cache folder.",
        None,
    )


def compute_option() -> Field:
    """Field `compute` of the configuration of jobs that run a model."""
    return option("Number format of products; auto: float32 on CPU, else bfloat16.", "auto")


def path(each: Option, value: str | Place) -> Place:
    """Path that an option names, "~" expanded.

    Raises:
      Refusal: it is empty, or in a bucket although the option names a file or folder, or of another scheme.
    """
    if not each.bucket:
        return local_path(f"--{each.name}", str(value))
    text = str(value)
    try:
        in_bucket = place.parse(text)
    except ValueError as error:
        raise Refusal(f"--{each.name}={text}: {error}") from error
    if in_bucket:
        return in_bucket
    return local_path(f"--{each.name}", text, "a folder, or a path in a bucket of s3:// or gs://")


def local_path(what: str, text: str, allowed: str = "") -> pathlib.Path:
    """Path on a file system, "~" expanded.

    Args:
      what: flag that names it, for messages.
      text: its value.
      allowed: what it may be, in words, where that is more than a file or folder.

    Raises:
      Refusal: it is empty, or has a scheme, such as s3://.
    """
    if not text:
        raise Refusal(f"{what} is empty; name a file or folder")
    if "://" in text or text.startswith(("s3:/", "gs:/")):  # pathlib turns two slashes into one
        allowed = allowed or "on a file system; only --store and --grid may be in a bucket"
        raise Refusal(f"{what}={text}: must be {allowed}")
    return pathlib.Path(text).expanduser()


def _check(each: Option, value: object) -> None:
    # None is allowed where it is the default and means "not given".
    if value is None and (each.required or each.default is not None):
        raise Refusal(f"--{each.name} is missing; --help describes it")
    if each.kind is str and value == "":
        raise Refusal(f"--{each.name} is empty; leave it out, or give it a value")
    if each.kind is tuple:
        _check_members(each, value)
    elif each.choices and value not in each.choices:
        raise Refusal(f"--{each.name} must be one of {', '.join(each.choices)}; got {value!r}")
    if each.limits and value is not None and not _within(value, each.limits):
        finite = "a finite number " if isinstance(value, float) and not math.isfinite(value) else ""
        raise Refusal(f"--{each.name} must be {finite}{each.range}, got {value}")


_WITHIN = {"at least": operator.ge, "above": operator.gt, "at most": operator.le, "below": operator.lt}


def _within(value: object, limits: Mapping[str, int | float]) -> bool:
    # NaN compares as false, so it is refused with the infinities.
    return isinstance(value, int | float) and all(
        _WITHIN[how](value, limit) for how, limit in {"below": float("inf"), **limits}.items()
    )


def _check_members(each: Option, value: object) -> None:
    if not (isinstance(value, tuple) and all(value) and len(set(value)) == len(value)):
        raise Refusal(f"--{each.name} must name each value once and none empty, got {value!r}")
    given = typing.cast(tuple[str, ...], value)
    if each.choices and not (set(given) <= set(each.choices) and (given or each.empty)):
        known = ", ".join(each.choices)
        raise Refusal(f"--{each.name} must name some of {known}; got {','.join(given) or 'none'}")

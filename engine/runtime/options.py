"""Options of a job: one frozen dataclass each, the only place where an option is described.

The job's flags, its help and its documentation are made from the fields, and Python callers get the same
defaults and the same checks. Nothing heavy is imported, because `--help` reads this.
"""

import dataclasses
import pathlib
import types
import typing

from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.runtime.shards import Share

Value = bool | int | float | str | pathlib.Path | tuple[str, ...] | None


def option(
    help: str,
    default: object = dataclasses.MISSING,
    *,
    choices: tuple[str, ...] = (),
    minimum: int | float | None = None,
    all_if_empty: bool = False,
) -> typing.Any:  # noqa: ANN401 (the type of a field is its annotation, as with dataclasses.field)
    """Field of a job's configuration.

    Args:
      help: what the option means, for a person.
      default: its value where none is given; without one the option is required.
      choices: the values allowed, where the annotation doesn't name them.
      minimum: the smallest number allowed.
      all_if_empty: an empty tuple means all there are, which the flag spells "all".
    """
    metadata = {"help": help, "choices": choices, "minimum": minimum, "all_if_empty": all_if_empty}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """One option as flags and documentation need it.

    Attributes:
      name: of the field and of the flag.
      kind: its type: bool, int, float, str, pathlib.Path or tuple (of strings).
      help: what it means.
      default: value where none is given; None too where it is required.
      required: whether it must be given.
      choices: the values allowed; none where any is.
      minimum: the smallest number allowed.
      all_if_empty: whether an empty tuple means all.
    """

    name: str
    kind: type
    help: str
    default: Value
    required: bool
    choices: tuple[str, ...]
    minimum: int | float | None
    all_if_empty: bool


def options(config: "type[JobConfig] | JobConfig") -> tuple[Option, ...]:
    """Options of a job, in the order of its fields; those of all jobs come last."""
    of_all_jobs = {field.name for field in dataclasses.fields(ShardedJobConfig)}
    fields = sorted(dataclasses.fields(config), key=lambda field: field.name in of_all_jobs)
    return tuple(_option(field) for field in fields)


def _option(field: "dataclasses.Field[object]") -> Option:
    kind, choices = _kind(field.type)
    required = field.default is dataclasses.MISSING
    return Option(
        name=field.name,
        kind=kind,
        default=None if required else typing.cast(Value, field.default),
        required=required,
        **{**field.metadata, "choices": choices or field.metadata["choices"]},
    )


def _kind(annotation: object) -> tuple[type, tuple[str, ...]]:
    """Type of a field without its None, and the choices where it names them."""
    if isinstance(annotation, types.UnionType):
        [annotation] = [part for part in typing.get_args(annotation) if part is not types.NoneType]
    if typing.get_origin(annotation) is typing.Literal:
        return str, typing.get_args(annotation)
    kind = typing.get_origin(annotation) or annotation
    assert isinstance(kind, type)
    return kind, ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobConfig:
    """The option of every job, and the checks that every option gets."""

    dry_run: bool = option("Print the plan and its cost, do nothing.", False)

    def __post_init__(self) -> None:
        """Expand "~" in paths, and refuse values that break an option's own rule.

        Raises:
          Refusal: the option, the rule and the value.
        """
        for each in options(self):
            value = getattr(self, each.name)
            if each.kind is pathlib.Path and value:
                value = pathlib.Path(value).expanduser()  # a plain string does, too
                object.__setattr__(self, each.name, value)
            _check(each, value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardedJobConfig(JobConfig):
    """Options of jobs whose work several processes may divide."""

    num_shards: int = option("Number of processes that divide the work.", 1, minimum=1)
    shard_index: int = option("Index of this process among them, from 0.", 0, minimum=0)

    def __post_init__(self) -> None:
        """Refuse an index that isn't of a shard.

        Raises:
          Refusal: the option, the rule and the value.
        """
        super().__post_init__()
        self.share  # noqa: B018 (refuses)

    @property
    def share(self) -> Share:
        """The part of the work that this process does."""
        return Share(index=self.shard_index, count=self.num_shards)


_PLACES = ("corpus", "model", "tokenizer")  # that may lie on one machine


def recorded(config: JobConfig) -> dict[str, Json]:
    """Options for the record in what a run writes: none that names a place of this machine, or a shard."""
    of_a_process = {field.name for field in dataclasses.fields(ShardedJobConfig)}
    return {
        each.name: list(value) if isinstance(value, tuple) else value
        for each in options(config)
        for value in [getattr(config, each.name)]
        if each.kind is not pathlib.Path and each.name not in (*_PLACES, *of_a_process)
    }


def compilation_cache_option() -> typing.Any:  # noqa: ANN401 (as `option`)
    """Field of jobs that compile programs."""
    return option("Folder that keeps compiled programs for the next run; none by default.", None)


def _check(each: Option, value: object) -> None:
    if value is None and (each.required or each.default is not None):
        raise Refusal(f"--{each.name} is missing; --help says what it takes")
    if each.kind in (str, pathlib.Path) and value == "":
        raise Refusal(f"--{each.name} is empty; leave it out, or give it a value")
    if each.choices and value not in each.choices:
        raise Refusal(f"--{each.name} must be one of {', '.join(each.choices)}; got {value!r}")
    if each.minimum is not None and not _at_least(value, each.minimum):
        raise Refusal(f"--{each.name} must be a number of at least {each.minimum:g}, got {value}")
    if each.kind is tuple and not _distinct(value):
        raise Refusal(f"--{each.name} must name each value once and none empty, got {value!r}")


def _at_least(value: object, minimum: float | int) -> bool:
    return isinstance(value, int | float) and minimum <= value < float("inf")


def _distinct(value: object) -> bool:
    return isinstance(value, tuple) and all(value) and len(set(value)) == len(value)

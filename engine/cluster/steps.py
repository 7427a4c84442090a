"""Steps of a launched run: one job each, with its flags, divided into tasks."""

import dataclasses
import pathlib
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from isogloss.engine.cluster import job_configs
from isogloss.engine.cluster.launch_config import check_sbatch
from isogloss.engine.runtime import place, temporary
from isogloss.engine.runtime.options import ShardedJobConfig, local_path
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

FETCH = "fetch"  # the job that asks the hub, so that others need not
_OFFLINE = "HF_HUB_OFFLINE"
_SBATCH = re.compile(r"^#SBATCH\s+(.*)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One job of a run.

    Attributes:
      name: name of its flag file without the suffix; names its script, logs and records.
      job: name of the job.
      flags: text of the flag file.
      tasks: number of processes that divide the work; 1 for a job that can't be divided.
      sharded: True if the job takes --num_shards.
    """

    name: str
    job: str
    flags: str
    tasks: int
    sharded: bool

    @property
    def shard_flags(self) -> tuple[str, ...]:
        """Flags that give a task its share; the index is still to be appended to the last."""
        return (f"--num_shards={self.tasks}", "--shard_index=") if self.sharded else ()

    def environment(self, variables: Sequence[str]) -> tuple[str, ...]:
        """Those of the variables NAME=VALUE that the tasks get: fetch is never kept from the hub."""
        return tuple(one for one in variables if self.job != FETCH or one.partition("=")[0] != _OFFLINE)

    def value(self, flag: str) -> str | None:
        """Value of a flag in the flag file; None if it isn't there."""
        found = re.findall(rf"^\s*--?{flag}=(.*)$", self.flags, re.MULTILINE)
        # The last one wins, as in absl's own parser.
        return found[-1].strip() if found else None

    def values(self, flag: str) -> tuple[str, ...]:
        """Values of a flag that takes several; none if they are "all"."""
        given = self.value(flag) or ""
        return () if given in ("", "all") else tuple(given.split(","))

    def place(self, flag: str) -> Place | None:
        """Folder or bucket path that a flag names; None if it isn't in the flag file."""
        given = self.value(flag)
        return (place.parse(given) or pathlib.Path(given).expanduser()) if given else None

    @property
    def sbatch(self) -> tuple[str, ...]:
        """Options of sbatch in the flag file, where such a line is a comment."""
        return tuple(_SBATCH.findall(self.flags))


def read_steps(flagfiles: Sequence[str], shards: int) -> tuple[Step, ...]:
    """Steps that flag files describe.

    Args:
      flagfiles: paths; a file's name up to the first "-" or "." is the job.
      shards: number of tasks of a job that can be divided.

    Raises:
      Refusal: a file, a job or a flag doesn't exist, or two files have one name.
    """
    steps = tuple(_step(local_path("a flag file", path), shards) for path in flagfiles)
    names = [step.name for step in steps]
    if len(set(names)) < len(names):
        raise Refusal(
            f"two flag files have one name: {', '.join(names)}; rename one, such as extract-large.flags"
        )
    # Each check starts an interpreter, which takes seconds, mostly of waiting.
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_check_flags, steps, flagfiles))
    return steps


def _step(path: pathlib.Path, shards: int) -> Step:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise Refusal(
            f"{path}: can't be read ({error.strerror}); name a file with the job's flags"
        ) from error
    job = re.split("[-.]", path.name)[0]
    config = job_configs.job_config(job)
    if config is None or job == "launch":
        names = ", ".join(name for name in job_configs.jobs() if name != "launch")
        raise Refusal(f"{path}: must be named after a job, such as extract.flags; jobs: {names}")
    sharded = issubclass(config, ShardedJobConfig)
    name = path.name.removesuffix(".flags")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise Refusal(f"{path}: its name must consist of letters, digits, - and _")
    step = Step(name=name, job=job, flags=text, tasks=shards if sharded else 1, sharded=sharded)
    for options in step.sbatch:
        check_sbatch(options, f"{path}: #SBATCH")
    return step


def _check_flags(step: Step, path: str) -> None:
    """Refuse what the job would refuse of its flags, before a queue finds out hours later."""
    command = [sys.executable, "-m", f"isogloss.jobs.{step.job}", f"--flagfile={path}", "--only_check_args"]
    if step.sharded:
        command += [f"--num_shards={step.tasks}", "--shard_index=0"]
    done = temporary.run(command)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1].removeprefix("error: ")
        raise Refusal(f"{path}: {reason}")

"""Folder of a launched run.

    RUN/launch.json     what was launched: cluster, steps, ids of what was submitted
    RUN/STEP.flags      flags of a step
    RUN/STEP.sh         script of one task of a step
    RUN/logs/STEP-I.log what task I printed, of all rounds
    RUN/exit/STEP-I     exit code of task I, when it ended last

A task is over, for good, when its record holds 0 (done), 2 (refused) or 3 (done as far as the inputs allow).
"""

import collections
import contextlib
import dataclasses
import fcntl
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from isogloss.engine.cluster.steps import Step
from isogloss.engine.runtime import atomic_write, json_values
from isogloss.engine.runtime.refusal import Refusal

DONE, REFUSED, PARTIAL = 0, 2, 3  # exit codes after which a task isn't started again


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchedStep:
    """A step as it was launched.

    Attributes:
      job: name of the job.
      tasks: number of tasks.
      ids: ids of its arrays in Slurm's queue, one each round; empty elsewhere.
    """

    job: str
    tasks: int
    ids: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launched:
    """Content of RUN/launch.json.

    Attributes:
      cluster: slurm, kubernetes or local.
      rounds: number of times that a task which dies is started.
      steps: in order, by name.
    """

    cluster: str
    rounds: int
    steps: Mapping[str, LaunchedStep]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Files of a run.

    Attributes:
      path: the folder, absolute.
    """

    path: pathlib.Path

    @property
    def launch_file(self) -> pathlib.Path:
        """File that says what was launched."""
        return self.path / "launch.json"

    def script(self, step: Step) -> pathlib.Path:
        """Script of one task of a step."""
        return self.path / f"{step.name}.sh"

    def flags(self, step: Step) -> pathlib.Path:
        """Copy of the step's flag file."""
        return self.path / f"{step.name}.flags"

    def log(self, step: Step, index: int | str) -> pathlib.Path:
        """File of what a task prints."""
        return self.path / "logs" / f"{step.name}-{index}.log"

    def record(self, step: Step, index: int) -> pathlib.Path:
        """File of a task's exit code."""
        return self.path / "exit" / f"{step.name}-{index}"

    def exit_code(self, step: Step, index: int) -> int | None:
        """Exit code of a task when it ended last; None if it was killed or never ended."""
        try:
            return int(self.record(step, index).read_text("ascii"))
        except FileNotFoundError:
            return None

    def exit_codes(self, step: Step) -> list[int | None]:
        """Exit codes of a step's tasks."""
        return [self.exit_code(step, index) for index in range(step.tasks)]

    def counts(self, step: Step) -> dict[int, int]:
        """Number of a step's tasks by exit code; those without one are left out."""
        return dict(collections.Counter(code for code in self.exit_codes(step) if code is not None))

    def unfinished(self, step: Step) -> list[int]:
        """Tasks that may be started again."""
        return [i for i, code in enumerate(self.exit_codes(step)) if code not in (DONE, REFUSED, PARTIAL)]

    def make(self) -> None:
        """Make the folder.

        Raises:
          Refusal: it can't be made or written to.
        """
        for folder in (self.path, self.path / "logs", self.path / "exit"):
            atomic_write.make_folder(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Block that only one process at a time is in; a Refusal if another one is."""
        with (self.path / "launch.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Refusal(f"{self.path}: another launch is at work here; wait for its end") from error
            yield

    def launched(self) -> "Launched | None":
        """Record of what was launched; None if nothing was."""
        if not self.launch_file.is_file():
            return None
        content = json_values.json_object(self.launch_file, "name another --run, or delete that file")
        try:
            steps = {name: LaunchedStep(**step) for name, step in content["steps"].items()}  # pyright: ignore
            return Launched(cluster=content["cluster"], rounds=content["rounds"], steps=steps)  # pyright: ignore
        except (KeyError, TypeError, AttributeError) as error:
            raise Refusal(f"{self.launch_file}: not written by launch; name another --run") from error

    def write_launched(self, launched: "Launched") -> None:
        """Replace the file of what was launched."""
        self.write(self.launch_file, json.dumps(dataclasses.asdict(launched), indent=1) + "\n")

    def write(self, path: pathlib.Path, text: str) -> None:
        """Replace a file of the run."""
        atomic_write.write_whole(path, lambda file: file.write_text(text, "utf-8"))

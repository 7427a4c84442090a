"""Options of the launch job."""

import dataclasses
import os
import pathlib
import re
import shlex
from typing import Literal

from isogloss.engine.runtime.options import JobConfig, option
from isogloss.engine.runtime.refusal import Refusal

_OURS = ("array", "dependency", "output", "error", "job-name", "wrap", "parsable", "kill-on-invalid-dep")
_SHORT = ("-a", "-d", "-o", "-e", "-J")  # of the first five
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchConfig(JobConfig):
    """Options of the launch job; each definition has the field's help."""

    flagfiles: tuple[str, ...] = option(
        "Flag files of the steps, in order; a file's name up to the first - or . is the job: grid-dtw.flags.",
        (),
        positional=True,
    )
    cluster: Literal["slurm", "kubernetes", "local"] = option("Where the tasks run; local: on this machine.")
    run: pathlib.Path = option("Folder of the run: scripts, logs, exit codes; on a disk that all nodes see.")
    shards: int = option("Number of tasks of a step; of the processes at a time, if local.", minimum=1)
    rounds: int = option("Number of times that a task which dies is started.", 3, minimum=1)
    sbatch: str | None = option('Options of sbatch for every step, such as "--gpus=1 --time=4:00:00".', None)
    python: str | None = option(
        "Command that starts Python in a task, such as 'apptainer exec --nv isogloss.sif python'; "
        "without it, the Python of launch.",
        None,
    )
    env: tuple[str, ...] = option("Environment variables of the tasks, NAME=VALUE.", ())
    gpus: int = option(
        "GPUs of this machine, each given to one process at a time; 0: every process sees all. local only.",
        0,
        minimum=0,
    )
    image: str | None = option("Image of the containers; needed by kubernetes.", None)
    volumes: tuple[str, ...] = option("Volumes of the containers, CLAIM:/PATH; kubernetes only.", ())
    resources: tuple[str, ...] = option(
        "Resources of a container, such as nvidia.com/gpu=1,memory=32Gi; kubernetes only.", ()
    )

    def __post_init__(self) -> None:
        """Refuse options that contradict each other or what launch itself sets.

        Raises:
          Refusal: the option, the rule and the value.
        """
        super().__post_init__()
        object.__setattr__(self, "run", pathlib.Path(os.path.abspath(self.run)))  # tasks run elsewhere
        if not self.flagfiles:
            raise Refusal("name the flag files of the steps, such as extract.flags grid.flags report.flags")
        if bad := [name for name in self.env if not _VARIABLE.fullmatch(name)]:
            raise Refusal(f"--env must be NAME=VALUE, got {', '.join(bad)}")
        if bad := [name for name in self.volumes if not re.fullmatch("[^:]+:/.*", name)]:
            raise Refusal(f"--volumes must be CLAIM:/PATH, got {', '.join(bad)}")
        if bad := [name for name in self.resources if not re.fullmatch("[^=]+=.+", name)]:
            raise Refusal(f"--resources must be NAME=AMOUNT, got {', '.join(bad)}")
        if (self.image is None) == (self.cluster == "kubernetes"):
            raise Refusal(
                "--image goes with --cluster=kubernetes: there it is needed, elsewhere it says nothing"
            )
        if self.cluster != "kubernetes" and (self.volumes or self.resources):
            raise Refusal("--volumes and --resources go with --cluster=kubernetes only")
        if self.gpus and self.cluster != "local":
            raise Refusal('--gpus goes with --cluster=local; for Slurm give --sbatch="--gpus=1"')
        if self.sbatch is not None and self.cluster != "slurm":
            raise Refusal("--sbatch goes with --cluster=slurm only")
        check_sbatch(self.sbatch or "", "--sbatch")


def check_sbatch(options: str, where: str) -> None:
    """Refuse options of sbatch that launch sets itself."""
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise Refusal(f"{where}: {error}: {options}") from error
    for word in words:
        name = word.partition("=")[0].removeprefix("--")
        if word[:2] in _SHORT or (word.startswith("--") and name in _OURS):
            raise Refusal(f"{where}: {word} is set by launch; leave it out")

"""Configuration of a job, found by the job's name."""

import importlib
import pathlib

from isogloss.engine.runtime.options import JobConfig

_ENGINE = pathlib.Path(__file__).parents[1]


def job_config(job: str) -> type[JobConfig] | None:
    """Configuration in the module ROOM/JOB_config.py of the engine; None if no job is called so."""
    paths = list(_ENGINE.glob(f"*/{job}_config.py")) if job.isidentifier() else []
    if len(paths) != 1:
        return None
    module = importlib.import_module(f"isogloss.engine.{paths[0].parent.name}.{paths[0].stem}")
    return getattr(module, f"{job.capitalize()}Config", None)


def jobs() -> list[str]:
    """Names of all jobs."""
    names = sorted(path.stem.removesuffix("_config") for path in _ENGINE.glob("*/*_config.py"))
    return [name for name in names if job_config(name)]

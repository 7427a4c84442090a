"""Configuration of a job, by the job's name; the job's own file says which it is."""

import importlib
import pathlib
import re

from isogloss.engine.runtime.options import JobConfig

_JOBS = pathlib.Path(__file__).parents[2] / "jobs"
_RUN = re.compile(r"^    command\.run\((\w+), ", re.MULTILINE)


def job_config(job: str) -> type[JobConfig] | None:
    """Configuration that jobs/JOB.py hands to `command.run`; None if no job is called so."""
    path = _JOBS / f"{job}.py"
    # Read and not imported, because the engine imports nothing of jobs, and flags are theirs.
    text = path.read_text("utf-8") if job.isidentifier() and path.is_file() else ""
    if not (handed := _RUN.search(text)):
        return None
    [module] = re.findall(rf"^from (isogloss\.engine\S+) import {handed[1]}$", text, re.MULTILINE)
    return getattr(importlib.import_module(module), handed[1])


def jobs() -> list[str]:
    """Names of all jobs."""
    return [path.stem for path in sorted(_JOBS.glob("[a-z]*.py")) if job_config(path.stem)]

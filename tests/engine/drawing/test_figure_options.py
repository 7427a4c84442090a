"""`FigureOptions`: every job that draws has them, and its conductor obeys them."""

import ast
import functools
import pathlib
import re

import pytest

from isogloss.engine.cluster.job_configs import job_config
from isogloss.engine.runtime.options import FigureOptions
from isogloss.jobs import __main__ as command

ROOT = pathlib.Path(__file__).parents[3]
DRAWING = "isogloss.engine.drawing.picture_files"


@functools.cache
def source(module):
    path = ROOT / (module.removeprefix("isogloss.").replace(".", "/") + ".py")
    return ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])


@functools.cache
def imports(module):
    return {
        name
        for node in ast.walk(source(module))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("isogloss.")
        for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    }


def imported(module):
    """Modules of ours that a module imports, itself or by others."""
    found, left = set(), {module}
    while left:
        found |= left
        left = set().union(*map(imports, left)) - found
    return found


@pytest.mark.parametrize("job", command.jobs())
def test_a_job_has_the_options_if_it_draws(job):
    conductor = re.search(r'command\.run\(\w+, "(.+?)"\)', (ROOT / "jobs" / f"{job}.py").read_text())[1]
    draws = DRAWING in imported(conductor)
    assert issubclass(job_config(job), FigureOptions) == draws
    [run] = [node for node in source(conductor).body if getattr(node, "name", "") == "run"]
    assert ("picture_files.draws" in map(ast.unparse, run.decorator_list)) == draws


def test_the_jobs_that_draw_are_these():
    """So that the test above can't pass because it finds none."""
    named = [job for job in command.jobs() if issubclass(job_config(job), FigureOptions)]
    drawing = "control interpret lexicon linear_maps report scores transcribe tune"
    assert sorted(named) == drawing.split()

"""Stores and grids as extract and grid would make them, but empty, for dry runs of the jobs that read them.

Not a job of its own: launch starts it in a process, with the job's flags and a temporary place.
"""

import os
import sys

from absl import flags

from isogloss.engine.activations import extract
from isogloss.engine.activations.extract_config import ExtractConfig
from isogloss.engine.grid import grid
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.runtime.refusal import Refusal
from isogloss.jobs import command


def main() -> None:
    """Make what the job of the first argument would make with the flags that follow it."""
    job = sys.argv.pop(1)
    command.define(ExtractConfig if job == "extract" else GridConfig, flags.FLAGS)
    flags.FLAGS(sys.argv)
    try:
        if job == "extract":
            extract.make_empty(command.configuration(ExtractConfig, flags.FLAGS, os.environ))
        else:
            grid.make_empty(command.configuration(GridConfig, flags.FLAGS, os.environ))
    except Refusal as error:
        sys.exit(f"error: {error}")

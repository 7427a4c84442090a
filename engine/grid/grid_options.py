"""Options of jobs that read or write grids, or divide languages into pairs. Imports nothing heavy."""

import dataclasses

from isogloss.engine.runtime.options import Field, option


def grid_option(
    what: str = "Grid of score matrices", more: str = "", default: object = dataclasses.MISSING
) -> Field:
    """Field `grid` of a job's configuration."""
    return option(f"{what}, GRID.zarr in a folder or bucket{more}.", default)


def pairs_option(direction: str = "each counts once") -> Field:
    """Field `pairs` of a job's configuration; `direction` tells a-b from b-a, or that they are the same."""
    return option(f"Language pairs a-b, or all; {direction}.", (), empty="all")


def implementation_option(choices: tuple[str, ...] = ()) -> Field:
    """Field `implementation` of the configuration of jobs that run the frame kernels."""
    return option(
        "Implementation of the frame kernels; auto: numba on CPU, else xla.", "auto", choices=choices
    )

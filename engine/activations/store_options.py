"""Options of jobs that read or write activation stores. Imports nothing heavy."""

import dataclasses

from isogloss.engine.runtime.options import Field, option


def store_option(
    what: str = "activation stores, one <language>.zarr each", default: object = dataclasses.MISSING
) -> Field:
    """Field `store` of a job's configuration."""
    return option(f"Folder or bucket path of {what}.", default)


def states_option(whole: str = "that are stored", default: tuple[str, ...] = ()) -> Field:
    """Field `states` of a job's configuration; `whole` says which states are all."""
    return option(f"Encoder states: all {whole}, or some of 0,1,...,final.", default, empty="all")


def dtype_option() -> Field:
    """Field `dtype` of a job's configuration."""
    return option("Number format on disk.", "float16")

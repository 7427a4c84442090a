"""Options of the report job."""

import dataclasses
import pathlib

from isogloss.engine.runtime.options import ShardedJobConfig, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig(ShardedJobConfig):
    """Options of the report job; each definition has the field's help."""

    grid: pathlib.Path = option("Grid of score matrices, a folder GRID.zarr.")
    out: pathlib.Path = option("Folder to write tables, figures and the page to.")

"""Options of the status job."""

import dataclasses
import pathlib

from isogloss.engine.activations.store_options import store_option
from isogloss.engine.grid.grid_options import grid_option
from isogloss.engine.runtime.options import JobConfig, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatusConfig(JobConfig):
    """Options of the status job; each definition has the field's help."""

    resumes = False
    store: Place | None = store_option(default=None)
    grid: Place | None = grid_option(default=None)
    run: pathlib.Path | None = option("Folder of a launched run.", None)

    def __post_init__(self) -> None:
        """Refuse none and several of --store, --grid and --run.

        Raises:
          Refusal: the options and the rule.
        """
        super().__post_init__()
        if sum(given is not None for given in (self.store, self.grid, self.run)) != 1:
            raise Refusal("give one of --store, --grid and --run")

"""Options of the verify job."""

import dataclasses

from isogloss.engine.activations.store_options import store_option
from isogloss.engine.grid.grid_options import grid_option
from isogloss.engine.runtime.options import ShardedJobConfig, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyConfig(ShardedJobConfig):
    """Options of the verify job; each definition has the field's help."""

    resumes = False
    store: Place | None = store_option(default=None)
    grid: Place | None = grid_option(default=None)
    repair: bool = option("Remove the damaged files, so that the job that made them makes them again.", False)

    def __post_init__(self) -> None:
        """Refuse none and two of --store and --grid.

        Raises:
          Refusal: the options and the rule.
        """
        super().__post_init__()
        if (self.store is None) == (self.grid is None):
            raise Refusal("give --store or --grid, and not both")

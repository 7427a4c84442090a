"""Compare all utterances of every pair of languages, at every encoder state.

    python -m isogloss.jobs.grid --store=out/store --grid=out/grid.zarr
    python -m isogloss.jobs.grid --store=out/store --grid=out/grid.zarr --pairs=en_us-fr_fr --states=final

It can be stopped and run again at any time: finished pairs and states are skipped.
"""

from isogloss.engine.grid.grid_config import GridConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(GridConfig, "isogloss.engine.grid.grid")

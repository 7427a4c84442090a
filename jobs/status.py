"""Show how much of a store, a grid or a launched run is there, what failed, and the time left.

    python -m isogloss.jobs.status --store=out/store
    python -m isogloss.jobs.status --grid=s3://bucket/grid.zarr
    python -m isogloss.jobs.status --run=out/run

It reads no audio and changes nothing; ask at any time, while other processes work.
"""

from isogloss.engine.operations.status_config import StatusConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(StatusConfig, "isogloss.engine.operations.status")

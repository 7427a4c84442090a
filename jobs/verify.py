"""Check every checksum of a store or a grid, and remove what is damaged.

    python -m isogloss.jobs.verify --store=out/store
    python -m isogloss.jobs.verify --grid=out/grid.zarr --repair

Each damaged file is named with its utterance, or its pair, state and measure. --repair removes it, and the
next run of extract or grid makes it again.
"""

from isogloss.engine.operations.verify_config import VerifyConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(VerifyConfig, "isogloss.engine.operations.verify")

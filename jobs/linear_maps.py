"""Learn linear maps between two languages' states, and retrieve sentences that no map has seen.

    python -m isogloss.jobs.linear_maps --store=out/store --out=out/linear_maps

Writes linear_maps.parquet, linear_maps.csv and a figure along the states. It can be stopped and run again at
any time: finished states and languages are skipped.
"""

from isogloss.engine.linear_maps.linear_maps_config import LinearMapsConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(LinearMapsConfig, "isogloss.engine.linear_maps.linear_maps")

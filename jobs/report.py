"""Turn a grid into a retrieval table, figures and one HTML page.

    python -m isogloss.jobs.report --grid=out/grid.zarr --out=out/report

Writes retrieval.parquet, retrieval.csv, report.html and PNG figures. Stop it and run it again at
will: pairs that are scored are skipped, until the grid changes.
"""

import pathlib
from typing import TYPE_CHECKING

from absl import flags

from isogloss.jobs import shared_flags

if TYPE_CHECKING:
    from isogloss.engine.retrieval import report

GRID = shared_flags.grid()
OUT = shared_flags.out()
SHARDING = shared_flags.sharding()
flags.adopt_module_key_flags(shared_flags)


def main() -> "report.ReportSummary":
    """Turn flags into one configuration and run it."""
    from isogloss.engine.retrieval import report  # noqa: PLC0415  (--help must not wait for matplotlib)

    return report.run(
        report.ReportConfig(
            grid=pathlib.Path(GRID.value),
            out=pathlib.Path(OUT.value),
            share=SHARDING.share(),
            dry_run=SHARDING.dry_run.value,
        )
    )


if __name__ == "__main__":
    shared_flags.run(main)

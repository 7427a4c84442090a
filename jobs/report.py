"""Turn a grid into a retrieval table, figures and one HTML page.

    python -m isogloss.jobs.report --grid=out/grid.zarr --out=out/report

Writes retrieval.parquet, retrieval.csv, report.html and PNG figures. Stop it and run it again at
will: pairs that are scored are skipped, until the grid changes.
"""

from isogloss.engine.retrieval.report_config import ReportConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(ReportConfig, "isogloss.engine.retrieval.report")

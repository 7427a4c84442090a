"""Turn a grid into a retrieval table, figures and one HTML page.

    python -m isogloss.jobs.report --grid=out/grid.zarr --out=out/report

Writes retrieval.parquet, retrieval.csv, report.html and PNG figures. It can be stopped and run again at any
time: finished pairs are skipped unless the grid has changed.
"""

from isogloss.engine.report.report_config import ReportConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(ReportConfig, "isogloss.engine.report.report")

"""Several grids side by side: models, or runs of one, such as with language means and without.

Each grid has a report of its own in OUT/LABEL. OUT has their tables as one, with a column `grid`, curves of
all grids, the differences between every two grids, see `grid_differences`, and a page of both. Where a
language pair shares fewer sentences with the other grid than it has, its scores are ranked anew among them,
because R@1 depends on the number of candidates; this is done by the process that writes the tables, a pair at
a time. Tables are read and written in pieces: those of 102 languages don't fit in memory together.
"""

import pathlib
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from isogloss.engine.drawing import page, picture_files
from isogloss.engine.report import grid_curves, grid_differences, grids_page, report_columns, reported_grids
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.retrieval import table as retrieval_table
from isogloss.engine.retrieval.pair_metrics import Statistics
from isogloss.engine.runtime import atomic_write, json_values, table_files, version, written_once
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

TABLES = ("retrieval", "best_states", "means")
"""Tables of the grids' reports that OUT has as one."""
PAGE, CURVES = grids_page.PAGE, "curves"


def labels(grids: Sequence[Place]) -> list[str]:
    """Names of the grids without their suffix; a Refusal if two are the same."""
    found = [grid.stem for grid in grids]
    if len(set(found)) < len(found) or not all(found):
        raise Refusal(f"--grid: grids to be compared need distinct names, got {', '.join(found)}; rename one")
    return found


def write(out: pathlib.Path, of_each: Mapping[str, ReportConfig], statistics: Statistics) -> tuple[int, bool]:
    """Number of rows of the joined retrieval table, and True if this process wrote it and all else.

    Args:
      out: folder of all of them.
      of_each: options of each grid's report, by label.
      statistics: what is computed of each pair.
    """
    marks = {
        label: json_values.json_object(each.out / "parts" / "report.json", "delete that file")["made_of"]
        for label, each in of_each.items()
    }
    config = next(iter(of_each.values()))
    # The order of the grids decides what is subtracted from what; that of an object's keys wouldn't count.
    settings = [config.fdr, *config.drawn_as]
    made_of = ["several grids", settings, list(marks), marks]

    def outputs() -> int:
        for name in TABLES:
            _join(out, of_each, name, config.fdr)
        reported = reported_grids.opened(of_each, statistics)
        grid_differences.write(out, reported, config.fdr)
        means = table_files.read_parquet(out / "means.parquet")
        states = {label: each.grid.states for label, each in reported.items()}
        picture_files.save(grid_curves.drawn(means, states), out / CURVES)
        report_columns.write(out)
        html, scripts = grids_page.render(out, reported, date=version.today())
        page.write_scripts(out / grids_page.FOLDER, scripts.items())
        atomic_write.write_whole(out / PAGE, lambda file: file.write_text(html, "utf-8"))
        return table_files.read_parquet(out / "retrieval.parquet", ["n"]).num_rows

    rows, written = written_once.write(out, "report", made_of, outputs)
    assert isinstance(rows, int)
    return rows, written


def _join(out: pathlib.Path, of_each: Mapping[str, ReportConfig], name: str, fdr: str) -> None:
    """Write one table of the reports' tables of a name, with the column `grid`."""
    files = {label: each.out / f"{name}.parquet" for label, each in of_each.items()}

    def pieces() -> Iterator[pa.Table]:
        for label, file in files.items():
            for piece in table_files.read_parquet_in_pieces(file):
                named = piece.add_column(0, "grid", pa.array([label] * piece.num_rows, pa.string()))
                yield named.replace_schema_metadata()

    fields = table_files.parquet_schema(next(iter(files.values()))).remove_metadata()
    schema = pa.schema([pa.field("grid", pa.string()), *fields], {"fdr": fdr})
    retrieval_table.write_in_pieces(schema, pieces, out, name)

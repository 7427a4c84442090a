"""Tables on disk: Parquet for programs, CSV for eyes; the same rows in the same order, NaN as "nan"."""

import csv
import pathlib
from collections.abc import Iterable, Sequence

import pyarrow as pa
from pyarrow import parquet

from isogloss.engine.runtime.refusal import Refusal


def write_parquet(table: pa.Table, path: pathlib.Path) -> None:
    """Write a table whole."""
    with path.open("wb") as file:  # pyarrow itself can't open every path that a locale of ASCII names
        parquet.write_table(table, file)


def write_parquet_in_pieces(schema: pa.Schema, tables: Iterable[pa.Table], path: pathlib.Path) -> None:
    """Write tables one after the other, a row group each, so that only one is in memory."""
    with path.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
        for table in tables:
            writer.write_table(table)


def read_parquet(path: pathlib.Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A table that `write_parquet` wrote, or some of its columns.

    Read in this thread: one of Arrow's own may let go of the Python file while the interpreter is ending, as
    `parquet.read_table` does, and the process aborts.

    Raises:
      Refusal: the file isn't such a table, or lacks a column.
    """
    try:
        with path.open("rb") as file, parquet.ParquetFile(file, pre_buffer=False) as opened:
            if missing := sorted(set(columns or ()) - set(opened.schema_arrow.names)):
                raise Refusal(f"{path}: lacks {', '.join(missing)}")
            return opened.read(columns=columns and list(columns), use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:  # Arrow's own of a damaged footer is an OSError
        raise Refusal(f"{path}: not a table in Parquet ({error})") from error


def write_csv(table: pa.Table, path: pathlib.Path) -> None:
    """Write a table without lists; the csv module quotes only what needs it, its floats read back equal."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.column_names)
        for batch in table.to_batches(max_chunksize=65536):
            writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))

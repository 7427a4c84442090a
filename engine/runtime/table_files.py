"""Tables on disk: Parquet for programs, CSV for people; the same rows in the same order, NaN as "nan"."""

import csv
import pathlib
from collections.abc import Iterable, Sequence

import pyarrow as pa
from pyarrow import parquet

from isogloss.engine.runtime.refusal import Refusal


def write_parquet(table: pa.Table, path: pathlib.Path) -> None:
    """Write a whole table."""
    with path.open("wb") as file:  # in an ASCII locale, pyarrow itself can't open paths of other letters
        parquet.write_table(table, file)


def write_parquet_in_pieces(schema: pa.Schema, tables: Iterable[pa.Table], path: pathlib.Path) -> None:
    """Write tables one after the other, one row group each, so that memory holds only one."""
    with path.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
        for table in tables:
            writer.write_table(table)


def read_parquet(path: pathlib.Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Table that `write_parquet` wrote, or some of its columns.

    Read in this thread: a thread of Arrow, as in `parquet.read_table`, may release the Python file while the
    interpreter ends, which aborts the process.

    Raises:
      Refusal: the file isn't a Parquet table, or lacks a column.
    """
    try:
        with path.open("rb") as file, parquet.ParquetFile(file, pre_buffer=False) as opened:
            if missing := sorted(set(columns or ()) - set(opened.schema_arrow.names)):
                raise Refusal(f"{path}: lacks {', '.join(missing)}")
            return opened.read(columns=columns and list(columns), use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:  # Arrow's own of a damaged footer is an OSError
        raise Refusal(f"{path}: not a table in Parquet ({error})") from error


def write_csv(table: pa.Table, path: pathlib.Path) -> None:
    """Write a table without lists; only fields that need quotes get them, and floats read back equal."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.column_names)
        for batch in table.to_batches(max_chunksize=65536):
            writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))

"""Tables on disk: Parquet for programs, CSV for people; the same rows in the same order, NaN as "nan".

A Parquet file says which version of isogloss wrote it, and on which day, as stores and grids do: the same
tables have the same bytes within a day, and always where SOURCE_DATE_EPOCH is set. A CSV file says neither,
because a line of comment would be a row to most programs.
"""

import csv
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyarrow import parquet

from isogloss.engine.runtime import atomic_write, disk_faults, version
from isogloss.engine.runtime.refusal import Refusal

MADE = ("isogloss_version", "created")
"""Keys of a Parquet table's metadata: the version that wrote it, and the day."""


def write_parquet(table: pa.Table, path: pathlib.Path) -> None:
    """Write a whole table."""
    with path.open("wb") as file:  # in an ASCII locale, pyarrow itself can't open paths of other letters
        parquet.write_table(table.cast(_made(table.schema)), file)


def write_parquet_in_pieces(schema: pa.Schema, tables: Iterable[pa.Table], path: pathlib.Path) -> None:
    """Write tables one after the other, one row group each, so that memory holds only one."""
    # Opened by Python for the same reason as above.
    with path.open("wb") as file, parquet.ParquetWriter(file, _made(schema)) as writer:
        for table in tables:
            writer.write_table(table)


def _made(schema: pa.Schema) -> pa.Schema:
    """Columns that say who made them and when."""
    made = dict(zip(MADE, (version.isogloss_version(), version.today()), strict=True))
    return schema.with_metadata({**(schema.metadata or {}), **made})


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
        raise disk_faults.unread(f"{path}: not a table in Parquet", error, "") from error


def parquet_schema(path: pathlib.Path) -> pa.Schema:
    """Columns of a table that `write_parquet` wrote."""
    with path.open("rb") as file:
        return parquet.read_schema(file)


def read_parquet_in_pieces(path: pathlib.Path) -> Iterator[pa.Table]:
    """Row groups of a table, one at a time; Refusal as from `read_parquet`."""
    try:
        with path.open("rb") as file, parquet.ParquetFile(file, pre_buffer=False) as opened:
            for group in range(opened.num_row_groups):
                yield opened.read_row_group(group, use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise disk_faults.unread(f"{path}: not a table in Parquet", error, "") from error


def write_csv(table: pa.Table, path: pathlib.Path) -> None:
    """Write a table without lists; only fields that need quotes get them, and floats read back equal."""
    _write_text(table.schema, [table], path, ",")


def write_csv_in_pieces(schema: pa.Schema, tables: Iterable[pa.Table], path: pathlib.Path) -> None:
    """Write tables one after the other, otherwise as `write_csv`."""
    _write_text(schema, tables, path, ",")


def write_tsv(table: pa.Table, path: pathlib.Path) -> None:
    """Write a table without lists, with tabs between fields; otherwise as `write_csv`."""
    _write_text(table.schema, [table], path, "\t")


def _write_text(schema: pa.Schema, tables: Iterable[pa.Table], path: pathlib.Path, separator: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        writer.writerow(schema.names)
        # In pieces, because rows of Python objects take many times the memory of columns.
        for batch in itertools.chain.from_iterable(each.to_batches(max_chunksize=65536) for each in tables):
            writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def write_both(table: pa.Table, stem: pathlib.Path) -> None:
    """Write STEM.parquet and STEM.csv, each whole: the same rows in the same order, NaN as "nan"."""
    for kind, write in (("parquet", write_parquet), ("csv", write_csv)):
        path = stem.with_name(f"{stem.name}.{kind}")
        atomic_write.write_whole(path, lambda file, write=write: write(table, file))

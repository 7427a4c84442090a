"""Table of a job of this room, as Parquet and CSV."""

import pathlib

import pyarrow as pa

from isogloss.engine.runtime import atomic_write, table_files


def write(table: pa.Table, stem: pathlib.Path) -> None:
    """Write STEM.parquet and STEM.csv, each whole."""
    for kind, writer in (("parquet", table_files.write_parquet), ("csv", table_files.write_csv)):
        atomic_write.write_whole(stem.with_suffix(f".{kind}"), lambda file, w=writer: w(table, file))

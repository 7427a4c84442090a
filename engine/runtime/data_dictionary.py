"""Data dictionary beside tables: what each of their columns means, in columns.tsv.

It also has the version of isogloss that made a table, and the day, which a CSV file can't say. Meanings are
kept once, in a file of the room that makes the tables: table, column, type and meaning. The pages of docs/
have their tables of columns from the same file.
"""

import csv
import functools
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pyarrow as pa

from isogloss.engine.runtime import atomic_write, table_files

NAME = "columns.tsv"
_EARLIER = "A column of an earlier version of isogloss."
_LINK = re.compile(r"\[(.+?)\]\(.+?\)")


class Column(NamedTuple):
    """Column of a table.

    Attributes:
      type: as the pages write it; "" where the source doesn't say.
      meaning: in Markdown.
    """

    type: str
    meaning: str


@functools.cache
def columns(source: pathlib.Path) -> Mapping[tuple[str, str], Column]:
    """Columns by the names of their table and their own, in the order of the tables."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {(row["table"], row["column"]): Column(row.get("type", ""), row["meaning"]) for row in rows}


def write(
    out: pathlib.Path, source: pathlib.Path, other: Callable[[str, str], str | None] = lambda *_: None
) -> None:
    """Write the dictionary of the tables that lie in a folder.

    Args:
      out: the folder.
      source: file with the meanings.
      other: meaning of a column, by table and column, that the source lacks; None if there is none, either.

    Raises:
      OSError: it can't be written.
    """
    known, rows = columns(source), []
    for name in dict.fromkeys(table for table, _ in known):
        path = out / f"{name}.parquet"
        if not path.is_file():
            continue
        schema = table_files.parquet_schema(path)
        found = schema.metadata or {}  # an earlier version, which left a table here, said less
        made = [found.get(key.encode(), b"").decode() for key in table_files.MADE]
        for field in schema:
            column = known.get((name, field.name))
            meaning = column.meaning if column else other(name, field.name) or _EARLIER
            if rate := found.get(b"fdr", b"").decode():
                meaning = meaning.replace("`--fdr`", f"`--fdr={rate}`")
            plain = _LINK.sub(r"\1", meaning).replace("`", "")
            rows.append((f"{name}.parquet", field.name, str(field.type), plain, *made))
    names = ("table", "column", "type", "meaning", *table_files.MADE)
    values = zip(*rows, strict=True) if rows else [()] * len(names)
    made = pa.table({name: pa.array(value, pa.string()) for name, value in zip(names, values, strict=True)})
    atomic_write.write_whole(out / NAME, lambda file: table_files.write_tsv(made, file))

"""Data dictionary of a report: what each column of each table beside it means, in columns.tsv.

It also has the version of isogloss that made the table, and the day, which a CSV file can't say.
Meanings are those of docs/report.md, which a test holds against the same file.
"""

import csv
import functools
import pathlib
import re
from collections.abc import Mapping

import pyarrow as pa

from isogloss.engine.runtime import atomic_write, table_files

NAME = "columns.tsv"
_SOURCE = pathlib.Path(__file__).with_name("report_columns.tsv")
_GRID = "Name of the grid without its suffix."
_EARLIER = "A column of an earlier version of isogloss."
_OF = re.compile(r"(recall_at_1_of_)\d+")  # its number is that of --candidates


@functools.cache
def meanings() -> Mapping[tuple[str, str], str]:
    """Meaning by table and column, in the order of the tables."""
    with _SOURCE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {(row["table"], row["column"]): row["meaning"] for row in rows}


def write(out: pathlib.Path) -> None:
    """Write the dictionary of the tables that lie in a folder.

    Raises:
      OSError: it can't be written.
    """
    rows = []
    for name in dict.fromkeys(table for table, _ in meanings()):
        path = out / f"{name}.parquet"
        if not path.is_file():
            continue
        schema = table_files.parquet_schema(path)
        found = schema.metadata or {}  # an earlier version, which left a table here, said less
        made = [found.get(key.encode(), b"").decode() for key in table_files.MADE]
        for field in schema:
            key = name, _OF.sub(r"\g<1>100", field.name)
            meaning = _GRID if key[1] == "grid" else meanings().get(key, _EARLIER)
            number = field.name.removeprefix("recall_at_1_of_")
            if number.isdecimal():
                meaning = meaning.replace("99 others", f"{int(number) - 1} others")
            if rate := found.get(b"fdr", b"").decode():
                meaning = meaning.replace("`--fdr`", f"`--fdr={rate}`")
            rows.append((f"{name}.parquet", field.name, str(field.type), meaning.replace("`", ""), *made))
    names = ("table", "column", "type", "meaning", *table_files.MADE)
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    made = pa.table(
        {name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)}
    )
    atomic_write.write_whole(out / NAME, lambda file: table_files.write_tsv(made, file))

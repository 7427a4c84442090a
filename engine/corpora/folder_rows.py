"""Rows of a data set whose audio lies in files of its own, beside metadata.csv, .jsonl or .parquet.

That is the form that `datasets` calls audiofolder: `file_name` is a path relative to the metadata.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from isogloss.engine.corpora import audio, listing
from isogloss.engine.corpora.columns import Columns
from isogloss.engine.corpora.parquet_rows import ROWS, recording
from isogloss.engine.corpora.stored_files import FolderFiles, StoredFiles, StoredSource
from isogloss.engine.runtime.refusal import Refusal

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_NO_GROUP = -1


def describe(rows: pa.Table, name: str, files: StoredFiles) -> list[listing.Recording]:
    """Recordings of one language's rows, sorted by sentence, then by name; arguments as in parquet_rows."""
    found = []
    for row in rows.to_pylist():
        spoken = f"{name}/{row['path']}"
        if isinstance(files, FolderFiles):
            source = audio.FileSource.at(files.path(row["file"]), spoken)
            source = dataclasses.replace(source, promised=row["samples"])
        else:
            source = StoredSource(
                name=spoken, size=None, promised=row["samples"], files=files, file=row["file"]
            )
        found.append(recording(row, source))
    return listing.in_order(found)


def in_files(rows: pa.Table) -> bool:
    """True if the rows are of `read_rows`, False if they are of Parquet files with their audio."""
    return _NO_GROUP in rows["group"].slice(0, 1).to_pylist()


def read_rows(files: StoredFiles, names: Sequence[str], columns: Columns, place: str) -> pa.Table:
    """Rows by parquet_rows.ROWS; reads the metadata among the files `names`, and no audio."""
    tables = [name for name in names if pathlib.PurePosixPath(name).name in METADATA]
    if not tables:
        raise Refusal(
            f"{place}: has no {' or '.join(METADATA)}, so its recordings have no sentence. Write one with "
            "the columns file_name and sentence."
        )
    found = [
        _row(row, f"{place}: {name}", name, columns) for name in tables for row in _rows(files.path(name))
    ]
    return pa.Table.from_pylist(found, ROWS)


def _rows(path: pathlib.Path) -> list[dict[str, object]]:
    if path.suffix == ".csv":
        import pandas as pd  # noqa: PLC0415 (0.5 s)

        return pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")  # pyright: ignore
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]
    with pq.ParquetFile(path, pre_buffer=False) as file:
        return file.read(use_threads=False).to_pylist()


def _row(row: Mapping[str, object], place: str, name: str, columns: Columns) -> dict[str, object]:
    file = "file_name" if columns.audio == "audio" else f"{columns.audio}_file_name"
    for role, column in (("audio", file), *columns.texts().items()):
        if column not in row and role in ("audio", "sentence", "language", "transcription"):
            raise Refusal(f"{place}: column {column} is missing. There are: {', '.join(map(str, row))}.")
        if role in ("audio", "sentence", "language") and row[column] in (None, ""):
            raise Refusal(f"{place}: a row has no {column}. Fill it or remove the row.")
    texts = {role: row.get(column) for role, column in columns.texts().items()}
    samples = row.get(columns.samples)
    # The path stays whole in the name, because files of two folders are often called alike.
    return {
        "file": str(pathlib.PurePosixPath(name).parent / str(row[file])),
        "group": _NO_GROUP,
        "row": _NO_GROUP,
        "path": str(row[file]),
        **{role: None if value is None else str(value) for role, value in texts.items()},
        "samples": None if samples in (None, "") else int(str(samples)),
    }

"""Rows of Parquet files that contain their audio, as `datasets` writes them, read without the audio.

The columns of a listing are KB where the audio is hundreds of MB, and `datasets` can't read audio.path
without audio.bytes; so pyarrow reads them here, of a file or of ranges of the hub. A recording is read with
its whole row group, about 50 MB; a bounded number of groups stays in memory, because sentences and rows have
different orders.
"""

import collections
import dataclasses
import io
import json
import pathlib
import threading
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isogloss.engine.corpora import audio, listing
from isogloss.engine.corpora.columns import Columns
from isogloss.engine.corpora.stored_files import StoredFiles, StoredSource
from isogloss.engine.runtime.refusal import Refusal

HELD_BYTES = 512 << 20  # of recordings in memory, all languages together
_ROWS = 16  # decoded at a time
_TEXTS = ("sentence", "path", "transcription", "raw", "language", "gender", "id")
ROWS = pa.schema(
    {
        "file": pa.string(),  # relative to the folder or repository
        "group": pa.int64(),
        "row": pa.int64(),  # within the row group
        **dict.fromkeys(_TEXTS, pa.string()),
        "samples": pa.int64(),  # null if unknown; then the audio's header is read
    }
)


class RowGroups:
    """Recordings of the most recently used row groups, bounded in bytes; safe for threads."""

    def __init__(self, limit: int = HELD_BYTES) -> None:
        """Keep `limit` bytes in memory, or one row group if that is larger."""
        self._limit = limit
        self._held: collections.OrderedDict[tuple[pathlib.Path, int, str], list[bytes | None]] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def recording(self, path: pathlib.Path, group: int, row: int, column: str = "audio") -> bytes | None:
        """Bytes of one row's audio; None if the row has none."""
        key = (path, group, column)
        with self._lock:  # a second thread waits for the group instead of reading it again
            if key not in self._held:
                self._held[key] = _read_bytes(path, group, column)
                while len(self._held) > 1 and self._size() > self._limit:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key][row]

    def _size(self) -> int:
        return sum(len(content or b"") for held in self._held.values() for content in held)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowSource(StoredSource):
    """Recording in one row of a file.

    Attributes:
      column: with the audio.
      group: index of the row group in the file.
      row: index of the row in the row group.
      groups: recordings in memory.
      rows_of_file: number of rows of the file.
    """

    column: str
    group: int
    row: int
    groups: RowGroups
    rows_of_file: int

    def open(self) -> io.BufferedReader:
        """File with the bytes of the row's audio, fetched if necessary."""
        path = self.files.path(self.file)
        try:
            content = self.groups.recording(path, self.group, self.row, self.column)
        except pa.ArrowException as error:
            raise audio.AudioError(
                f"{self.name}: {path.name} can't be read ({error}). Download it again."
            ) from error
        return io.BufferedReader(io.BytesIO(content or b""))


def read_rows(source: pathlib.Path | io.IOBase, place: str, name: str, columns: Columns) -> pa.Table:
    """Rows of one file by ROWS, in the file's order, without the audio; a Refusal names `place`."""
    try:
        with pq.ParquetFile(source, pre_buffer=False) as file:
            schema = file.schema_arrow
            wanted = _wanted(place, schema, columns)
            # By group, so that one request to the hub reads neighbouring columns; without Arrow's threads,
            # which could call the Python file while the interpreter ends.
            groups = range(file.num_row_groups)
            read = [file.read_row_group(group, wanted, use_threads=False) for group in groups]
    except pa.ArrowException as error:
        raise Refusal(
            f"{place}: not a Parquet file that can be read ({error}). Download it again."
        ) from error
    table = pa.concat_tables([group.flatten() for group in read] or [schema.empty_table().flatten()])
    lengths = [len(group) for group in read]
    found: dict[str, pa.Array | pa.ChunkedArray | np.ndarray] = {
        "file": pa.repeat(name, len(table)),
        "group": np.repeat(np.arange(len(read)), lengths),
        "row": np.concatenate([np.arange(length) for length in [0, *lengths]]),
        "path": table[f"{columns.audio}.path"],
        "samples": table[columns.samples] if columns.samples in wanted else pa.nulls(len(table)),
    }
    labels = _labels(schema)
    for role in _TEXTS:
        column = getattr(columns, role, "")
        if role != "path":
            found[role] = (
                _text(table[column], labels.get(column)) if column in wanted else pa.nulls(len(table))
            )
    made = pa.table({name: found[name] for name in ROWS.names}).cast(ROWS)
    _require_values(place, made, columns)
    return made


def describe(
    rows: pa.Table,
    name: str,
    columns: Columns,
    files: StoredFiles,
    groups: RowGroups,
    sizes: Mapping[str, int] | None = None,
) -> list[listing.Recording]:
    """Recordings of one language's rows, sorted by sentence (numbers as numbers), then by name.

    Args:
      rows: as `read_rows` returns them.
      name: folder in the name of a recording, such as "fr_fr/test".
      columns: of the data set.
      files: folder or repository with the files.
      groups: recordings in memory.
      sizes: number of rows of each file, those of other languages included; by default those of `rows`.
    """
    sizes = sizes or collections.Counter(rows["file"].to_pylist())
    found = []
    for number, row in enumerate(rows.to_pylist()):
        file = pathlib.PurePosixPath(row["path"] or "").name or f"{number:06}"
        source = RowSource(
            name=f"{name}/{file}",
            size=None,
            promised=row["samples"],
            files=files,
            file=row["file"],
            column=columns.audio,
            group=row["group"],
            row=row["row"],
            groups=groups,
            rows_of_file=sizes[row["file"]],
        )
        found.append(recording(row, source))
    return listing.in_order(found)


def recording(row: Mapping[str, str | None], source: audio.AudioSource) -> listing.Recording:
    """Recording of a row by ROWS."""
    return listing.Recording(
        sentence=row["sentence"] or "",
        transcription=row["transcription"] or "",
        raw_transcription=row["raw"] or "",
        gender=row["gender"] or "",
        name=row["id"] or "",
        source=source,
    )


def _wanted(place: str, schema: pa.Schema, columns: Columns) -> list[str]:
    """Columns to read, without the audio's bytes; Refusal if a needed column is missing."""
    flat = schema.empty_table().flatten().schema  # a struct's fields become columns
    kinds = dict(zip(flat.names, flat.types, strict=True))
    audio = {"bytes": (pa.binary(), pa.large_binary()), "path": (pa.string(), pa.large_string())}
    for part, known in audio.items():
        if kinds.get(f"{columns.audio}.{part}", pa.null()) not in known:
            raise Refusal(
                f"{place}: column {columns.audio}.{part} is missing. The audio must be in the file, as "
                f"`datasets` writes it; name its column by --columns=audio=NAME. {_there(schema)}"
            )
    for role in ("sentence", "language", "transcription"):
        column = getattr(columns, role)
        if column and column not in kinds:
            raise Refusal(
                f"{place}: column {column} is missing. Name the {role} by --columns={role}=NAME. "
                f"{_there(schema)}"
            )
    wanted = {*columns.texts().values(), columns.samples, f"{columns.audio}.path"}
    return [name for name in flat.names if name in wanted]  # in the order of the file, see `read_rows`


def _there(schema: pa.Schema) -> str:
    return f"There are: {', '.join(schema.names)}."


def _labels(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of the classes of each column that holds their numbers."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return {}
    features = json.loads(metadata)["info"]["features"]
    return {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def _text(column: pa.ChunkedArray, labels: list[str] | None) -> pa.Array | pa.ChunkedArray:
    """Column as text; numbers of classes as their names, null where there is none (-1)."""
    if labels is None:
        return column.cast(pa.string())
    numbers = column.to_pylist()
    known = range(len(labels))
    return pa.array([labels[n] if n in known else None for n in numbers], pa.string())


def _require_values(place: str, rows: pa.Table, columns: Columns) -> None:
    """Refuse a row without a sentence or a language."""
    for role in ("sentence", "language"):
        column = getattr(columns, role)
        missing = [n for n, value in enumerate(rows[role].to_pylist()) if not value] if column else []
        if missing:
            group, row = (rows[name][missing[0]].as_py() for name in ("group", "row"))
            raise Refusal(
                f"{place} row group {group} row {row}: {column} is missing. Download the file again, or "
                f"name another column by --columns={role}=NAME."
            )


def _read_bytes(path: pathlib.Path, group: int, column: str) -> list[bytes | None]:
    """Audio of a row group, read a few rows at a time.

    Reading it at once takes seven times the memory, which Arrow keeps.
    """
    found: list[bytes | None] = []
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        for rows in file.iter_batches(_ROWS, row_groups=[group], columns=[f"{column}.bytes"]):
            found += rows.column(column).field("bytes").to_pylist()
    pa.default_memory_pool().release_unused()
    return found

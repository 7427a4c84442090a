"""FLEURS in Parquet files that contain the audio, as on the hub, read without `datasets`.

A listing reads all columns except the audio (hundreds of MB a language). A recording is read with its whole
row group, about 50 MB; a bounded number of groups stays in memory, because ids and rows have different
orders. `transcription` is FLEURS's normalised text. Columns: huggingface.co/datasets/google/fleurs.
"""

import collections
import dataclasses
import fnmatch
import io
import pathlib
import re
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isogloss.engine.corpora import audio, listing
from isogloss.engine.corpora.languages import SPLITS
from isogloss.engine.runtime.refusal import Refusal

HELD_BYTES = 512 << 20  # of recordings in memory, all languages together
SERIES = r"-(\d+)-of-(\d+)\.parquet$"  # index and number of parts
_LAYOUTS = ("{language}/{split}/*.parquet", "{language}/{split}-*.parquet")
_ROWS = 16  # decoded at a time
_GENDERS = {0: "male", 1: "female", 2: "other"}
CONTENTS = pa.schema(
    {
        "file": pa.string(),  # relative to the folder or repository
        "group": pa.int64(),
        "row": pa.int64(),  # within the row group
        "id": pa.int64(),
        "audio": pa.string(),
        "transcription": pa.string(),
        "gender": pa.int64(),
        "num_samples": pa.int64(),  # null if the file lacks the column; then the audio's header is read
    }
)


class RowGroups:
    """Recordings of the most recently used row groups, bounded in bytes; safe for threads."""

    def __init__(self, limit: int = HELD_BYTES) -> None:
        """Keep `limit` bytes in memory, or one row group if that is larger."""
        self._limit = limit
        self._held: collections.OrderedDict[tuple[pathlib.Path, int], list[bytes | None]] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def recording(self, path: pathlib.Path, group: int, row: int) -> bytes | None:
        """Bytes of one row's audio; None if the row has none."""
        with self._lock:  # a second thread waits for the group instead of reading it again
            if (path, group) not in self._held:
                self._held[path, group] = _read_bytes(path, group)
                while len(self._held) > 1 and self._size() > self._limit:
                    self._held.popitem(last=False)
            self._held.move_to_end((path, group))
            return self._held[path, group][row]

    def _size(self) -> int:
        return sum(len(content or b"") for held in self._held.values() for content in held)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowSource(audio.AudioSource):
    """Recording in one row of a file.

    Attributes:
      file: path relative to the folder or repository.
      fetch: function that returns the file's path on this machine and downloads it if necessary.
      group: index of the row group in the file.
      row: index of the row in the row group.
      groups: recordings in memory.
    """

    file: str
    fetch: Callable[[str], pathlib.Path]
    group: int
    row: int
    groups: RowGroups

    def open(self) -> io.BufferedReader:
        """File with the bytes of the row's audio."""
        path = self.fetch(self.file)
        try:
            content = self.groups.recording(path, self.group, self.row)
        except pa.ArrowException as error:
            raise audio.AudioError(
                f"{self.name}: {path.name} can't be read ({error}). Download it again."
            ) from error
        return io.BufferedReader(io.BytesIO(content or b""))


class Folder:
    """One split of FLEURS in a folder of Parquet files, in either of the hub's layouts."""

    def __init__(self, folder: pathlib.Path, split: str) -> None:
        """Read nothing yet; `split` is train, dev or test, and files of dev may be called validation."""
        self.description = f"fleurs-dir:{split}"
        self._folder = folder
        self._split = split
        self._groups = RowGroups()

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages with Parquet files of the split, sorted."""
        found = [path for name in patterns("*", self._split) for path in self._folder.glob(name)]
        return tuple(sorted({path.relative_to(self._folder).parts[0] for path in found}))

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """Utterances of a language by id, then file name; reads no audio."""
        wanted = " or ".join(patterns("*", self._split))
        listing.require(language, self.languages(), f"{self._folder} has no files {wanted} of language")
        files = local_files(self._folder, language, self._split)
        tables = [read_contents(self._folder / file, str(self._folder / file), file) for file in files]
        found = describe(pa.concat_tables(tables), language, self._split, self._folder.joinpath, self._groups)
        return listing.number(self.description, language, found, recordings)


def patterns(language: str, split: str) -> list[str]:
    """Patterns of the paths of a split's Parquet files."""
    spellings = [name for name, meant in SPLITS.items() if meant == split]
    return [layout.format(language=language, split=name) for layout in _LAYOUTS for name in spellings]


def local_files(folder: pathlib.Path, language: str, split: str) -> list[str]:
    """Files of a language's split in a folder, as `choose_files` returns them."""
    found = [path for pattern in patterns(language, split) for path in folder.glob(pattern)]
    return choose_files([path.relative_to(folder).as_posix() for path in found], language, split, str(folder))


def choose_files(names: Sequence[str], language: str, split: str, place: str) -> list[str]:
    """Files of a language's split among the names in a folder, sorted.

    Raises:
      PartialSeriesError: files of a series such as "-00000-of-00002" are missing.
    """
    matches = (sorted(fnmatch.filter(names, pattern)) for pattern in patterns(language, split))
    files = next(filter(None, matches), [])
    numbered = [re.search(SERIES, name) for name in files]
    series = [(int(match[1]), int(match[2])) for match in numbered if match]
    if series and {number for number, _ in series} != set(range(series[0][1])):
        raise PartialSeriesError(
            f"{place} has {len(series)} of {series[0][1]} files of a series: {', '.join(files)}. "
            "Download the others."
        )
    return files


class PartialSeriesError(Refusal):
    """Some files of a numbered series are missing."""


def read_contents(source: pathlib.Path | io.IOBase, place: str, name: str) -> pa.Table:
    """Rows of one file in the file's order, without the audio; a Refusal names `place`."""
    try:
        with pq.ParquetFile(source, pre_buffer=False) as file:
            columns = _columns(place, file.schema_arrow)
            # By group, so that one request to the hub reads neighbouring columns; without Arrow's threads,
            # which could call the Python file while the interpreter ends.
            groups = range(file.num_row_groups)
            read = [file.read_row_group(group, columns, use_threads=False) for group in groups]
    except pa.ArrowException as error:
        raise Refusal(
            f"{place}: not a Parquet file that can be read ({error}). Download it again."
        ) from error
    table = pa.concat_tables(read).flatten()
    groups = np.repeat(np.arange(len(read)), [len(group) for group in read])
    rows = np.concatenate([np.arange(len(group)) for group in read])
    for group, row, number, sound in zip(
        groups, rows, table["id"].to_pylist(), table["audio.path"].to_pylist(), strict=True
    ):
        if number is None or not sound:
            raise Refusal(
                f"{place} row group {group} row {row}: id or audio.path is missing. Download the file again."
            )
    optional = {
        column: table[column] if column in columns else pa.nulls(len(table))
        for column in ("gender", "num_samples")
    }
    found = {
        "file": pa.repeat(name, len(table)),
        "group": groups,
        "row": rows,
        "id": table["id"],
        "audio": table["audio.path"],
        "transcription": table["transcription"],
        **optional,
    }
    return pa.table(found).cast(CONTENTS)


def describe(
    contents: pa.Table, language: str, split: str, fetch: Callable[[str], pathlib.Path], groups: RowGroups
) -> list[listing.Recording]:
    """Recordings of a language, sorted by id, then by file name."""
    found = [
        listing.Recording(
            sentence=str(row["id"]),
            transcription=row["transcription"] or "",
            gender=_GENDERS.get(row["gender"], ""),
            source=RowSource(
                name=f"{language}/{split}/{pathlib.PurePosixPath(row['audio']).name}",
                size=None,
                promised=row["num_samples"],
                file=row["file"],
                fetch=fetch,
                group=row["group"],
                row=row["row"],
                groups=groups,
            ),
        )
        for row in contents.to_pylist()
    ]
    return sorted(found, key=lambda recording: (int(recording.sentence), recording.source.name))


def _columns(place: str, schema: pa.Schema) -> list[str]:
    """Columns to read, without the audio's bytes; Refusal if a needed column is missing."""
    flat = schema.empty_table().flatten().schema  # a struct's fields become columns
    fields = dict(zip(flat.names, flat.types, strict=True))
    for name, check in (
        ("id", pa.types.is_integer),
        ("transcription", _is_text),
        ("audio.bytes", _is_binary),
        ("audio.path", _is_text),
    ):
        if name not in fields or not check(fields[name]):
            raise Refusal(
                f"{place}: column {name} is {fields.get(name, 'missing')}; FLEURS has integer id, "
                "string transcription and audio of (bytes, path). Download the file again."
            )
    wanted = {"id", "audio.path", "transcription", "gender", "num_samples"}
    return [name for name in flat.names if name in wanted]  # in the order of the file, see `read_contents`


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _read_bytes(path: pathlib.Path, group: int) -> list[bytes | None]:
    """Audio of a row group, read a few rows at a time.

    Reading it at once takes seven times the memory, which Arrow keeps.
    """
    found: list[bytes | None] = []
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        for rows in file.iter_batches(_ROWS, row_groups=[group], columns=["audio.bytes"]):
            found += rows.column("audio").field("bytes").to_pylist()
    pa.default_memory_pool().release_unused()
    return found

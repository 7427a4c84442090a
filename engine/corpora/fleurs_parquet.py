"""FLEURS as the hub serves it: Parquet files with the audio inside, read without `datasets`.

A listing reads all columns but the audio's bytes (a language holds hundreds of MB of
those); a recording's bytes come with their row group, some 50 MB, of which a bounded number
stays in memory, since the order of ids is not that of rows. `transcription` is FLEURS's
normalised text. Columns: huggingface.co/datasets/google/fleurs.
"""

import collections
import dataclasses
import io
import pathlib
import re
import threading

import pyarrow as pa
import pyarrow.parquet as pq

from isogloss.engine.corpora import audio, listing
from isogloss.engine.corpora.languages import LANGUAGES, SPLITS

REPOSITORY = "mteb/fleurs"
REVISION = "cadac46d4cd7d721f5cf8844a5b9f0f20e6fcde8"  # the one that MTEB's tasks pin
HELD_BYTES = 512 << 20  # of recordings in memory, all languages together
_LAYOUTS = ("{language}/{split}/*.parquet", "{language}/{split}-*.parquet")
_ROWS = 16  # decoded at a time
_GENDERS = {0: "male", 1: "female", 2: "other"}


class RowGroups:
    """Recordings of the row groups used last, bounded in bytes; safe for threads."""

    def __init__(self, limit: int = HELD_BYTES) -> None:
        """Hold `limit` bytes, or one row group if that is larger."""
        self._limit = limit
        self._held: collections.OrderedDict[tuple[pathlib.Path, int], list[bytes | None]] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def recording(self, path: pathlib.Path, group: int, row: int) -> bytes | None:
        """Bytes of one row's audio; None where the row has none."""
        with self._lock:  # a second thread waits for the group instead of reading it too
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
    """The audio of one row."""

    path: pathlib.Path
    group: int
    row: int
    groups: RowGroups

    def open(self) -> io.BufferedReader:
        """Give the row's bytes as a file."""
        try:
            content = self.groups.recording(self.path, self.group, self.row)
        except pa.ArrowException as error:
            raise audio.AudioError(
                f"{self.name}: {self.path.name} can't be read ({error}). Download it again."
            ) from error
        return io.BufferedReader(io.BytesIO(content or b""))


class Folder:
    """One split of FLEURS in Parquet files, in either of the hub's layouts."""

    def __init__(self, folder: pathlib.Path, split: str, description: str, groups: RowGroups) -> None:
        """Look at nothing yet.

        Args:
          folder: holds the language folders.
          split: train, dev or test; its files may also be called validation.
          description: see `corpus.Corpus`.
          groups: where recordings wait in memory.
        """
        self.description = description
        self._folder = folder
        self._split = split
        self._groups = groups

    def languages(self) -> tuple[str, ...]:
        """Folders that hold Parquet files of the split, sorted."""
        found = [path for name in patterns("*", self._split) for path in self._folder.glob(name)]
        return tuple(sorted({path.relative_to(self._folder).parts[0] for path in found}))

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """List a language by id, then file name; reads no audio."""
        files = " or ".join(patterns("*", self._split))
        listing.require(language, self.languages(), f"{self._folder} has no files {files} of language")
        found = [
            recording
            for path in _paths(self._folder, language, self._split)
            for recording in _read(path, f"{language}/{self._split}", self._groups)
        ]
        found.sort(key=lambda recording: (int(recording.sentence), recording.source.name))
        return listing.number(self.description, language, found, recordings)


class Hub:
    """One split of FLEURS on the hub, at the pinned revision; downloads by language."""

    def __init__(self, split: str) -> None:
        """Download nothing yet."""
        self.description = f"fleurs:{split}@{REVISION}"
        self._split = split
        self._groups = RowGroups()

    def languages(self) -> tuple[str, ...]:
        """List the 102 languages."""
        return tuple(LANGUAGES)

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """List a language after fetching its files, unless the hub's cache has them."""
        listing.require(language, self.languages(), "FLEURS has no language")
        folder = Folder(_download(language, self._split), self._split, self.description, self._groups)
        return folder.listing(language, recordings)


def patterns(language: str, split: str) -> list[str]:
    """Paths that Parquet files of a split may have."""
    spellings = [name for name, meant in SPLITS.items() if meant == split]
    return [layout.format(language=language, split=name) for layout in _LAYOUTS for name in spellings]


def _download(language: str, split: str) -> pathlib.Path:
    """Fetch one language's files into the hub's cache (HF_HOME) and say where they are."""
    import huggingface_hub  # noqa: PLC0415 (0.5 s that a folder of files need not wait for)

    try:
        folder = huggingface_hub.snapshot_download(
            REPOSITORY,
            repo_type="dataset",
            revision=REVISION,
            allow_patterns=patterns(language, split),
        )
    except OSError as error:  # every error of the hub's is one
        raise ValueError(
            f"{REPOSITORY} at {REVISION}: {language} can't be downloaded ({error}). "
            "Set HF_HOME to a cache that has it, or give a folder: --corpus=fleurs-dir:PATH"
        ) from error
    return pathlib.Path(folder)


def _paths(folder: pathlib.Path, language: str, split: str) -> list[pathlib.Path]:
    """Files of a language, sorted; ValueError unless a series "-00000-of-00002" is whole."""
    found = (sorted(folder.glob(pattern)) for pattern in patterns(language, split))
    paths = next(filter(None, found))
    named = [re.search(r"-(\d+)-of-(\d+)\.parquet$", path.name) for path in paths]
    series = [(int(match[1]), int(match[2])) for match in named if match]
    if series and {number for number, _ in series} != set(range(series[0][1])):
        raise ValueError(
            f"{paths[0].parent} has {len(series)} of {series[0][1]} files of a series: "
            f"{', '.join(path.name for path in paths)}. Download the others."
        )
    return paths


def _read(path: pathlib.Path, place: str, groups: RowGroups) -> list[listing.Recording]:
    """Describe the recordings of one file, in its order; `place` begins their names."""
    try:
        with pq.ParquetFile(path) as file:
            columns = _columns(path, file.schema_arrow)
            read = [
                (group, row, values)
                for group in range(file.num_row_groups)
                for row, values in enumerate(file.read_row_group(group, columns).flatten().to_pylist())
            ]
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path}: not a Parquet file that can be read ({error}). Download it again."
        ) from error
    found = []
    for group, row, values in read:
        if values["id"] is None or not values["audio.path"]:
            raise ValueError(
                f"{path} row group {group} row {row}: no id or no audio.path. Download the file again."
            )
        source = RowSource(
            name=f"{place}/{pathlib.PurePosixPath(values['audio.path']).name}",
            size=None,
            promised=values.get("num_samples"),
            path=path,
            group=group,
            row=row,
            groups=groups,
        )
        found.append(
            listing.Recording(
                sentence=str(values["id"]),
                transcription=values["transcription"] or "",
                gender=_GENDERS.get(values.get("gender"), ""),
                source=source,
            )
        )
    return found


def _columns(path: pathlib.Path, schema: pa.Schema) -> list[str]:
    """Columns to read, without the audio's bytes; ValueError if one that we need is missing."""
    flat = schema.empty_table().flatten().schema  # a struct's fields become columns
    fields = dict(zip(flat.names, flat.types, strict=True))
    for name, check in (
        ("id", pa.types.is_integer),
        ("transcription", _is_text),
        ("audio.bytes", _is_binary),
        ("audio.path", _is_text),
    ):
        if name not in fields or not check(fields[name]):
            raise ValueError(
                f"{path}: column {name} is {fields.get(name, 'missing')}; FLEURS has integer id, "
                "string transcription and audio of (bytes, path). Download the file again."
            )
    return ["id", "audio.path", "transcription", *(fields.keys() & {"gender", "num_samples"})]


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _read_bytes(path: pathlib.Path, group: int) -> list[bytes | None]:
    """Read the audio of a row group, a few rows at a time.

    At once, Arrow would take seven times the room, and not give it back.
    """
    found: list[bytes | None] = []
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        for rows in file.iter_batches(_ROWS, row_groups=[group], columns=["audio.bytes"]):
            found += rows.column("audio").field("bytes").to_pylist()
    pa.default_memory_pool().release_unused()
    return found

"""Data sets of the hub and of folders: their configurations, and their rows without audio.

What is found of a data set of the hub is kept in the hub's cache of assets (HF_HOME): the commit of a branch,
the layout, the rows of a split. A later process asks the hub nothing, and an offline one needs nothing else
but the audio.
"""

import abc
import contextlib
import fcntl
import json
import logging
import os
import pathlib
import re
from collections.abc import Iterator
from typing import TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from isogloss.engine.corpora import dataset_layout, folder_rows, listing, parquet_rows
from isogloss.engine.corpora.columns import Columns
from isogloss.engine.corpora.dataset_layout import DatasetLayout, Files
from isogloss.engine.corpora.stored_files import FolderFiles, HubFiles, StoredFiles, not_cached, offline
from isogloss.engine.runtime import hub_faults
from isogloss.engine.runtime.refusal import Refusal, UnreachableError, WriteError

COMMIT = re.compile("[0-9a-f]{40}")
_READ_AHEAD = 1 << 16  # bytes
_LOG = logging.getLogger(__name__)


class _KeptLayout(TypedDict):
    reader: str
    names: list[str]
    files: dict[str, Files]  # by configuration


class DataSet(abc.ABC):
    """Data set in a folder or on the hub.

    Attributes:
      name: for messages.
      label: name for descriptions, with the commit, the same on every machine.
      revision: commit; "" for a folder.
      files: its files.
    """

    name: str
    label: str
    revision: str
    files: StoredFiles

    @property
    @abc.abstractmethod
    def configurations(self) -> tuple[str, ...]:
        """Names of the configurations."""

    @abc.abstractmethod
    def rows(self, configuration: str, split: str, columns: Columns) -> pa.Table:
        """Rows of a split by parquet_rows.ROWS; reads no audio."""


class FolderData(DataSet):
    """Data set in a folder, in a form that `datasets` reads."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Read nothing yet."""
        self._folder = folder
        self._found: DatasetLayout | None = None
        self.name, self.label, self.revision = str(folder), folder.resolve().name, ""
        self.files = FolderFiles(folder)

    def _layout(self) -> DatasetLayout:
        if self._found is None:
            self._found = dataset_layout.find(str(self._folder), None, str(self._folder.resolve()))
        return self._found

    @property
    def configurations(self) -> tuple[str, ...]:
        """Names of the configurations."""
        return self._layout().names

    def rows(self, configuration: str, split: str, columns: Columns) -> pa.Table:
        """Rows of a split by parquet_rows.ROWS; reads no audio."""
        layout = self._layout()
        listing.require(configuration, layout.names, f"{self._folder} has no configuration")
        place = f"{self._folder}: {configuration}"
        names = dataset_layout.choose_files(layout.files(configuration), split, place)
        if layout.reader == dataset_layout.FOLDER:
            return folder_rows.read_rows(self.files, names, columns, place)
        paths = {name: self._folder / name for name in names}
        return pa.concat_tables(
            [parquet_rows.read_rows(path, str(path), name, columns) for name, path in paths.items()]
        )


class HubData(DataSet):
    """Data set on the hub at one commit."""

    def __init__(self, repository: str, revision: str) -> None:
        """Read nothing yet; `revision` is a commit, see `commit`."""
        self.name = self.label = f"{repository}@{revision}"
        self.revision = revision
        self.files = self._hub = HubFiles(repository, revision)
        self._repository = repository
        self._found: DatasetLayout | None = None

    @property
    def configurations(self) -> tuple[str, ...]:
        """Names of the configurations."""
        return tuple(self._kept_layout()["names"])

    def rows(self, configuration: str, split: str, columns: Columns) -> pa.Table:
        """Rows of a split by parquet_rows.ROWS, kept for later processes; downloads no audio."""
        kept = (
            _assets(self._repository, self.revision)
            / f"{configuration}-{split}-{columns.sha256()[:8]}.parquet"
        )
        with _locked(kept):
            if not kept.is_file():
                rows = self._read(configuration, split, columns)
                partial = kept.with_suffix(".partial")
                pq.write_table(rows, partial)
                os.replace(partial, kept)
            with pq.ParquetFile(kept) as file:
                return file.read(use_threads=False)

    def _read(self, configuration: str, split: str, columns: Columns) -> pa.Table:
        layout = self._kept_layout(configuration)
        place = f"{self._repository}: {configuration}"
        names = dataset_layout.choose_files(layout["files"][configuration], split, place)
        _LOG.info("reading the rows of %s in %s, without audio", configuration, self._repository)
        try:
            if layout["reader"] == dataset_layout.FOLDER:
                return folder_rows.read_rows(self.files, names, columns, place)
            return pa.concat_tables([self._rows_of(name, columns) for name in names])
        except hub_faults.errors() as error:
            raise _failure(f"{self._repository}: {configuration}", error) from error

    def _rows_of(self, name: str, columns: Columns) -> pa.Table:
        """Rows of a file, of the cache or by range requests that leave out the audio."""
        import huggingface_hub  # noqa: PLC0415 (0.5 s; not needed for a folder)

        place = f"{self._repository}/{name}"
        if path := self._hub.cached(name):
            return parquet_rows.read_rows(path, place, name, columns)
        if offline():
            raise not_cached(place)
        path = f"datasets/{self._repository}@{self.revision}/{name}"
        # One request reads neighbouring columns of some KB; the default size would fetch 5 MB of audio.
        with huggingface_hub.HfFileSystem().open(
            path, "rb", block_size=_READ_AHEAD, cache_type="readahead"
        ) as opened:
            return parquet_rows.read_rows(opened, place, name, columns)

    def _kept_layout(self, configuration: str = "") -> _KeptLayout:
        """Kept layout: reader, names, and files by configuration, at least those of `configuration`."""
        kept = _assets(self._repository, self.revision) / "layout.json"
        with _locked(kept):
            found: _KeptLayout | None = json.loads(kept.read_text("utf-8")) if kept.is_file() else None
            if found and (not configuration or configuration in found["files"]):
                return found
            layout = self._layout()
            known = found["files"] if found else {}
            if configuration:
                listing.require(configuration, layout.names, f"{self._repository} has no configuration")
                known[configuration] = self._files(layout, configuration)
            made = _KeptLayout(reader=layout.reader, names=list(layout.names), files=known)
            _write(kept, json.dumps(made))
            return made

    def _files(self, layout: DatasetLayout, configuration: str) -> Files:
        """Files of a configuration; offline only if their names show that none is missing."""
        if not offline():
            return layout.files(configuration)
        try:
            found = layout.files(configuration)
        except Refusal as error:
            raise not_cached(f"{self.name}: {configuration}") from error
        if not found or not all(dataset_layout.is_whole(files) for files in found.values()):
            raise not_cached(f"{self.name}: {configuration}")
        return found

    def _layout(self) -> DatasetLayout:
        """Layout on the hub; offline that of the files in the cache."""
        if self._found is None and offline():
            import huggingface_hub  # noqa: PLC0415 (as above)

            try:
                folder = huggingface_hub.snapshot_download(
                    self._repository, repo_type="dataset", revision=self.revision, local_files_only=True
                )
            except huggingface_hub.errors.LocalEntryNotFoundError as error:
                raise not_cached(self.name) from error
            self._found = dataset_layout.find(folder, None, folder)
        elif self._found is None:
            _ask(self._repository, self.revision)
            root = f"hf://datasets/{self._repository}@{self.revision}"
            self._found = dataset_layout.find(self._repository, self.revision, root)
        return self._found


def commit(repository: str, revision: str | None) -> str:
    """Commit that a branch or tag names now, kept for offline runs; None is the main branch.

    Raises:
      Refusal: there is no such data set or revision, or offline, it isn't kept.
      UnreachableError: the hub doesn't answer.
    """
    if revision and COMMIT.fullmatch(revision):
        return revision
    branch = revision or "main"
    kept = _assets(repository, "branches") / f"{branch.replace('/', '--')}.txt"
    if offline():
        if not kept.is_file():
            raise not_cached(f"{repository}@{branch}")
        return kept.read_text("utf-8")
    found = _ask(repository, branch)
    _write(kept, found)
    return found


def _ask(repository: str, revision: str) -> str:
    """Commit of a revision on the hub; one question, where `datasets` would try for half a minute."""
    import huggingface_hub  # noqa: PLC0415 (as above)

    try:
        found = huggingface_hub.HfApi().dataset_info(repository, revision=revision, expand=["sha"]).sha
    except hub_faults.errors() as error:
        raise _failure(f"{repository}: {revision}", error) from error
    assert found is not None
    return found


def _assets(repository: str, part: str) -> pathlib.Path:
    import huggingface_hub  # noqa: PLC0415 (as above)

    return huggingface_hub.cached_assets_path("isogloss", repository, part)


@contextlib.contextmanager
def _locked(kept: pathlib.Path) -> Iterator[None]:
    """Lock of a kept file; the system frees that of a killed process."""
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: pathlib.Path, text: str) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)


def _failure(what: str, error: Exception) -> Refusal | UnreachableError | WriteError:
    return hub_faults.failure(
        what, error, f" can't be read ({hub_faults.reason(error)}). Check the name, or give a folder"
    )

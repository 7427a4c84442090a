"""Files of a data set: in a folder, or in a repository of the Hugging Face hub at one commit.

A file of the hub is downloaded into the hub's cache (HF_HOME) when it is first needed, one at a time; the
cache's locks let the processes of a machine download each file once. With HF_HUB_OFFLINE=1 the hub is never
asked, and a file that isn't cached is refused at once.
"""

import contextlib
import dataclasses
import functools
import io
import logging
import pathlib
import sys
import threading
import time
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from isogloss.engine.corpora import audio
from isogloss.engine.runtime import hub_faults
from isogloss.engine.runtime.refusal import Refusal, UnreachableError, WriteError

_LOG = logging.getLogger(__name__)


@runtime_checkable
class StoredFiles(Protocol):
    """Folder or repository."""

    def path(self, file: str) -> pathlib.Path:
        """Path of a file on this machine, downloaded if necessary."""
        ...

    def require(self, file: str) -> None:
        """Refuse a file that is neither here nor can be downloaded."""
        ...

    def missing(self, files: Iterable[str]) -> dict[str, int]:
        """Sizes in bytes of the files that must be downloaded first."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredSource(audio.AudioSource):
    """Recording in a file of a folder or repository.

    Attributes:
      files: folder or repository.
      file: path in there.
    """

    files: StoredFiles
    file: str

    def require(self) -> None:
        """Refuse a file that is neither here nor can be fetched."""
        self.files.require(self.file)

    def open(self) -> io.BufferedReader:
        """Open file, fetched if necessary."""
        return self.files.path(self.file).open("rb")


@dataclasses.dataclass(frozen=True)
class FolderFiles:
    """Files of a folder."""

    folder: pathlib.Path

    def path(self, file: str) -> pathlib.Path:
        """Path of a file."""
        return self.folder / file

    def require(self, file: str) -> None:
        """Nothing: a missing file is one broken recording."""

    def missing(self, files: Iterable[str]) -> dict[str, int]:
        """Nothing: a folder has no more than it has."""
        del files
        return {}


@dataclasses.dataclass(frozen=True)
class HubFiles:
    """Files of a repository.

    Attributes:
      repository: owner and name of a data set.
      revision: commit.
    """

    repository: str
    revision: str
    _fetching: contextlib.AbstractContextManager[bool] = dataclasses.field(
        default_factory=threading.Lock, compare=False, repr=False
    )

    def cached(self, file: str) -> pathlib.Path | None:
        """Path of a file in the hub's cache; None if it isn't there."""
        import huggingface_hub  # noqa: PLC0415 (0.5 s; not needed for a folder)

        found = huggingface_hub.try_to_load_from_cache(
            self.repository, file, repo_type="dataset", revision=self.revision
        )
        return pathlib.Path(found) if isinstance(found, str) else None

    def path(self, file: str) -> pathlib.Path:
        """Path of a file in the hub's cache, downloaded by one thread while the others wait."""
        import huggingface_hub  # noqa: PLC0415 (as above)

        with self._fetching:
            if found := self.cached(file):
                return found
            self.require(file)
            if not sys.stderr.isatty():
                huggingface_hub.utils.disable_progress_bars()
            _LOG.info("downloading %s of %s", file, self.repository)
            start = time.monotonic()
            try:
                path = pathlib.Path(
                    huggingface_hub.hf_hub_download(
                        self.repository, file, repo_type="dataset", revision=self.revision
                    )
                )
            except hub_faults.errors() as error:
                raise self._failure(file, error) from error
            megabytes, seconds = path.stat().st_size / 1e6, time.monotonic() - start
            _LOG.info("downloaded %s: %.0f MB in %.0f s", file, megabytes, seconds)
            return path

    def require(self, file: str) -> None:
        """Refuse a file that isn't cached while HF_HUB_OFFLINE forbids to ask the hub."""
        if offline() and not _is_cached(self, file):
            raise not_cached(f"{self.repository} at {self.revision[:10]}: {file}")

    def missing(self, files: Iterable[str]) -> dict[str, int]:
        """Sizes in bytes of the files that aren't cached; asks the hub."""
        import huggingface_hub  # noqa: PLC0415 (as above)

        wanted = [file for file in sorted(set(files)) if self.cached(file) is None]
        if not wanted:
            return {}
        try:
            infos = huggingface_hub.HfApi().get_paths_info(
                self.repository, wanted, repo_type="dataset", revision=self.revision
            )
        except hub_faults.errors() as error:
            raise self._failure(wanted[0], error) from error
        return {info.path: getattr(info, "size", 0) for info in infos}

    def _failure(self, file: str, error: Exception) -> Refusal | UnreachableError | WriteError:
        return hub_faults.failure(
            f"{self.repository}: {file}", error, f" can't be fetched ({hub_faults.reason(error)}). Run again"
        )


@functools.cache
def _is_cached(files: HubFiles, file: str) -> bool:
    return files.cached(file) is not None


def offline() -> bool:
    """True if HF_HUB_OFFLINE forbids requests to the hub."""
    import huggingface_hub  # noqa: PLC0415 (as above)

    return bool(huggingface_hub.constants.HF_HUB_OFFLINE)


def not_cached(what: str) -> Refusal:
    """Refusal of what isn't cached while HF_HUB_OFFLINE forbids to ask the hub."""
    import huggingface_hub  # noqa: PLC0415 (as above)

    return Refusal(
        f"{what}: not in the cache {huggingface_hub.constants.HF_HOME}, and HF_HUB_OFFLINE forbids to ask "
        "the hub. Where there is a network, run `python -m isogloss.jobs.fetch` with the same --corpus, "
        "--columns and --languages; set HF_HOME to the cache that it fills"
    )

"""FLEURS on the Hugging Face hub, at a pinned revision; audio is downloaded when it is decoded.

A listing reads all columns except the audio: about twenty range requests and 1 MB for a language, whose files
hold hundreds of MB. A file is downloaded into the hub's cache (HF_HOME) when one of its recordings is first
decoded, one file at a time; the cache's locks let the processes of a machine download each file once. The
length of a recording is in the column num_samples; if a file lacks it, the header must be read, which
downloads the file.
"""

import fcntl
import logging
import os
import pathlib
import re
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq

from isogloss.engine.corpora import fleurs_parquet, listing
from isogloss.engine.corpora.languages import LANGUAGES
from isogloss.engine.runtime.refusal import Refusal

REPOSITORY = "mteb/fleurs"
REVISION = "cadac46d4cd7d721f5cf8844a5b9f0f20e6fcde8"  # the one that MTEB's tasks pin
_READ_AHEAD = 1 << 16  # bytes
_LOG = logging.getLogger(__name__)


class Hub:
    """One split of FLEURS on the hub."""

    def __init__(self, split: str) -> None:
        """Nothing is read yet."""
        self.description = f"fleurs:{split}@{REVISION}"
        self._split = split
        self._groups = fleurs_parquet.RowGroups()
        self._fetching = threading.Lock()

    def languages(self) -> tuple[str, ...]:
        """Codes of the 102 languages."""
        return tuple(LANGUAGES)

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """Utterances of a language by id, then file name; downloads no audio."""
        listing.require(language, self.languages(), "FLEURS has no language")
        contents = _hub_contents(language, self._split)
        found = fleurs_parquet.describe(contents, language, self._split, self._fetch, self._groups)
        return listing.number(self.description, language, found, recordings)

    def _fetch(self, file: str) -> pathlib.Path:
        """Path of a file in the hub's cache, downloaded by one thread while the others wait."""
        import huggingface_hub  # noqa: PLC0415 (0.5 s; not needed for a folder of files)

        with self._fetching:
            cached = huggingface_hub.try_to_load_from_cache(
                REPOSITORY, file, repo_type="dataset", revision=REVISION
            )
            if isinstance(cached, str):
                return pathlib.Path(cached)
            _LOG.info("downloading %s of %s", file, REPOSITORY)
            start = time.monotonic()
            try:
                path = pathlib.Path(
                    huggingface_hub.hf_hub_download(REPOSITORY, file, repo_type="dataset", revision=REVISION)
                )
            except OSError as error:  # the hub's errors are OSErrors
                # Not an OSError again: that would count as one broken recording, and the run would continue.
                raise RuntimeError(
                    f"{REPOSITORY}: {file} can't be downloaded ({error}). Run again."
                ) from error
            megabytes, seconds = path.stat().st_size / 1e6, time.monotonic() - start
            _LOG.info("downloaded %s: %.0f MB in %.0f s", file, megabytes, seconds)
            return path


def _hub_contents(language: str, split: str) -> pa.Table:
    """Rows of a language's files on the hub, cached for later processes."""
    import huggingface_hub  # noqa: PLC0415 (as above)

    assets = huggingface_hub.cached_assets_path("isogloss", REPOSITORY, REVISION)
    kept = assets / f"{language}-{split}.parquet"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system frees the lock of a killed process
        if kept.is_file():
            with pq.ParquetFile(kept) as file:
                return file.read(use_threads=False)
        contents = _downloaded_contents(language, split)
        if contents is None:
            _LOG.info("reading the rows of %s in %s, without audio", language, REPOSITORY)
            contents = _remote_contents(language, split)
        partial = kept.with_suffix(".partial")
        pq.write_table(contents, partial)
        os.replace(partial, kept)
        return contents


def _downloaded_contents(language: str, split: str) -> pa.Table | None:
    """Rows of a language's files, None unless the hub's cache holds all of them; needs no network."""
    import huggingface_hub  # noqa: PLC0415

    try:
        folder = pathlib.Path(
            huggingface_hub.snapshot_download(
                REPOSITORY, repo_type="dataset", revision=REVISION, local_files_only=True
            )
        )
        files = fleurs_parquet.local_files(folder, language, split)
    except (huggingface_hub.errors.LocalEntryNotFoundError, fleurs_parquet.PartialSeriesError):
        return None
    if not files or not all(re.search(fleurs_parquet.SERIES, file) for file in files):
        return None  # only the names of a numbered series show that no file is missing
    return pa.concat_tables(
        [fleurs_parquet.read_contents(folder / file, str(folder / file), file) for file in files]
    )


def _remote_contents(language: str, split: str) -> pa.Table:
    """Rows of a language's files on the hub, read by range requests that leave out the audio."""
    import huggingface_hub  # noqa: PLC0415

    root = f"datasets/{REPOSITORY}@{REVISION}"
    try:
        hub = huggingface_hub.HfFileSystem()
        there = [path[len(root) + 1 :] for path in hub.find(f"{root}/{language}")]
        tables = [fleurs_parquet.CONTENTS.empty_table()]
        for file in fleurs_parquet.choose_files(there, language, split, REPOSITORY):
            # One request reads neighbouring columns of some KB; the default size would fetch 5 MB of audio.
            with hub.open(f"{root}/{file}", "rb", block_size=_READ_AHEAD, cache_type="readahead") as opened:
                tables.append(fleurs_parquet.read_contents(opened, f"{REPOSITORY}/{file}", file))
        return pa.concat_tables(tables)
    except (OSError, huggingface_hub.errors.HTTPError) as error:  # the second is the HTTP client's
        raise Refusal(
            f"{REPOSITORY} at {REVISION}: {language} can't be read ({error}). "
            "Set HF_HOME to a cache that has it, or give a folder: --corpus=fleurs-dir:PATH"
        ) from error

"""FLEURS as first published: {language}/test.tsv beside {language}/audio/test.tar.gz.

A line has seven tab-separated columns, no header, no quoting: id, file name, text as
written, normalised text, characters, samples, gender. The archive is unpacked once, beside
itself, to audio/test/, as by hand: to read a single recording out of a tar.gz, all before it
would have to be decompressed. This costs the disk space once more.
"""

import fcntl
import gzip
import pathlib
import shutil
import tarfile
import zlib

from isogloss.engine.corpora import audio, listing, tsv
from isogloss.engine.corpora.languages import SPLITS
from isogloss.engine.runtime.refusal import Refusal

_COLUMNS = 7


class Tree:
    """One split of FLEURS in a folder that holds a folder for each language."""

    def __init__(self, folder: pathlib.Path, split: str) -> None:
        """Nothing is read yet.

        Args:
          folder: holds the language folders.
          split: train, dev or test; its files may also be called validation.
        """
        self.description = f"fleurs-dir:{split}"
        self._folder = folder
        self._spellings = [name for name, meant in SPLITS.items() if meant == split]

    def languages(self) -> tuple[str, ...]:
        """Folders that hold the split's TSV, sorted."""
        found = {path.parent.name for name in self._spellings for path in self._folder.glob(f"*/{name}.tsv")}
        return tuple(sorted(found))

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """Utterances of a language by id, then file name; unpacks its archive the first time."""
        files = " or ".join(f"{name}.tsv" for name in self._spellings)
        listing.require(language, self.languages(), f"{self._folder} has no {files} of language")
        folder = self._folder / language
        name = next(name for name in self._spellings if (folder / f"{name}.tsv").is_file())
        found = _recordings(folder, name, _audio_folder(folder, self._spellings))
        return listing.number(self.description, language, found, recordings)


def _recordings(folder: pathlib.Path, name: str, recordings: pathlib.Path) -> list[listing.Recording]:
    """Recordings of a split's TSV, in the order of id and file name.

    A file in several lines of one id is one recording, as on the hub.
    """
    seen: dict[str, str] = {}
    found = []
    for line, fields in tsv.rows(folder / f"{name}.tsv"):
        where = f"{folder.name}/{name}.tsv line {line}"
        if len(fields) != _COLUMNS:
            raise Refusal(f"{where}: {len(fields)} columns, FLEURS has {_COLUMNS}. Download the file again.")
        number, file, _, transcription, _, _, gender = fields
        if not number.isdecimal() or not file or pathlib.PurePath(file).name != file:
            raise Refusal(
                f"{where}: no number and file name ({number!r}, {file!r}). Download the file again."
            )
        if file in seen:
            if seen[file] != number:
                raise Refusal(
                    f"{where}: {file} has id {number} and, further up, {seen[file]}. Keep one of the lines."
                )
            continue
        seen[file] = number
        found.append(
            listing.Recording(
                sentence=number,
                transcription=transcription,
                gender=gender.strip().lower(),
                source=audio.FileSource.at(recordings / file, f"{folder.name}/{recordings.name}/{file}"),
            )
        )
    return sorted(found, key=lambda recording: (int(recording.sentence), recording.source.name))


def _audio_folder(folder: pathlib.Path, spellings: list[str]) -> pathlib.Path:
    """The split's folder of recordings; its archive is unpacked if need be."""
    for name in spellings:
        unpacked, archive = folder / "audio" / name, folder / "audio" / f"{name}.tar.gz"
        if not unpacked.is_dir() and archive.is_file():
            try:
                _unpack(archive, unpacked)
            except (EOFError, zlib.error, tarfile.TarError, gzip.BadGzipFile) as error:
                raise Refusal(
                    f"{archive}: truncated, or not a tar.gz ({error}). Download it again."
                ) from error
            except OSError as error:
                raise Refusal(
                    f"{archive}: can't be unpacked beside itself ({error.strerror}). "
                    f"Make room and allow writing there, or unpack it to {unpacked} yourself."
                ) from error
        if unpacked.is_dir():
            return unpacked
    names = " or ".join(f"audio/{name}.tar.gz" for name in spellings)
    raise Refusal(f"{folder} has neither {names} nor it unpacked. Download the archive.")


def _unpack(archive: pathlib.Path, folder: pathlib.Path) -> None:
    """Files of `archive` in `folder`, which appears when it is complete.

    Several processes may ask at once: one unpacks under a lock, which the system lifts when
    a process is killed, and the others wait for it.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        with gzip.open(archive) as inflated, tarfile.open(fileobj=inflated, mode="r:") as members:
            for member in members:
                content = members.extractfile(member)
                if content is not None:  # a file; its own folders are left out
                    with (partial / pathlib.PurePosixPath(member.name).name).open("wb") as file:
                        shutil.copyfileobj(content, file)
            while inflated.read(1 << 20):  # to the checksum, which tar does not reach
                pass
        partial.rename(folder)

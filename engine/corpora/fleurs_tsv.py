"""FLEURS as first published: {language}/test.tsv beside {language}/audio/test.tar.gz.

A line has seven tab-separated columns, no header, no quoting: id, file name, raw text, normalised text,
characters, samples, gender. The archive is unpacked once, beside itself, to audio/test/, because reading one
recording of a tar.gz means decompressing everything before it. This doubles the disk space.
"""

import dataclasses
import fcntl
import gzip
import pathlib
import shutil
import tarfile
import zlib

from isogloss.engine.corpora import audio, listing, tsv
from isogloss.engine.corpora.languages import SPLITS
from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.refusal import Refusal

_COLUMNS = 7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """Line of a TSV.

    Attributes:
      number: of the line, from 1.
      sentence: FLEURS's id.
      file: name of the recording.
      raw, transcription: texts as written and normalised.
      gender: of the speaker.
    """

    number: int
    sentence: str
    file: str
    raw: str
    transcription: str
    gender: str


def lines(folder: pathlib.Path, split: str) -> list[Line]:
    """Lines of a split's TSV in a language's folder; several with the same id and file are one."""
    name = next(name for name in _spellings(split) if (folder / f"{name}.tsv").is_file())
    seen: dict[str, str] = {}
    found = []
    for line, fields in tsv.rows(folder / f"{name}.tsv"):
        where = f"{folder.name}/{name}.tsv line {line}"
        if len(fields) != _COLUMNS:
            raise Refusal(f"{where}: {len(fields)} columns, FLEURS has {_COLUMNS}. Download the file again.")
        number, file, raw, transcription, _, _, gender = fields
        if not number.isdecimal() or not file or pathlib.PurePath(file).name != file:
            raise Refusal(
                f"{where}: needs a number and a file name, got {number!r}, {file!r}. Download the file again."
            )
        if file in seen:
            if seen[file] != number:
                raise Refusal(
                    f"{where}: {file} has id {number}, but {seen[file]} in an earlier line. Keep one line."
                )
            continue
        seen[file] = number
        found.append(
            Line(
                number=line,
                sentence=number,
                file=file,
                raw=raw,
                transcription=transcription,
                gender=gender.strip().lower(),
            )
        )
    return found


def recordings(folder: pathlib.Path, split: str) -> list[listing.Recording]:
    """Recordings of a split of a language's folder, by id, then by file name; unpacks its archive once."""
    unpacked = _audio_folder(folder, _spellings(split))
    return listing.in_order(
        listing.Recording(
            sentence=line.sentence,
            transcription=line.transcription,
            raw_transcription=line.raw,
            gender=line.gender,
            source=audio.FileSource.at(unpacked / line.file, f"{folder.name}/{unpacked.name}/{line.file}"),
            line=line.number,
        )
        for line in lines(folder, split)
    )


def _spellings(split: str) -> list[str]:
    return [name for name, meant in SPLITS.items() if meant == split]


def _audio_folder(folder: pathlib.Path, spellings: list[str]) -> pathlib.Path:
    """Folder of the split's recordings; its archive is unpacked if necessary."""
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
                raise disk_faults.unread(
                    f"{archive}: can't be unpacked beside itself",
                    error,
                    f". Free space and allow writing there, or unpack it to {unpacked} yourself.",
                ) from error
        if unpacked.is_dir():
            return unpacked
    names = " or ".join(f"audio/{name}.tar.gz" for name in spellings)
    raise Refusal(f"{folder} has neither {names} nor an unpacked archive. Download the archive.")


def _unpack(archive: pathlib.Path, folder: pathlib.Path) -> None:
    """Unpack the files of `archive` into `folder`, which appears when it is complete.

    Of several processes, one unpacks under a lock, which the system frees if it is killed; the others wait.
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
                if content is not None:  # a file; folders in the archive are left out
                    with (partial / pathlib.PurePosixPath(member.name).name).open("wb") as file:
                        shutil.copyfileobj(content, file)
            while inflated.read(1 << 20):  # to the gzip checksum at the end, which tar doesn't read
                pass
        partial.rename(folder)

"""A user's own corpus: a TSV with a language, a sentence and an audio file in each line.

UTF-8, tab-separated, with a header and without quoting, so quotes are part of the text. The TSV and the
existence of all audio files are checked when it is opened (one `stat` per line); a broken audio file is found
when its header is read or when it is decoded.
"""

import pathlib
import re
from collections.abc import Iterator

from isogloss.engine.corpora import audio, listing, tsv
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.refusal import Refusal

_NEEDED = ("language", "sentence", "audio")
_OPTIONAL = ("id", "transcription", "gender")


class Manifest:
    """Corpus that a TSV lists; paths in it are relative to its folder."""

    def __init__(self, path: pathlib.Path) -> None:
        """Read and check the whole TSV; a Refusal gives file, line, rule and remedy."""
        self.description = f"manifest:{path.name}"
        self._found: dict[str, list[listing.Recording]] = {}
        names: dict[tuple[str, str], int] = {}
        missing = []
        for line, row in _rows(path):
            where = f"{path.name} line {line}"
            if not re.fullmatch(r"[A-Za-z0-9_]+", row["language"]):
                raise Refusal(
                    f"{where}: language {row['language']!r} becomes part of folder and pair names. "
                    "Use only letters, digits and _, as in en_us."
                )
            name = row.get("id", "")
            first = names.setdefault((row["language"], name), line) if name else line
            if first != line:
                raise Refusal(
                    f"{where}: id {name!r} of {row['language']} is also in line {first}. "
                    "Give each recording of a language its own id."
                )
            source = audio.FileSource.at(path.parent / row["audio"], _relative(path.parent, row["audio"]))
            if source.size is None:
                missing.append(f"line {line}: {row['audio']}")
            self._found.setdefault(row["language"], []).append(
                listing.Recording(
                    sentence=row["sentence"],
                    transcription=row.get("transcription", ""),
                    gender=row.get("gender", ""),
                    source=source,
                    name=name,
                )
            )
        if missing:
            raise Refusal(
                f"{path.name}: {len(missing)} audio files are missing: "
                f"{first_names(missing, separator='; ')}. "
                f"Paths are relative to {path.parent}: put the files there or remove the lines."
            )

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages, in the order of their first line."""
        return tuple(self._found)

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """Utterances of `language`; ranks follow the order of lines."""
        listing.require(language, self.languages(), f"{self.description} has no language")
        return listing.number(self.description, language, self._found[language], recordings)


def _rows(path: pathlib.Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and fields by column of each line under the header."""
    if not path.is_file():
        raise Refusal(f"manifest {path} is not a file. Give the path of a TSV.")
    lines = list(tsv.rows(path))
    first, header = lines[0] if lines else (1, [])
    for column in _NEEDED:
        listing.require(column, header, f"{path.name} line {first}: the header lacks the column")
    if twice := [column for column in _NEEDED + _OPTIONAL if header.count(column) > 1]:
        raise Refusal(f"{path.name} line {first}: column {twice[0]} appears twice. Keep one.")
    if not lines[1:]:
        raise Refusal(f"{path.name}: has only a header. Add a line for each recording.")
    for number, fields in lines[1:]:
        where = f"{path.name} line {number}"
        if len(fields) != len(header):
            raise Refusal(
                f"{where}: {len(fields)} fields, but the header has {len(header)}. "
                "Separate fields by one tab each."
            )
        row = dict(zip(header, fields, strict=True))
        for column in (*_NEEDED, "id"):
            if not row.get(column, column).strip():
                raise Refusal(f"{where}: {column} is empty. Fill it or remove the line.")
        yield number, row


def _relative(folder: pathlib.Path, field: str) -> str:
    """Path in a TSV without the folders of this machine: an absolute path is shortened."""
    path = pathlib.Path(field)
    if not path.is_absolute():
        return field
    return str(path.relative_to(folder.absolute())) if path.is_relative_to(folder.absolute()) else path.name

"""A user's own corpus: a TSV with a language, a sentence and an audio file in each line.

UTF-8, tab-separated, with a header and without quoting, so quotes are part of the text. The TSV is checked
when it is opened, the existence of a language's audio files when it is listed (one `stat` per recording); a
broken audio file is found when its header is read or when it is decoded.
"""

import dataclasses
import pathlib
import re
import typing
from collections.abc import Iterable, Iterator, Mapping

from isogloss.engine.corpora import audio, listing, tsv
from isogloss.engine.corpora.listing import Recording
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.refusal import Refusal

_NEEDED = ("language", "sentence", "audio")
_OPTIONAL = ("id", "transcription", "raw_transcription", "gender")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """Broken rule of a manifest.

    Attributes:
      line: number of the line, from 1.
      text: rule, value and remedy.
    """

    line: int
    text: str


class Manifest:
    """Corpus that a TSV lists; paths in it are relative to its folder.

    Attributes:
      problems: broken rules, none if the manifest was opened strictly.
    """

    def __init__(self, path: pathlib.Path, *, strict: bool = True) -> None:
        """Read and check the whole TSV, and no audio file.

        Args:
          path: of the TSV.
          strict: refuse the first broken rule, with file, line and remedy, and missing audio files of what is
            listed; otherwise leave lines out, and list what is missing.
        """
        self.description = f"manifest:{path.name}"
        self._path, self._strict = path, strict
        self._rows: dict[str, list[_Row]] = {}
        names: dict[tuple[str, str], int] = {}
        problems = []
        for line, row in _rows(path):
            problem = row if isinstance(row, Problem) else _problem(line, row, names)
            if problem is None:
                row = typing.cast(dict[str, str], row)
                self._rows.setdefault(row["language"], []).append((line, row))
            elif strict:
                raise Refusal(f"{path.name} line {problem.line}: {problem.text}")
            else:
                problems.append(problem)
        self.problems = tuple(problems)

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages, in the order of their first line."""
        return tuple(self._rows)

    def sentences(self, language: str) -> list[str]:
        """Sentence of each line of a language."""
        return [row["sentence"] for _, row in self._of(language)]

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """Utterances of `language`; ranks follow the order of lines."""
        found = self._recordings(language)
        if self._strict and _missing(found):
            # Whoever has to look for files wants to know of all of them, whatever the language.
            self._refuse([one for code in self.languages() for one in self._recordings(code)])
        return listing.number(self.description, language, found, recordings)

    def _of(self, language: str) -> "list[_Row]":
        listing.require(language, self.languages(), f"{self.description} has no language")
        return self._rows[language]

    def _recordings(self, language: str) -> list[Recording]:
        return [_recording(self._path.parent, line, row) for line, row in self._of(language)]

    def _refuse(self, found: Iterable[Recording]) -> typing.NoReturn:
        missing = sorted(_missing(found), key=lambda one: one.line or 0)
        names = [f"line {one.line}: {one.source.name}" for one in missing]
        raise Refusal(
            f"{self._path.name}: {len(names)} audio files are missing: "
            f"{first_names(names, separator='; ')}. "
            f"Paths are relative to {self._path.parent}: put the files there or remove the lines."
        )


_Row = tuple[int, dict[str, str]]  # number of the line, fields by column


def _missing(found: Iterable[Recording]) -> list[Recording]:
    return [recording for recording in found if recording.source.size is None]


def _problem(line: int, row: Mapping[str, str], names: dict[tuple[str, str], int]) -> Problem | None:
    """Broken rule of a line; `names` has the lines of earlier ids by language and id, and gets this one."""
    if not re.fullmatch(r"[A-Za-z0-9_]+", row["language"]):
        text = (
            f"language {row['language']!r} becomes part of folder and pair names. "
            "Use only letters, digits and _, as in en_us."
        )
        return Problem(line=line, text=text)
    name = row.get("id", "")
    first = names.setdefault((row["language"], name), line) if name else line
    if first != line:
        text = (
            f"id {name!r} of {row['language']} is also in line {first}. "
            "Give each recording of a language its own id."
        )
        return Problem(line=line, text=text)
    return None


def _recording(folder: pathlib.Path, line: int, row: Mapping[str, str]) -> Recording:
    return Recording(
        sentence=row["sentence"],
        transcription=row.get("transcription", ""),
        raw_transcription=row.get("raw_transcription", ""),
        gender=row.get("gender", ""),
        source=audio.FileSource.at(folder / row["audio"], _relative(folder, row["audio"])),
        name=row.get("id", ""),
        line=line,
    )


def _rows(path: pathlib.Path) -> Iterator[tuple[int, dict[str, str] | Problem]]:
    """Number of each line under the header, with its fields by column or its broken rule; or the header's."""
    if not path.is_file():
        raise Refusal(f"manifest {path} is not a file. Give the path of a TSV.")
    broken: list[int] = []
    lines = list(tsv.rows(path, broken))
    yield from ((number, Problem(line=number, text=tsv.NOT_UTF8)) for number in broken)
    first, header = lines[0] if lines else (1, [])
    if broken and (not lines or broken[0] < first):
        return  # the header is broken
    fault = _header_fault(header)
    if fault is None and not lines[1:] and not broken:
        fault = "has only a header. Add a line for each recording."
    if fault is not None:  # no line below it can be read
        yield first, Problem(line=first, text=fault)
        return
    for number, fields in lines[1:]:
        if len(fields) != len(header):
            text = f"{len(fields)} fields, but the header has {len(header)}. Separate fields by one tab each."
            yield number, Problem(line=number, text=text)
            continue
        row = dict(zip(header, fields, strict=True))
        empty = [column for column in (*_NEEDED, "id") if not row.get(column, column).strip()]
        if empty:
            text = f"{empty[0]} is empty. Fill it or remove the line."
            yield number, Problem(line=number, text=text)
        else:
            yield number, row


def _header_fault(header: list[str]) -> str | None:
    """Broken rule of a header, with its remedy."""
    for separator, name in ((",", "commas"), (";", "semicolons")):
        if len(header) == 1 and separator in header[0]:
            return (
                f"fields are separated by {name}, a manifest needs tabs. "
                "Save it as tab-separated text, without quotes."
            )
    for column in _NEEDED:
        try:
            listing.require(column, header, "the header lacks the column")
        except Refusal as refused:
            return str(refused)
    if twice := [column for column in _NEEDED + _OPTIONAL if header.count(column) > 1]:
        return f"column {twice[0]} appears twice. Keep one."
    return None


def _relative(folder: pathlib.Path, field: str) -> str:
    """Path in a TSV without the folders of this machine: an absolute path is shortened."""
    path = pathlib.Path(field)
    if not path.is_absolute():
        return field
    return str(path.relative_to(folder.absolute())) if path.is_relative_to(folder.absolute()) else path.name

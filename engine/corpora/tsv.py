"""Lines of a tab-separated file in UTF-8 without quoting: a quote in a text is a quote.

The csv module would join lines at quotes, and `splitlines` would cut texts at U+2028.
"""

import codecs
import pathlib
from collections.abc import Iterator, Sequence

from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.refusal import Refusal

NOT_UTF8 = "not UTF-8. Save the file as UTF-8 text."


def rows(path: pathlib.Path, broken: list[int] | None = None) -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and fields of each line that isn't empty.

    Args:
      path: the file.
      broken: takes the numbers of lines that aren't UTF-8, which are left out; None: they are refused.

    Raises:
      Refusal: the file can't be read, or isn't UTF-8.
      UnreachableError: the disk fails, perhaps for a moment.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise disk_faults.unread(f"{path}: can't be read", error, ". Check its permissions.") from error
    content = content.removeprefix(codecs.BOM_UTF8)  # some spreadsheets write a byte order mark
    for number, line in enumerate(content.split(b"\n"), 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            if broken is None:
                raise Refusal(f"{path.name} line {number}: {NOT_UTF8}") from error
            broken.append(number)
            continue
        if stripped := text.removesuffix("\r"):
            yield number, stripped.split("\t")


def table(path: pathlib.Path, columns: Sequence[str], option: str) -> Iterator[tuple[str, ...]]:
    """Fields of some columns, of each line below a header.

    Args:
      path: the file.
      columns: that the header must have; it may have more, in any order.
      option: in messages, the option that names the file.

    Raises:
      Refusal: it isn't a file, a column is missing, or a line has another number of fields.
    """
    if not path.is_file():
        raise Refusal(f"{option}{path}: not a file. Give a TSV with columns {', '.join(columns)}")
    (line, header), *held = [*rows(path)] or [(1, [])]
    if missing := [column for column in columns if column not in header]:
        raise Refusal(
            f"{path.name} line {line}: the header lacks {', '.join(missing)}. Columns are tabs apart"
        )
    for number, fields in held:
        if len(fields) != len(header):
            raise Refusal(f"{path.name} line {number}: {len(fields)} fields, the header has {len(header)}")
        yield tuple(fields[header.index(column)] for column in columns)

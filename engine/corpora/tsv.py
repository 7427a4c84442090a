"""Lines of a tab-separated file in UTF-8 without quoting: a quote in a text is a quote.

The csv module would join lines at quotes, and `splitlines` would cut texts at U+2028.
"""

import pathlib
from collections.abc import Iterator, Sequence

from isogloss.engine.runtime.refusal import Refusal


def rows(path: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and fields of each line that isn't empty; Refusal if it can't be read as UTF-8."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Refusal(f"{path}: can't be read ({error.strerror}). Check its permissions.") from error
    try:
        text = content.decode("utf-8-sig")  # some spreadsheets write a byte order mark
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Refusal(f"{path.name} line {line}: not UTF-8. Save the file as UTF-8 text.") from error
    for number, line in enumerate(text.split("\n"), 1):
        if stripped := line.removesuffix("\r"):
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

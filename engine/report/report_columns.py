"""Data dictionary of a report: `runtime.data_dictionary` with the columns whose names depend on the run.

Meanings are those of docs/report.md, which a test holds against the same file.
"""

import pathlib
import re
from collections.abc import Mapping

from isogloss.engine.runtime import data_dictionary

_SOURCE = pathlib.Path(__file__).with_suffix(".tsv")
_GRID = "Name of the grid without its suffix."
_OF = re.compile(r"recall_at_1_of_(\d+)")  # its number is that of --candidates


def meanings() -> Mapping[tuple[str, str], str]:
    """Meaning by table and column, in the order of the tables."""
    return {key: column.meaning for key, column in data_dictionary.columns(_SOURCE).items()}


def write(out: pathlib.Path) -> None:
    """Write the dictionary of the tables that lie in a folder.

    Raises:
      OSError: it can't be written.
    """
    data_dictionary.write(out, _SOURCE, _other)


def _other(table: str, column: str) -> str | None:
    if column == "grid":
        return _GRID
    found = _OF.fullmatch(column)
    known = meanings().get((table, "recall_at_1_of_100"))
    return known.replace("99 others", f"{int(found[1]) - 1} others") if found and known else None

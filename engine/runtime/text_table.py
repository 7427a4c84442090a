"""Tables for a terminal: columns of equal width, separated by two spaces."""

from collections.abc import Sequence


def text_table(head: Sequence[str], rows: Sequence[Sequence[object]], most: int | None = None) -> str:
    """Lines of a table; columns of numbers are aligned to the right.

    Args:
      head: names of the columns.
      rows: cells; None is blank.
      most: largest number of rows shown; a line below says how many are left out.
    """
    shown = rows[:most]
    numeric = [all(isinstance(cell, int | float | None) for cell in column) for column in zip(*shown)]  # noqa: B905
    texts = [list(head), *([_text(cell) for cell in row] for row in shown)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric or [False] * len(head), strict=True)
        ).rstrip()
        for line in texts
    ]
    if len(shown) < len(rows):
        lines.append(f"... and {len(rows) - len(shown):,} more")
    return "\n".join(lines)


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int | float) else str(cell)

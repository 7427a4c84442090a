"""The table of a benchmark, as text.

"of yardstick" is a row's speed as a share of the yardstick's; "ours is" is the speed of ours divided by that
of the row. Both are medians of ratios within a round, not ratios of the medians in the table.
"""

from collections.abc import Sequence

from isogloss.engine.bench.timing import Row

_HEAD = ("", "median", "spread", "rate", "of yardstick", "ours is", "compiled", "error")


def table(rows: Sequence[Row]) -> str:
    """Rows under a line for each suite and case."""
    cells = [_cells(row) for row in rows]
    widths = [max(len(line[k]) for line in [_HEAD, *cells]) for k in range(len(_HEAD))]
    lines = [_line(_HEAD, widths)]
    case = ("", "")
    for row, line in zip(rows, cells, strict=True):
        if (row.suite, row.work) != case:
            case = (row.suite, row.work)
            lines.append(f"{row.suite}: {row.work}")
        lines.append(_line(line, widths))
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    if row.error is None:
        error = "not checked" if row.role == "ours" else ""
    else:
        error = f"{row.error:.1e} {'<=' if row.error <= (row.bound or 0.0) else 'EXCEEDS'} {row.bound:.1e}"
    return (
        f"  {row.name}",
        _seconds(row.seconds),
        f"{row.spread:.0%}",
        f"{row.rate:.4g} {row.unit}",
        "" if row.of_yardstick is None or row.role == "yardstick" else f"{row.of_yardstick:.1%}",
        "" if row.ours_over is None else f"{row.ours_over:.2f} x",
        f"{row.compiled}, then {row.compiled_timed}",
        error,
    )


def _seconds(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.1e} s"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = [
        c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()

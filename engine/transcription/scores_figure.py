"""Figure of the scores job: each model's gain on the new task against its loss on other ones, in chrF.

A cross has the 95% intervals of both changes, over utterances. Models named MODEL/average-SHARE, as tune
names their folders, lie on a line from the first model, the start, to MODEL.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isogloss.engine.drawing import panels
from isogloss.engine.drawing.style import INK, LINES, MUTED, RULE

Row = Mapping[str, object]
_AVERAGE = "/average-"
_LINE = 0.04  # height of a line of text, as a share of the range of heights
_LABELS = {"old": "old task", "zero-shot": "zero-shot"}


def draw(rows: Sequence[Row], new: str) -> Figure:
    """Figure with a point for each model and task: its change against the change of the task `new`."""
    figure = panels.blank(7.2, 4.6)
    axes = figure.subplots()
    gain = {row["model"]: _change(row) for row in rows if row["pair"] == new}
    across = {row["model"]: _interval(row) for row in rows if row["pair"] == new}
    others = [row for row in rows if row["pair"] != new and np.isfinite(gain.get(row["model"], np.nan))]
    for color, pair in zip(LINES * len(others), dict.fromkeys(row["pair"] for row in others), strict=False):
        mine = [row for row in others if row["pair"] == pair]
        x, y = [gain[row["model"]] for row in mine], [_change(row) for row in mine]
        axes.plot(x, y, "o", color=color, ms=6, label=f"{pair}, {_LABELS[str(mine[0]['kind'])]}")
        for row, gained, height in zip(mine, x, y, strict=True):
            # Ends and not lengths: an interval of resamples need not hold the value.
            for ends in ((across[row["model"]], [height] * 2), ([gained] * 2, _interval(row))):
                axes.plot(*ends, color=color, lw=0.8, alpha=0.45, zorder=1.5)
        for curve in _curves({str(row["model"]): at for row, *at in zip(mine, x, y, strict=True)}):
            axes.plot(*zip(*curve, strict=True), color=color, lw=0.9, alpha=0.6, zorder=1)
    _name(axes, others, gain)
    axes.axhline(0, color=MUTED, lw=0.9, ls=(0, (1, 2)))
    axes.set(xlabel=f"change of {new}, chrF", ylabel="change of the other task, chrF")
    axes.set_title("Gained and forgotten", loc="left", size=11, weight="bold", color=INK)
    axes.grid(color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    if others:
        axes.legend(frameon=False, fontsize=8.5)
    figure.subplots_adjust(left=0.1, right=0.97, top=0.92, bottom=0.12)
    return figure


def _name(axes: Axes, others: Sequence[Row], gain: Mapping[object, float]) -> None:
    """Names of the models at their points; points of one that lie close have one name."""
    line = _LINE * float(np.ptp([0.0, *filter(np.isfinite, map(_change, others))]))
    for model, gained in gain.items():
        for height in _apart([_change(row) for row in others if row["model"] == model], line):
            axes.annotate(
                str(model).rpartition("/")[2],
                (gained, height),
                xytext=(5, 4),
                textcoords="offset points",
                size=7,
                color=MUTED,
            )


def _curves(places: Mapping[str, Sequence[float]]) -> list[list[Sequence[float]]]:
    """Points of a task from the start by way of the averages to the end, of each model that has averages."""
    found = []
    for end, place in places.items():
        shares = {
            share: at
            for name, at in places.items()
            if name.startswith(end + _AVERAGE) and (share := _share(name.removeprefix(end + _AVERAGE)))
        }
        if shares:
            found.append([(0.0, 0.0), *(shares[share] for share in sorted(shares, reverse=True)), place])
    return found


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """Heights from above, without those that are less than `least` below the one before that stays."""
    kept: list[float] = []
    for height in sorted(filter(np.isfinite, heights), reverse=True):
        if not kept or kept[-1] - height >= least:
            kept.append(height)
    return kept


def _share(text: str) -> float | None:
    """Share of the start that a name ends with; None if it isn't a number."""
    try:
        return float(text)
    except ValueError:
        return None


def _change(row: Row) -> float:
    return float(str(row["chrf_difference"]))


def _interval(row: Row) -> tuple[float, float]:
    return float(str(row["chrf_difference_low"])), float(str(row["chrf_difference_high"]))

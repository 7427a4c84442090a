"""Figure of the mean R@1 of several grids along their states."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from matplotlib import ticker
from matplotlib.figure import Figure

from isogloss.engine.drawing.panels import plain, several
from isogloss.engine.drawing.style import INK, LINES
from isogloss.engine.retrieval import metrics
from isogloss.engine.retrieval.derived import BASELINE, record


def across(states: Sequence[str]) -> list[float]:
    """Place of each state by its depth, from the first state at 0 to the last at 1."""
    depths = metrics.depths(states)
    length = depths[-1] - depths[0]
    return [(depth - depths[0]) / length if length else 0.5 for depth in depths]


def drawn(means: pa.Table, states: Mapping[str, Sequence[str]]) -> Figure:
    """Curves of the mean over pairs and directions, a panel per measure, with the interval over sentences.

    The states of a grid are spread from the first, at 0, to the last, at 1, so that models of other depth
    stand beside each other.

    Args:
      means: table of that name, with a column `grid`.
      states: of each grid.
    """
    rows = [row for row in means.to_pylist() if row["correction"] == "none" and row["measure"] != BASELINE]
    measures, grids = (list(dict.fromkeys(row[name] for row in rows)) for name in ("measure", "grid"))
    figure, panels = several(len(measures), row=2.8, rest=0.9, shared=True)
    for panel, measure in zip(panels, measures, strict=False):
        for g, grid in enumerate(grids):
            of = [row for row in rows if (row["measure"], row["grid"]) == (measure, grid)]
            if of:
                x, color = across(states[grid]), LINES[g % len(LINES)]
                low, high = ([row[end] for row in of] for end in ("sentences_low", "sentences_high"))
                panel.fill_between(x, low, high, color=color, alpha=0.18, lw=0)
                panel.plot(x, [row["recall_at_1"] for row in of], color=color, lw=1.8, label=grid)
        panel.set_title(record(measure).label, loc="left", size=10.5, weight="bold", color=INK)
        panel.set(xlim=(0, 1), ylim=(0, None), xlabel="depth: first state 0, last 1")
        panel.yaxis.set_major_formatter(ticker.PercentFormatter(1, 0))
        plain(panel)
    panels[0].set_ylabel("mean R@1", color=INK)
    handles, names = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, names, loc="lower center", ncols=min(4, len(names)), frameon=False, fontsize=8.5
        )
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.65 / figure.get_figwidth(), right=0.985, top=1 - 0.35 / height, bottom=0.95 / height,
        hspace=0.5, wspace=0.1,
    )  # fmt: skip
    return figure

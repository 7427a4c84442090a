"""Figure of the linear_maps job: R@1 of held-out sentences along the states, without a map and with one."""

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isogloss.engine.drawing.panels import labelled, plain
from isogloss.engine.drawing.style import INK, LINES, MUTED
from isogloss.engine.grid.measures import MEASURES
from isogloss.engine.linear_maps.held_out import METHODS
from isogloss.engine.retrieval.derived import BASELINE
from isogloss.engine.retrieval.metrics import depths

_LABELS = dict(
    zip(
        METHODS,
        (
            "centred: already aligned",
            "Procrustes: linearly recoverable",
            "ridge: linearly recoverable",
            "by length alone",
        ),
        strict=True,
    )
)
_COLOURS = dict(zip(METHODS, (MUTED, LINES[0], LINES[1], MUTED), strict=True))
_MOST_TICKS = 12


def curves(table: pd.DataFrame) -> Figure:
    """Curves of mean R@1 over pairs and directions, a panel per measure on one scale.

    Beside them are chance and what length alone finds. A band holds the middle 80% of pairs and directions.
    Maps over a pivot are dashed where both languages are mapped, and not drawn otherwise.
    """
    measures = list(dict.fromkeys(table["measure"]))
    states = list(dict.fromkeys(table["state"]))
    figure = Figure(
        figsize=(1.2 + 4.4 * len(measures), 4.0), layout="constrained", dpi=150, facecolor="white"
    )
    panels = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    for panel, measure in zip(panels, measures, strict=True):
        mine = table.loc[table["measure"] == measure]
        for kind in METHODS:
            of_kind = mine.loc[mine["method"] == kind]
            direct = of_kind.loc[of_kind["pivot_language"] == ""]
            _line(panel, direct, states, _COLOURS[kind], _LABELS[kind], dashed=kind == BASELINE)
            over = of_kind.loc[of_kind["mapped"] == "both"]
            if len(over):
                pivot = over["pivot_language"].iloc[0]
                label = f"{kind}, both to {pivot} (pairs without {pivot})"
                _line(panel, over, states, _COLOURS[kind], label, dashed=True)
        panel.axhline(float(mine["chance"].mean()), color=MUTED, lw=0.9, ls=(0, (1, 2)), label="chance")
        panel.set_title(MEASURES[measure].label, loc="left", size=10.5, weight="bold", color=INK)
        _axis(panel, states)
    panels[0].set_ylabel("R@1 of held-out sentences", color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def _line(
    axes: Axes, rows: pd.DataFrame, states: list[str], colour: str, label: str, *, dashed: bool = False
) -> None:
    values = rows["recall_at_1"].to_numpy(np.float64)
    by_state = [values[(rows["state"] == state).to_numpy() & ~np.isnan(values)] for state in states]
    x = depths(states)
    mean = [held.mean() if len(held) else np.nan for held in by_state]
    width, style = (1.2, "--") if dashed else (1.8, "-")
    axes.plot(x, mean, color=colour, lw=width, ls=style, label=label)
    if not dashed:
        low, high = ([np.quantile(held, q) if len(held) else np.nan for held in by_state] for q in (0.1, 0.9))
        axes.fill_between(x, low, high, color=colour, alpha=0.09, lw=0)


def _axis(axes: Axes, states: list[str]) -> None:
    shown = labelled(len(states), _MOST_TICKS)
    axes.set_xticks([depths(states)[i] for i in shown], [states[i] for i in shown])
    axes.set(ylim=(0, None), xlabel="state")
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, 0))
    plain(axes)

"""Figures of the control job: weights of the factors along the states, and R@1 against `--alike`.

Up to `MOST_PAIRS` language pairs, a panel each; the tables have all.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isogloss.engine.control.challenge import FORMS
from isogloss.engine.control.pair_data import FACTORS
from isogloss.engine.control.pair_tables import AS_IS, NOTHING
from isogloss.engine.drawing.panels import labelled
from isogloss.engine.drawing.style import INK, LIGHT, LINES, MUTED, RULE
from isogloss.engine.retrieval.metrics import depths

NAMES = ("factors", "curve")
MOST_PAIRS = 12
_COLUMNS = 4  # panels in a row
_COLOURS = dict(zip(FACTORS, (LIGHT["sound"], LIGHT["meaning"], LIGHT["both"]), strict=True))


def drawn(factors: pd.DataFrame, control: pd.DataFrame) -> dict[str, Figure]:
    """Figures by name, those for which there is something to draw."""
    found = {}
    if bool(factors["weight"].notna().any()):
        found["factors"] = _weights(factors)
    if "alike" in control and bool((control["removed"] == "alike").any()):
        found["curve"] = _curves(control)
    return found


def _panels(table: pd.DataFrame, label: str) -> tuple[Figure, Iterator[tuple[Axes, pd.DataFrame]]]:
    """Figure, and a panel with the rows of each of the first pairs."""
    groups = list(table.groupby(["language_a", "language_b"], sort=False))[:MOST_PAIRS]
    columns = min(_COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(1 + 3.2 * columns, 0.6 + 2.6 * rows), layout="constrained", dpi=150)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for empty in axes.ravel()[len(groups) :]:
        empty.set_axis_off()
    for each in axes[:, 0]:
        each.set_ylabel(label, color=INK)

    def panels() -> Iterator[tuple[Axes, pd.DataFrame]]:
        for panel, (pair, mine) in zip(axes.ravel(), groups, strict=False):
            panel.set_title("-".join(map(str, pair)), color=INK, fontsize=10)  # pyright: ignore[reportArgumentType]
            panel.grid(axis="y", color=RULE, linewidth=0.6)
            panel.tick_params(colors=MUTED, labelsize=8)
            panel.spines[["top", "right"]].set_visible(False)
            yield panel, mine

    return figure, panels()


def _weights(factors: pd.DataFrame) -> Figure:
    figure, panels = _panels(factors, "standardised weight")
    for axes, mine in panels:
        states = list(dict.fromkeys(mine["state"]))
        place = dict(zip(states, depths(states), strict=True))
        for name in FACTORS:
            held = mine.loc[mine["factor"] == name]
            if not len(held):
                continue
            x = np.asarray([place[state] for state in held["state"]])
            axes.plot(x, held["weight"], color=_COLOURS[name], linewidth=1.8, label=name)
            axes.fill_between(
                x, held["ci_low"], held["ci_high"], color=_COLOURS[name], alpha=0.15, linewidth=0
            )
            if "other_weight" in held:
                axes.plot(x, held["other_weight"], color=_COLOURS[name], linewidth=1, linestyle="--")
        axes.axhline(0, color=MUTED, linewidth=0.6)
        shown = [states[i] for i in labelled(len(states), 10)]
        axes.set_xticks([place[state] for state in shown], shown)
        axes.set_xlabel("state", color=MUTED, fontsize=8)
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def _curves(control: pd.DataFrame) -> Figure:
    whole = control.loc[control["scores"] == AS_IS]
    figure, panels = _panels(whole, "R@1")
    for axes, mine in panels:
        first = mine.loc[mine["direction"] == mine["direction"].iloc[0]]
        all_of_it = first.loc[first["removed"] == NOTHING].set_index("state")["recall_at_1"]
        state = all_of_it.idxmax()
        at = first.loc[(first["state"] == state) & (first["removed"] == "alike")].sort_values("alike")
        for form, colour in zip(FORMS, (LINES[0], LINES[3]), strict=True):
            held = at.loc[at["form"] == form]
            axes.plot(held["alike"], held["recall_at_1"], color=colour, linewidth=1.8, label=form)
            axes.plot(held["alike"], held["expected"], color=colour, linewidth=0.8, linestyle=":")
            low, high = held["random_low"], held["random_high"]
            axes.fill_between(held["alike"], low, high, color=colour, alpha=0.15, linewidth=0)
        axes.axhline(float(all_of_it.max()), color=MUTED, linewidth=0.8, linestyle="--")
        axes.set_xlabel(
            f"words alike from; state {state}, {first['direction'].iloc[0]}", color=MUTED, fontsize=8
        )
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure

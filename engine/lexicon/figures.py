"""Figure of the lexicon job: the AUC of each class along the states, a panel for each pooling.

Near-homophones are the line of sound, synonyms the line of meaning, cognates that of both. Thick lines are
means over the language pairs, each weighted by its pairs of words, thin ones the language pairs that have
enough of them; of a single language pair the band is its interval.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isogloss.engine.drawing.panels import labelled
from isogloss.engine.drawing.style import INK, LIGHT, MUTED, RULE
from isogloss.engine.lexicon.word_classes import CLASSES
from isogloss.engine.retrieval.metrics import depths

NAME = "classes"
_LINES = dict(
    zip(CLASSES, (("both", "sound and meaning"), ("meaning", "meaning"), ("sound", "sound")), strict=True)
)
"""Colour of a class and what its words share."""
FEWEST = 5
"""Pairs of words of a class, below which a language pair has no line of its own."""


def drawn(classes: pd.DataFrame) -> Figure:
    """The figure of a table `classes`."""
    poolings, states = ([*dict.fromkeys(classes[name])] for name in ("pooling", "state"))
    figure = Figure(figsize=(1 + 3.4 * len(poolings), 3.4), layout="constrained", dpi=150)
    axes = figure.subplots(1, len(poolings), squeeze=False, sharey=True)[0]
    for panel, pooling in zip(axes, poolings, strict=True):
        _panel(panel, classes.loc[classes["pooling"] == pooling], states)
        panel.set_title(pooling, color=INK, fontsize=10)
    axes[0].set_ylabel("AUC against unrelated pairs of like length ratio", color=INK, fontsize=8)
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def _panel(axes: Axes, table: pd.DataFrame, states: list[str]) -> None:
    for name, (colour, shared) in _LINES.items():
        of_class = table.loc[table["class"] == name]
        auc, n = (_by_pair(of_class, column).loc[states] for column in ("auc", "n"))
        if auc.isna().to_numpy().all():
            continue
        x = depths(states)
        if auc.shape[1] > 1:
            axes.plot(x, auc.where(n >= FEWEST).to_numpy(), color=LIGHT[colour], linewidth=0.5, alpha=0.4)
        else:
            low, high = (
                of_class.set_index("state").loc[states, end].to_numpy() for end in ("ci_low", "ci_high")
            )
            axes.fill_between(x, low, high, color=LIGHT[colour], alpha=0.15, linewidth=0)
        label = f"{name} ({shared})"
        mean = (auc * n).sum(axis=1) / n.where(auc.notna()).sum(axis=1)
        axes.plot(x, mean.to_numpy(), color=LIGHT[colour], linewidth=1.8, label=label)
    axes.axhline(0.5, color=MUTED, linewidth=0.6)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.tick_params(colors=MUTED, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    shown = labelled(len(states), 10)
    axes.set_xticks([depths(states)[i] for i in shown], [states[i] for i in shown])
    axes.set_xlabel("state", color=MUTED, fontsize=8)


def _by_pair(of_class: pd.DataFrame, column: str) -> pd.DataFrame:
    """A column with a row for each state and a column for each language pair."""
    return of_class.pivot(index="state", columns=["language_a", "language_b"], values=column)

"""Table, ranks and figure of the self pairs of a grid: the ceiling and the anisotropy of every language.

Ceiling: mean score of the same sentence, with itself or in its second recording, mostly of another speaker.
Anisotropy: mean score of different sentences of one language, after the mean cosine of unrelated words of
Ethayarajh (2019, arXiv 1909.00512). Scores of two languages lie between them as far as the languages meet.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from isogloss.engine.drawing import picture_files
from isogloss.engine.drawing.panels import labelled, plain, several
from isogloss.engine.drawing.style import INK, LINES
from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Grid
from isogloss.engine.retrieval import metrics, ranks_store, table
from isogloss.engine.retrieval.derived import BASELINE
from isogloss.engine.retrieval.pair_metrics import Scored, Statistics
from isogloss.engine.retrieval.scorings import scoring

NAME = "self_pairs"
LEVELS = {"matched": "ceiling", "mismatched": "anisotropy"}
"""Figures of a pair, and what they are called in a self pair."""
_KEPT = ("recall_at_1", "ci_low", "ci_high")
_LINES = {
    "same recording": (LINES[0], (0, (1, 1.5))),
    "same sentence, second recording": (LINES[0], "-"),
    "same sentence, two languages": (LINES[1], "-"),
    "other sentence, two languages": (LINES[1], (0, (4, 1.5))),
    "other sentence, one language": (LINES[0], (0, (4, 1.5))),
}


def write(
    out: pathlib.Path,
    grid: Grid,
    statistics: Statistics,
    scored: Callable[[str], Scored],
    results: metrics.Results,
) -> None:
    """Write self_pairs.parquet, .csv, its figure and self_ranks.zarr; remove them if there are no self pairs.

    Args:
      out: folder of the report.
      grid: its grid, self pairs included.
      statistics: what is computed of each pair.
      scored: figures of a pair by its name.
      results: figures of the pairs of two languages.
    """
    own = grid.only(self_pairs=True)
    if not own.pairs:
        # Files of an earlier report of this folder, whose grid had self pairs.
        for kind in ("parquet", "csv"):
            (out / f"{NAME}.{kind}").unlink(missing_ok=True)
        picture_files.remove(picture_files.files(out / NAME))
        ranks_store.remove(out / "self_ranks.zarr")
        return

    def of_pair(pair: int) -> Scored:
        return scored(grid_store.pair_name(own.pairs[pair]))

    scorings = statistics.scorings(own)
    found = [of_pair(pair) for pair in range(len(own.pairs))]
    ours = metrics.Results(
        pairs=own.pairs,
        states=own.states,
        measures=tuple(each.name for each in scorings),
        n=own.common,
        computed=np.stack([pair.computed for pair in found]),
        values=np.stack([pair.values for pair in found]),
    ).uncorrected
    table.write_table(tabulate(ours), out, NAME)
    ranks_store.write(out / "self_ranks.zarr", own, scorings, of_pair)
    picture_files.save(drawn(levels(ours, results.uncorrected), ours.states), out / NAME)


def figures(grid: Grid) -> tuple[str, ...]:
    """Names of the figures that `write` draws of a grid."""
    return (NAME,) if grid.only(self_pairs=True).pairs else ()


def tabulate(results: metrics.Results) -> pa.Table:
    """Table of one row per self pair, state, measure and direction.

    A language with itself has one direction, because the other is the same.
    """
    again = np.array([a != b for a, b in results.pairs])
    rows = np.stack([results.computed, results.computed & again[:, None, None]], axis=-1)
    pair, state, measure, direction = np.nonzero(rows)
    values = results.values[pair, state, measure, direction]
    figures = {**{name: name for name in _KEPT}, **LEVELS}
    return pa.table(
        {
            **{
                name: table.labels([named[side] for named in results.pairs], pair)
                for side, name in enumerate(("language_a", "language_b"))
            },
            "state": table.labels(results.states, state),
            "measure": table.labels(results.measures, measure),
            "direction": table.labels(table.arrows(results.pairs), 2 * pair + direction),
            "n": pa.array(results.n[pair], pa.int32()),
            "chance": pa.array(metrics.chance(results.n[pair]), pa.float64()),
            **{
                column: pa.array(values[:, metrics.ALL_FIGURES.index(name)], pa.float64())
                for name, column in figures.items()
            },
        }
    )


def levels(own: metrics.Results, between: metrics.Results) -> dict[str, dict[str, Float[np.ndarray, " S"]]]:
    """Mean scores over languages or pairs, by measure and by line of the figure; NaN where unknown."""
    again = np.array([a != b for a, b in own.pairs])

    def mean(
        results: metrics.Results, figure: str, name: str, kept: Bool[np.ndarray, " P"]
    ) -> Float[np.ndarray, " S"]:
        values = results.figure(figure)[kept][:, :, results.measures.index(name)]
        return metrics.known_mean(np.moveaxis(values, 1, 0).reshape(len(results.states), -1))

    both = np.ones(len(between.pairs), bool)
    return {
        name: dict(
            zip(
                _LINES,
                (
                    mean(own, "matched", name, ~again),
                    mean(own, "matched", name, again),
                    mean(between, "matched", name, both),
                    mean(between, "mismatched", name, both),
                    mean(own, "mismatched", name, ~again),
                ),
                strict=True,
            )
        )
        for name in own.measures
        if name != BASELINE and name in between.measures
    }


def drawn(lines: Mapping[str, Mapping[str, Float[np.ndarray, " S"]]], states: Sequence[str]) -> Figure:
    """Figure of mean scores along the states, a panel per measure, each on its own scale."""
    figure, panels = several(len(lines), row=2.8, rest=0.9, shared=False)
    depths = metrics.depths(states)
    for panel, (name, values) in zip(panels, lines.items(), strict=False):
        for label, line in values.items():
            color, dash = _LINES[label]
            # A line without a value would still stand in the legend.
            if not np.isnan(line).all():
                panel.plot(depths, line, color=color, ls=dash, lw=1.6, label=label)
        panel.set_title(scoring(name).label, loc="left", size=10.5, weight="bold", color=INK)
        shown = labelled(len(states), 9)
        panel.set_xticks([depths[i] for i in shown], [states[i] for i in shown])
        panel.set_xlabel("state", color=INK)
        plain(panel)
    panels[0].set_ylabel("mean score", color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=min(3, len(labels)), frameon=False, fontsize=8)
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.7 / figure.get_figwidth(), right=0.985, top=1 - 0.35 / height, bottom=1.0 / height,
        hspace=0.5, wspace=0.22,
    )  # fmt: skip
    return figure

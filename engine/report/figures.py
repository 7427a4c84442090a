"""PNG figures of a report: language x language heatmaps, and R@1 along the states.

Each function returns a matplotlib figure whose size fits its content, in at most a second for 102 languages.
Unknown values are hatched, never drawn as zero.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib import colors, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from scipy.cluster import hierarchy

from isogloss.engine.corpora.languages import OTHER_GROUP, language_group
from isogloss.engine.drawing.panels import blank, labelled, plain, several
from isogloss.engine.drawing.style import CHANCE, HATCH, INK, LINES, MUTED, PLAIN, SEQUENTIAL
from isogloss.engine.report import language_order
from isogloss.engine.retrieval import metrics
from isogloss.engine.retrieval.derived import BASELINE
from isogloss.engine.retrieval.scorings import scoring

_WIDE = 0.8  # inches; wider cells have horizontal names
DOTTED = "; dot: q of 0.05 or more"
_FEW = 6  # pairs; up to this many have lines of their own


def top(results: metrics.Results) -> float:
    """Upper end of the colour scale of R@1, one for all measures and states: the next tenth."""
    recall = results.figure("recall_at_1")
    highest = float(np.max(recall, initial=0.0, where=~np.isnan(recall)))
    return max(0.1, float(np.ceil(round(highest * 10, 6)) / 10))


def heatmap(
    results: metrics.Results, measure: str, state: int, *, clustered: bool, certain: float = np.inf
) -> Figure:
    """Heatmap of R@1 of every pair at one state, row = query language, column = candidate language.

    Args:
      results: figures of the grid.
      measure: one of `results.measures`.
      state: index of the state.
      clustered: order languages by similarity, under their tree; otherwise by FLEURS group.
      certain: largest p whose q is below 0.05; cells of a larger p have a dot.
    """
    recall = results.matrix("recall_at_1", measure, state)
    tree = language_order.tree(recall) if clustered else None
    if clustered:
        order = language_order.by_cluster(recall)
    else:
        order = language_order.by_group(results.languages)
    codes = [results.languages[i] for i in order]
    cell = float(np.interp(len(order), [3, 12, 40, 102], [0.95, 0.5, 0.24, 0.115]))  # inches
    side, crown = cell * len(order), 0.0 if tree is None else min(0.9, 0.2 * cell * len(order))
    groups = [OTHER_GROUP if clustered else language_group(code) for code in codes]
    longest = max(len(name) for name in _names(codes)) * _text_size(cell) * 0.65 / 72  # inches
    left, low, high = max(0.7, longest + 0.25), 0.3, 0.7 + (0.25 if cell > _WIDE else longest)
    right = 2.6 if len(set(groups)) > 1 else 1.4  # for the names of groups and the scale
    width, height = max(4.5, left + side + right), low + side + crown + high
    figure = blank(width, height)
    title = f"{scoring(measure).label}, state {results.states[state]}"
    _title(figure, title, clustered=clustered, dotted=bool(np.isfinite(certain)))
    axes = figure.add_axes((left / width, low / height, side / width, side / height))
    chosen = np.ix_(order, order)
    ends = [results.matrix(end, measure, state)[chosen] for end in ("ci_low", "ci_high")]
    image = _cells(axes, recall[chosen], top(results), ends)
    _dot(axes, results.matrix("p", measure, state)[chosen] > certain, cell)
    _name(axes, codes, cell, crown * 72)
    if tree is not None:
        above = (left / width, (low + side) / height, side / width, crown / height)
        _crown(figure.add_axes(above), tree)
    _separate(axes, groups)
    scale = figure.add_axes(((width - 0.75) / width, low / height, 0.15 / width, min(side, 3) / height))
    _scale(scale, image, results)
    return figure


def curves(results: metrics.Results, ends: Float[np.ndarray, "4 S M"]) -> Figure:
    """Curves of R@1 along the states, a panel per measure on one scale, with chance and duration alone.

    Up to six pairs have a line per direction (a->b solid, b->a dashed). The mean over pairs and directions is
    drawn with its 95% intervals: a band over sentences, and bars over languages, for either may be the wider.

    Args:
      results: figures of the grid.
      ends: of the intervals of the means, as of `report_tables.mean_ends`; NaN where unknown.
    """
    measures = [name for name in results.measures if name != BASELINE]
    figure, panels = several(len(measures), row=3.0, rest=0.8, shared=True)
    recall = results.figure("recall_at_1")
    for panel, measure in zip(panels, measures, strict=False):
        at = results.measures.index(measure)
        if len(results.pairs) <= _FEW:
            _each_pair(panel, recall[:, :, at], results)
        _mean(panel, recall[:, :, at], ends[:, :, at], results)
        _state_axis(panel, results)
        panel.set_title(scoring(measure).label, loc="left", size=10.5, weight="bold", color=INK)
        if BASELINE in results.measures:
            alone = recall[:, :, results.measures.index(BASELINE)].reshape(1, -1)
            look = {"color": INK, "lw": 0.9, "ls": (0, (5, 3))}
            panel.axhline(metrics.known_mean(alone)[0], label="duration alone", **look)
        panel.axhline(results.chance, color=MUTED, lw=0.9, ls=(0, (1, 2)), label="chance")
    for panel in panels[:: min(3, len(panels))]:  # the first of each row
        panel.set_ylabel("R@1", color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=min(6, len(labels)), frameon=False, fontsize=8.5)
    figure.subplots_adjust(
        left=0.62 / figure.get_figwidth(),
        right=0.985,
        top=1 - 0.35 / figure.get_figheight(),
        bottom=0.95 / figure.get_figheight(),
        hspace=0.45,
        wspace=0.08,
    )
    return figure


def _title(figure: Figure, title: str, *, clustered: bool, dotted: bool) -> None:
    width, height = figure.get_size_inches()
    order = "clustered by R@1" if clustered else "by FLEURS group"
    note = f"R@1 with the row as query, {order}" + (DOTTED if dotted else "")
    place = {"x": 0.15 / width, "va": "top"}
    figure.text(y=1 - 0.12 / height, s=title, size=12, weight="bold", color=INK, **place)
    figure.text(y=1 - 0.36 / height, s=note, size=8, color=MUTED, **place)


def _cells(
    axes: Axes,
    values: Float[np.ndarray, "L L"],
    highest: float,
    ends: Sequence[Float[np.ndarray, "L L"]],
) -> AxesImage:
    """Image of the known cells; unknown cells are hatched, the diagonal is plain.

    Cells of few languages have the ends of their intervals, too.
    """
    axes.patch.set(hatch="//////", facecolor="white", edgecolor=HATCH, linewidth=0)
    ramp = colors.LinearSegmentedColormap.from_list("isogloss", SEQUENTIAL)
    plain = np.where(np.eye(len(values), dtype=bool), 0.0, np.nan)
    axes.imshow(plain, cmap=colors.ListedColormap([PLAIN]), interpolation="none")
    image = axes.imshow(values, cmap=ramp, vmin=0, vmax=highest, interpolation="none")
    if len(values) <= 20:
        for (row, column), value in np.ndenumerate(values):
            if not np.isnan(value):
                ink = "white" if value > 0.5 * highest else INK
                size = 10 if len(values) <= 8 else 7
                text = f"{100 * value:.0f}"
                few = len(values) <= 8
                rise = "bottom" if few else "center"
                axes.text(column, row, text, ha="center", va=rise, size=size, color=ink)
                if few:
                    low, high = (100 * end[row, column] for end in ends)
                    axes.text(
                        column,
                        row + 0.08,
                        f"[{low:.0f}, {high:.0f}]",
                        ha="center",
                        va="top",
                        size=6.5,
                        color=ink,
                    )
    axes.spines[:].set_visible(False)
    return image


def _dot(axes: Axes, uncertain: Bool[np.ndarray, "L L"], cell: float) -> None:
    """Draw a dot in a corner of each cell that guessing might give."""
    rows, columns = np.nonzero(uncertain)
    size = min(9.0, (cell * 72 / 7) ** 2)  # square points
    look = {"facecolors": CHANCE, "edgecolors": "white", "linewidths": 0.3}
    axes.scatter(columns + 0.36, rows - 0.36, s=size, **look)


def _name(axes: Axes, codes: Sequence[str], cell: float, pad: float) -> None:
    """Write the names of languages on the left and above."""
    names, size = _names(codes), _text_size(cell)
    axes.set_yticks(range(len(codes)), names, size=size, color=INK)
    turn = 0 if cell > _WIDE else 90
    axes.set_xticks(range(len(codes)), names, size=size, color=INK, rotation=turn)
    axes.tick_params(length=0, pad=3, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.tick_params(axis="x", pad=3 + pad)
    axes.set_ylabel("asks", size=8, color=MUTED)
    axes.set_xlabel("answers", size=8, color=MUTED)


def _names(codes: Sequence[str]) -> list[str]:
    return language_order.names(codes) if len(codes) <= 40 else list(codes)


def _text_size(cell: float) -> float:
    """Font size in points that fits a cell."""
    return min(9.5, cell * 72 * 0.72)


def _separate(axes: Axes, groups: Sequence[str]) -> None:
    """Draw lines between groups, and write their names on the right."""
    starts = [i for i, group in enumerate(groups) if i == 0 or group != groups[i - 1]]
    for start, stop in zip(starts, [*starts[1:], len(groups)], strict=True):
        if start:
            axes.axhline(start - 0.5, color="white", lw=1.6)
            axes.axvline(start - 0.5, color="white", lw=1.6)
        if len(starts) > 1:
            words = groups[start].replace("/", "/\n")
            place = (len(groups) - 0.2, (start + stop - 1) / 2)
            axes.annotate(words, place, va="center", size=6.5, color=MUTED, annotation_clip=False)


def _crown(axes: Axes, tree: Float[np.ndarray, "K 4"]) -> None:
    """Draw the tree above the columns; its leaves are 10 apart, the first at 5."""
    drawn = hierarchy.dendrogram(tree, no_plot=True)
    for x, y in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        axes.plot(x, y, color=MUTED, lw=0.7, solid_joinstyle="miter")
    axes.set(xlim=(0, 10 * (len(tree) + 1)), ylim=(0, 1.04 * max(tree[-1, 2], 1e-6)))
    axes.set_axis_off()


def _scale(axes: Axes, image: AxesImage, results: metrics.Results) -> None:
    bar = axes.figure.colorbar(image, cax=axes, format=ticker.PercentFormatter(1, 0))
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    if results.n.any():
        axes.axhline(results.chance, color=CHANCE, lw=1.4)
        axes.annotate(
            "chance", (0, results.chance), xytext=(-3, 0), textcoords="offset points", size=7,
            ha="right", va="center", color=CHANCE,
        )  # fmt: skip


def _each_pair(axes: Axes, lines: Float[np.ndarray, "P S 2"], results: metrics.Results) -> None:
    names = dict(zip(results.languages, language_order.names(results.languages), strict=True))
    for (a, b), values, color in zip(results.pairs, lines, LINES, strict=False):
        for direction, style in enumerate(("-", (0, (4, 1.5)))):
            label = f"{names[a]} → {names[b]}" if direction == 0 else f"{names[b]} → {names[a]}"
            axes.plot(results.depths, values[:, direction], color=color, lw=1.6, ls=style, label=label)


def _mean(
    axes: Axes, lines: Float[np.ndarray, "P S 2"], ends: Float[np.ndarray, "4 S"], results: metrics.Results
) -> None:
    """Draw the mean with its intervals; that of one pair has only the interval over sentences."""
    few, count = len(results.pairs) <= _FEW, len(results.pairs)
    color = MUTED if few else LINES[0]
    low, high, languages_low, languages_high = ends
    if not np.isnan(low).all():
        axes.fill_between(
            results.depths, low, high, color=color, alpha=0.25, lw=0, label="95% over sentences"
        )
    if not np.isnan(languages_low).all():
        middle, half = (languages_low + languages_high) / 2, (languages_high - languages_low) / 2
        look = {"fmt": "none", "ecolor": color, "elinewidth": 1.0, "capsize": 2.5}
        axes.errorbar(results.depths, middle, half, label="95% over languages", **look)
    mean = metrics.known_mean(np.moveaxis(lines, 1, 0).reshape(len(results.states), -1))
    label = f"mean of {count:,} pairs" if count > 1 else "mean of both"
    axes.plot(results.depths, mean, color=color, lw=1.2 if few else 1.8, label=label)


def _state_axis(axes: Axes, results: metrics.Results) -> None:
    states, depths = results.states, results.depths
    shown = labelled(len(states), 12)
    axes.set_xticks([depths[i] for i in shown], [states[i] for i in shown])
    axes.set(xlim=(depths[0] - 0.2, depths[-1] + 0.2), ylim=(0, None), xlabel="state, by depth in blocks")
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, 0))
    plain(axes)

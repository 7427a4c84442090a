"""Figures of where languages lie, for print: isoglosses, beams, scaling, tree and onsets.

They show what the page of maps shows at first: the leading scoring at its best state, and its onsets. Names
that would cover others are left out, as on the page. Saving all of them takes about five seconds for 102
languages.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.cluster import hierarchy

from isogloss.engine.corpora import languages
from isogloss.engine.drawing.panels import blank
from isogloss.engine.drawing.style import HATCH, INK, MUTED, PLAIN, RULE, SEQUENTIAL
from isogloss.engine.report import language_distances, language_order, map_plane
from isogloss.engine.report.language_distances import Distances
from isogloss.engine.report.map_plane import Plane
from isogloss.engine.retrieval.scorings import scoring

NAMES = ("isoglosses", "beams", "scaling", "tree", "onsets")
"""Figures by the name of their files."""
_RAMP = colors.LinearSegmentedColormap.from_list("isogloss", SEQUENTIAL)
_SIDE = 7.5  # inches
_HEAD = 0.7  # inches above a figure for its title, and its legend
_SIZE = 8.0  # points of names
_PAPER = {
    "facecolor": "white",
    "alpha": 0.7,
    "linewidth": 0,
    "pad": 0.4,
}  # behind names; a halo makes text paths


def figures(
    distances: Distances, support: Float[np.ndarray, "V S K"] | None, onsets: Int[np.ndarray, "V L L"]
) -> dict[str, Figure]:
    """Figures by name, those of `NAMES` that the distances allow.

    Args:
      distances: between languages; scaling and tree need all of them.
      support: of the clades of the trees, None if some distance is unknown.
      onsets: states by scoring, asking and answering language; -1 where unknown.
    """
    v, state = distances.leading, distances.best_state(distances.leading)
    what = f"{scoring(distances.scorings[v]).label}, state {distances.states[state]}"
    far = distances.values[v, state]
    made = {}
    found = [languages.find(code) for code in distances.languages]
    placed = [i for i, language in enumerate(found) if language]
    if len(placed) >= map_plane.FEWEST:
        plane = map_plane.plane([language for language in found if language])
        here = far[np.ix_(placed, placed)]
        least = _least(distances.values[v])
        names = [language_order.names(distances.languages)[i] for i in placed]
        made["isoglosses"] = _map(plane, here, least, names, f"Isoglosses of {what}", beams=False)
        made["beams"] = _map(plane, here, least, names, f"Beams of {what}", beams=True)
    if support is not None:
        made["scaling"] = _scaling(distances.languages, far, f"Scaling of all distances: {what}")
        made["tree"] = _tree(distances.languages, far, support[v, state], f"Tree: {what}")
    if (onsets[v] >= 0).any():
        whole = support is not None
        order = hierarchy.leaves_list(language_distances.linkage(far)).tolist() if whole else range(len(far))
        made["onsets"] = _onsets(distances, onsets[v], order)
    return made


def _least(far: Float[np.ndarray, "S L L"]) -> float:
    """Smallest distance of two languages at any state, down to a tenth: the light end of the scale.

    At most 0.9, so that the scale has a length where nothing is retrieved, or nothing is known.
    """
    two = far[:, ~np.eye(far.shape[1], dtype=bool)]
    low = float(np.min(two, initial=0.9, where=~np.isnan(two)))
    return max(0.0, np.floor(low * 10) / 10)


def _titled(width: float, height: float, title: str, note: str) -> tuple[Figure, Axes]:
    """Figure with room for its content below a title and a note, and the axes of that room, in inches."""
    figure = blank(width, height + _HEAD)
    whole = height + _HEAD
    figure.text(0.12 / width, 1 - 0.1 / whole, title, va="top", size=12, weight="bold", color=INK)
    figure.text(0.12 / width, 1 - 0.36 / whole, note, va="top", size=8, color=MUTED)
    return figure, figure.add_axes((0, 0, 1, height / whole))


def _map(
    plane: Plane,
    far: Float[np.ndarray, "L L"],
    least: float,
    names: Sequence[str],
    title: str,
    *,
    beams: bool,
) -> Figure:
    """Map of the languages' cells, with their borders or with lines between neighbours."""
    left, top, right, bottom = plane.frame
    note = (
        "Neighbours are joined the thicker, the nearer they are."
        if beams
        else "A border is as thick as the languages on its sides are far apart."
    )
    inch = _SIDE / (right - left)
    figure, axes = _titled(_SIDE, inch * (bottom - top), title, f"{note} Dotted: unknown.")
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    axes.add_collection(PolyCollection(map_plane.coastline(), facecolors=PLAIN, edgecolors=HATCH, lw=0.4))
    axes.add_collection(PolyCollection(plane.cells, facecolors="none", edgecolors=RULE, lw=0.4))
    axes.add_collection(_lines(plane, far, least, beams=beams))
    axes.plot(*plane.places.T, "o", color=INK, ms=2.5)
    room = np.array([np.prod(np.ptp(cell, axis=0)) for cell in plane.cells])
    _name(axes, (plane.places - (left, top)) * inch, plane.places, names, np.argsort(-room, kind="stable"))
    steps = np.linspace(least, 1, 5)
    shares = _share(steps, least, beams=beams)
    keys = [Line2D([], [], color=_RAMP(share), lw=_width(share)) for share in shares]
    texts = [f"{1 - d:.0%}" for d in steps]
    axes.legend(keys, texts, title="R@1", loc="lower left", fontsize=7, title_fontsize=7, framealpha=0.85)
    return figure


def _lines(plane: Plane, far: Float[np.ndarray, "L L"], least: float, *, beams: bool) -> LineCollection:
    """Borders, or lines between neighbours, the thickest on top; unknown ones are thin and dotted."""
    share = _share(np.array([far[i, j] for i, j, _ in plane.borders]), least, beams=beams)
    order = np.argsort(np.nan_to_num(share, nan=-1.0), kind="stable").tolist()
    ends = [plane.places[[i, j]] if beams else border for i, j, border in plane.borders]
    unknown = np.isnan(share)
    return LineCollection(
        [ends[k] for k in order],
        colors=[HATCH if unknown[k] else _RAMP(share[k]) for k in order],
        linewidths=[0.8 if unknown[k] else _width(float(share[k])) for k in order],
        linestyles=[":" if unknown[k] else "-" for k in order],
        capstyle="round",
    )


def _share(far: Float[np.ndarray, " K"], least: float, *, beams: bool) -> Float[np.ndarray, " K"]:
    """Distances, or nearness for beams, from 0 to 1."""
    return (1 - far if beams else far - least) / (1 - least)


def _width(share: float) -> float:
    """Width of a line in points."""
    return 0.6 + 4.4 * float(np.clip(share, 0, 1))


def _name(
    axes: Axes,
    inches: Float[np.ndarray, "L 2"],
    places: Float[np.ndarray, "L 2"],
    names: Sequence[str],
    order: Sequence[int] | Int[np.ndarray, " L"],
) -> None:
    """Write names beside their places where there is room, in an order.

    Args:
      axes: to write on.
      inches: places as inches right and down, in which room is counted.
      places: in the units of the axes.
      names: of the places.
      order: of the places, those that matter most first.
    """
    high, dot = _SIZE / 72, 0.03
    taken = [(x - dot, y - dot, x + dot, y + dot) for x, y in inches.tolist()]
    sides = {(1, 0): ("left", "center"), (-1, 0): ("right", "center")}
    sides |= {(0, 1): ("center", "bottom"), (0, -1): ("center", "top")}
    for i in order:
        wide = 0.58 * high * len(names[i])
        for (right, up), (ha, va) in sides.items():
            x, y = inches[i] + (right * (wide / 2 + 0.06), -up * (high / 2 + 0.05))
            mine = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
            if any(mine[0] < t[2] and t[0] < mine[2] and mine[1] < t[3] and t[1] < mine[3] for t in taken):
                continue
            taken.append(mine)
            shift = (72 * 0.06 * right, 72 * 0.05 * up)
            look = {"textcoords": "offset points", "size": _SIZE, "color": INK, "bbox": _PAPER}
            axes.annotate(names[i], places[i], xytext=shift, ha=ha, va=va, annotation_clip=True, **look)
            break


def _scaling(codes: Sequence[str], far: Float[np.ndarray, "L L"], title: str) -> Figure:
    """Languages on a plane that keeps their distances as well as a plane can."""
    places, variance = language_distances.scaled(far)
    note = f"Classical scaling; right: {variance[0]:.1%} of the variance, up: {variance[1]:.1%}."
    figure, axes = _titled(_SIDE, _SIDE, title, note)
    most = 1.25 * max(float(np.abs(places).max()), 1e-6)
    axes.set(xlim=(-most, most), ylim=(-most, most))
    axes.set_axis_off()
    axes.axhline(0, color=RULE, lw=0.6)
    axes.axvline(0, color=RULE, lw=0.6)
    axes.plot(*places.T, "o", color=SEQUENTIAL[5], ms=4)
    inches = (places * (1, -1) + most) * _SIDE / (2 * most)
    _name(axes, inches, places, language_order.names(codes), range(len(codes)))
    return figure


def _tree(
    codes: Sequence[str], far: Float[np.ndarray, "L L"], support: Float[np.ndarray, " K"], title: str
) -> Figure:
    """Tree of the languages with the support of its clades."""
    note = "Average linkage; the axis is 1 - R@1. Numbers: support in percent, from 50 on."
    height = 0.5 + 0.19 * len(codes)
    figure, axes = _titled(_SIDE, height, title, note)
    axes.set_position((0.24, 0.4 / (height + _HEAD), 0.7, (height - 0.45) / (height + _HEAD)))
    tree = language_distances.linkage(far)
    order = hierarchy.leaves_list(tree).tolist()
    middle = {leaf: float(row) for row, leaf in enumerate(order)}
    start = dict.fromkeys(middle, 0.0)
    for k, (a, b, at, _) in enumerate(tree.tolist()):
        one, other, top = int(a), int(b), len(codes) + k
        corners = [start[one], at, at, start[other]], [middle[one]] * 2 + [middle[other]] * 2
        axes.plot(*corners, color=INK, lw=1.6 if support[k] >= 0.95 else 0.9, solid_joinstyle="miter")
        middle[top], start[top] = (middle[one] + middle[other]) / 2, at
        if support[k] >= 0.5 and top < 2 * len(codes) - 2:
            axes.annotate(
                f"{100 * support[k]:.0f}", (at, middle[top]), xytext=(2, 0), textcoords="offset points",
                va="center", size=6.5, color=MUTED, bbox=_PAPER,
            )  # fmt: skip
    names = language_order.names(codes)
    axes.set_yticks(range(len(order)), [names[i] for i in order], size=_SIZE, color=INK)
    axes.set(xlim=(0, 1.02), ylim=(len(order) - 0.5, -0.5), xlabel="1 - R@1")
    axes.tick_params(length=0, labelsize=_SIZE, labelcolor=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    return figure


def _onsets(distances: Distances, onsets: Int[np.ndarray, "L L"], order: Sequence[int]) -> Figure:
    """First state above duration alone of every two languages, row = query, column = candidate."""
    label = scoring(distances.scorings[distances.leading]).label
    cell = float(np.interp(len(order), [4, 12, 40, 102], [0.6, 0.42, 0.24, 0.115]))
    names, size = language_order.names(distances.languages), min(_SIZE, 0.75 * cell * 72)
    side, edge = cell * len(order), 0.4 + 0.6 * size / 72 * max(map(len, names))
    note = "First state whose R@1 exceeds that of duration alone, q < 0.05."
    width, height = max(5.5, edge + side + 1.2), edge + side + 0.15
    figure, axes = _titled(width, height, f"Onset of {label}", note)
    whole = height + _HEAD
    axes.set_position((edge / width, 0.15 / whole, side / width, side / whole))
    last = len(distances.states)
    shades = [*(_RAMP(1 - s / max(1, last - 1)) for s in range(last)), colors.to_rgba(HATCH)]
    image = np.ones((len(order), len(order), 4))
    chosen = onsets[np.ix_(order, order)]
    for s in np.unique(chosen[chosen >= 0]).tolist():
        image[chosen == s] = shades[s]
    axes.imshow(image, interpolation="none")
    axes.spines[:].set_visible(False)
    shown = [names[i] for i in order]
    axes.set_yticks(range(len(order)), shown, size=size, color=INK)
    axes.set_xticks(range(len(order)), shown, size=size, color=INK, rotation=90)
    axes.tick_params(length=0, pad=3, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_ylabel("asks", size=_SIZE, color=MUTED)
    axes.set_xlabel("answers", size=_SIZE, color=MUTED)
    seen = np.unique(chosen[chosen >= 0]).tolist()
    keys: Mapping[str, Patch] = {
        (*distances.states, "none")[s]: Patch(facecolor=shades[s], edgecolor=RULE) for s in seen
    }
    axes.legend(
        list(keys.values()), list(keys), title="state", loc="upper left", bbox_to_anchor=(1.01, 1),
        fontsize=7, title_fontsize=7, frameon=False,
    )  # fmt: skip
    return figure

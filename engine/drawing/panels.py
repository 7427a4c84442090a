"""Panels of figures: white ground, plain axes, and the states of an encoder that have a label."""

from matplotlib.axes import Axes
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure

from isogloss.engine.drawing.style import INK, MUTED, RULE


def blank(width: float, height: float) -> Figure:
    """Empty figure of so many inches."""
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white")
    backend_agg.FigureCanvasAgg(figure)
    return figure


def several(count: int, *, row: float, rest: float, shared: bool) -> tuple[Figure, list[Axes]]:
    """Figure with `count` panels, at least one, up to three beside each other.

    Args:
      count: number of panels.
      row: height of a row of panels, in inches.
      rest: height of what lies above and below them.
      shared: whether all have the same scales.
    """
    columns = min(3, max(1, count))
    rows = -(-count // columns) or 1
    figure = blank(max(5.5, 3.6 * columns), row * rows + rest)
    panels = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False).ravel().tolist()
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure, panels


def plain(axes: Axes) -> None:
    """Rules across behind the lines, no frame but the line below, small labels without ticks."""
    axes.grid(axis="y", color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK, labelbottom=True)


def labelled(states: int, most: int) -> list[int]:
    """Indexes of the states that get a label on an axis with room for some `most` of them.

    The last one, which is `final` as a rule, always has one, so its neighbours give way.
    """
    step = -(-states // most)
    shown = [i for i in range(states - 1) if i % step == 0 and i + 1.4 * step < states]
    return [*shown, states - 1]

"""Figures made larger or smaller as a whole.

Matplotlib keeps the size of a figure apart from lengths in points: those of text, lines, marks and the gaps
between them. Here all are multiplied, but for the lines of a hatch.
"""

from collections.abc import Iterator

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import Collection, PathCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.offsetbox import DrawingArea, PackerBase
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Affine2D, ScaledTranslation


def scale(figure: Figure, factor: float) -> None:
    """Multiply all lengths of a figure."""
    both = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    ticks = {artist for axis in both for artist in _scale_ticks(axis, factor)}
    for axes in figure.axes:
        _scale_title_gap(axes, factor)
    for artist in set(figure.findobj()) - ticks:
        _scale_artist(artist, factor)
    figure.set_size_inches(*(factor * figure.get_size_inches()))


def _scale_ticks(axis: Axis, factor: float) -> Iterator[Artist]:
    """Artists of an axis's ticks, which are scaled by the axis, so that those that drawing adds are alike."""
    # All ticks of an axis are alike here, so the first one stands for them.
    first, *_ = ticks = axis.get_major_ticks(max(1, len(axis.get_majorticklocs())))
    axis.labelpad *= factor
    axis.set_tick_params(
        labelsize=factor * float(first.label1.get_fontsize()),
        pad=factor * (first.get_pad() or 0.0),
        length=factor * first.tick1line.get_markersize(),
        width=factor * first.tick1line.get_markeredgewidth(),
        grid_linewidth=factor * first.gridline.get_linewidth(),
    )
    for tick in ticks:
        yield from (tick.label1, tick.label2, tick.tick1line, tick.tick2line, tick.gridline)


def _scale_title_gap(axes: Axes, factor: float) -> None:
    """Scale the gap between an axes and its title, if it has one."""
    offset: ScaledTranslation = axes.titleOffsetTrans  # pyright: ignore[reportAttributeAccessIssue]
    usual, gap = axes.transAxes + offset, offset.get_matrix()[1, 2] / axes.figure.dpi  # inches
    for text in axes.get_children():
        if isinstance(text, Text) and text.get_transform() == usual:
            shift = ScaledTranslation(0, factor * gap, axes.figure.dpi_scale_trans)
            text.set_transform(axes.transAxes + shift)


def _scale_artist(artist: Artist, factor: float) -> None:
    if isinstance(artist, Text):
        artist.set_fontsize(factor * float(artist.get_fontsize()))
        if isinstance(artist, Annotation):
            _scale_annotation(artist, factor)
    elif isinstance(artist, Line2D):
        artist.set_linewidth(factor * artist.get_linewidth())
        artist.set_markersize(factor * artist.get_markersize())
        artist.set_markeredgewidth(factor * artist.get_markeredgewidth())
    elif isinstance(artist, Patch):
        artist.set_linewidth(factor * artist.get_linewidth())
    elif isinstance(artist, Collection):
        artist.set_linewidth((factor * np.atleast_1d(artist.get_linewidth())).tolist())
        if isinstance(artist, PathCollection):
            artist.set_sizes(factor**2 * artist.get_sizes())
    elif isinstance(artist, Legend):
        artist.borderaxespad *= factor
    elif isinstance(artist, PackerBase):
        artist.sep, artist.pad = (factor * (gap or 0.0) for gap in (artist.sep, artist.pad))
    elif isinstance(artist, DrawingArea):
        _scale_area(artist, factor)


def _scale_annotation(artist: Annotation, factor: float) -> None:
    """Scale a distance in points between the text and what it is about, and the line between them."""
    if artist.anncoords == "offset points":
        x, y = artist.xyann
        artist.xyann = (factor * x, factor * y)
    if artist.arrow_patch is not None:
        artist.arrow_patch.set_linewidth(factor * artist.arrow_patch.get_linewidth())
        artist.arrow_patch.shrinkA *= factor
        artist.arrow_patch.shrinkB *= factor


def _scale_area(area: DrawingArea, factor: float) -> None:
    """Scale the place of a mark in a legend, and the mark's path."""
    area.width, area.height = factor * area.width, factor * area.height
    area.xdescent, area.ydescent = factor * area.xdescent, factor * area.ydescent
    for mark in area.get_children():
        mark.set_transform(Affine2D().scale(factor) + area.get_transform())

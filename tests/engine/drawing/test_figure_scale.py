"""engine.drawing.figure_scale: a figure of half the size and twice the dots an inch is the same picture."""

import numpy as np
import pytest
from matplotlib.backends import backend_agg

from isogloss.engine.drawing import figure_scale, panels


def drawn():
    """A figure with every kind of mark that ours have."""
    figure, (left, right) = panels.several(2, row=3.0, rest=0.8, shared=False)
    x = np.linspace(0, 1, 5)
    left.plot(x, x**2, marker="o", ms=5, lw=2, ls=(0, (4, 2)), label="line")
    left.fill_between(x, x**2 - 0.1, x**2 + 0.1, alpha=0.2, lw=0.5, label="band")
    left.errorbar(x, x, 0.1, fmt="none", capsize=3, label="bars")
    left.set_title("Title", loc="left", size=11, weight="bold")
    left.set_ylabel("asks")
    left.annotate("near", (0.5, 0.2), xytext=(20, 15), textcoords="offset points")
    right.scatter(x, x, s=80, linewidths=2, edgecolors="red")
    right.bar(x, x, width=0.1, edgecolor="black", linewidth=3)
    right.tick_params(length=6, width=2, pad=8)
    right.set_xlabel("answers")
    panels.plain(left)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False)
    return figure


def pixels(figure, dpi):
    figure.set_dpi(dpi)
    canvas = backend_agg.FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_all_parts_are_scaled(factor):
    whole, scaled = drawn(), drawn()
    width = whole.get_figwidth()
    figure_scale.scale(scaled, factor)
    assert scaled.get_figwidth() == factor * width
    expected, found = pixels(whole, 100), pixels(scaled, 100 / factor)
    assert expected.shape == found.shape
    np.testing.assert_array_equal(found, expected)

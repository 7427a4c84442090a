"""Figure of a run: loss of the batches, smoothed, and loss of the held-out sentences, by step."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from isogloss.engine.drawing import panels
from isogloss.engine.drawing.style import INK, LINES


def draw(title: str, losses: Float[np.ndarray, " T"], dev: Sequence[tuple[int, float]]) -> Figure:
    """Figure of the losses in nats per token.

    Args:
      title: what was trained.
      losses: of each step.
      dev: (steps done, loss) of each measurement; none without held-out sentences.
    """
    figure = panels.blank(7.2, 3.9)
    axes = figure.subplots()
    steps = np.arange(1, len(losses) + 1)
    width = max(1, len(losses) // 20)
    axes.plot(steps, losses, color=LINES[0], lw=0.7, alpha=0.35)
    axes.plot(
        steps, _smoothed(losses, width), color=LINES[0], lw=1.7, label=f"batches, mean of the last {width}"
    )
    if dev:
        axes.plot(
            *zip(*dev, strict=True), color=LINES[1], lw=1.7, marker="o", ms=4, label="held-out sentences"
        )
    axes.set(xlabel="steps done", ylabel="nats per token", ylim=(0, None), xlim=(0, None))
    axes.set_title(title, loc="left", size=11, weight="bold", color=INK)
    panels.plain(axes)
    axes.legend(frameon=False, fontsize=8.5)
    figure.subplots_adjust(left=0.09, right=0.985, top=0.9, bottom=0.14)
    return figure


def _smoothed(values: Float[np.ndarray, " T"], width: int) -> Float[np.ndarray, " T"]:
    """Mean of each value and those before it, at most `width`."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    return (sums[ends] - sums[starts]) / (ends - starts)

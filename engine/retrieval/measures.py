"""Measures of how close two utterances are: one record each, and all that others know of them.

The grid, the report, its figures and its page, the help of flags and the messages of errors read these
records. A new measure is a kernel with its reference and test, and a record here. Imports nothing heavy,
because `--help` reads it; a kernel is imported when it is needed.
"""

import dataclasses
import importlib
from collections.abc import Callable, Sequence

from isogloss.engine.runtime.refusal import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure.

    Attributes:
      name: of its array in the grid, and of its rows in tables.
      label: of its figures.
      meaning: one phrase, for attributes and help.
      by_frame: whether it compares frames; otherwise it compares mean frames.
      kernel: "module.function" of isogloss.kernels that gives all scores (U, V) of two batches: of
        (x, n, y, m), padded frames and lengths, or of two arrays of mean frames (U, D) and (V, D).
        Empty where `frame_scores` computes it, under its name, from the cosines that others share.
      cost: whether smaller is closer.
      transpose: name of the measure that is this one with query and candidate exchanged; empty where
        it is the measure itself.
    """

    name: str
    label: str
    meaning: str
    by_frame: bool
    kernel: str = ""
    cost: bool = False
    transpose: str = ""

    def __post_init__(self) -> None:
        """Refuse a measure that nothing computes."""
        if not self.kernel and not self.by_frame:
            raise ValueError(f"measure {self.name}: `frame_scores` compares frames; name another kernel")

    @property
    def backward(self) -> str:
        """Name of the measure whose matrix, transposed, has this one's scores from b to a."""
        return self.transpose or self.name

    @property
    def described(self) -> str:
        """Its meaning, and which end of the scale is close."""
        return f"{self.meaning}; {'smaller' if self.cost else 'larger'} is closer"

    def function(self) -> Callable:
        """Kernel of a measure that names one."""
        module, name = self.kernel.rsplit(".", 1)
        return getattr(importlib.import_module(f"isogloss.kernels.{module}"), name)


_ALL = (
    Measure(
        name="seqsim",
        label="SeqSim",
        meaning="F1 of precision and recall",
        by_frame=True,
    ),
    Measure(
        name="precision",
        label="SeqSim precision",
        meaning="mean over query frames of the best cosine with a candidate frame",
        by_frame=True,
        transpose="recall",
    ),
    Measure(
        name="recall",
        label="SeqSim recall",
        meaning="mean over candidate frames of the best cosine with a query frame",
        by_frame=True,
        transpose="precision",
    ),
    Measure(
        name="meanpool",
        label="Mean pooling",
        meaning="cosine of the mean frames",
        by_frame=False,
        kernel="pooling.cosine",
    ),
    Measure(
        name="dtw",
        label="DTW",
        meaning="DTW cost of 1 - cosine along the cheapest path",
        by_frame=True,
        cost=True,
    ),
)
MEASURES = {measure.name: measure for measure in _ALL}
"""By name, in the order of tables and figures."""


def choose(names: Sequence[str]) -> tuple[Measure, ...]:
    """Measures of these names, in their order.

    Raises:
      Refusal: no name, an unknown one, or one named twice.
    """
    if not names or len(set(names)) < len(names) or not set(names) <= set(MEASURES):
        known, got = ", ".join(MEASURES), ",".join(names) or "none"
        raise Refusal(f"measures must name some of {known}, each once; got {got}")
    return tuple(MEASURES[name] for name in names)


def reported(names: Sequence[str]) -> tuple[str, ...]:
    """Measures that can be judged in both directions: `names` holds their transpose, too."""
    return tuple(name for name in names if MEASURES[name].backward in names)

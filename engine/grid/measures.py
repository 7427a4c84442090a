"""Measures of the similarity of two utterances, one record per measure.

The grid, the report with its figures and page, the help of flags and error messages read these records. A new
measure needs a kernel with reference and test, and a record here. Imports nothing heavy, because `--help`
loads this module; a kernel is imported when it is needed.
"""

import dataclasses
import importlib
from collections.abc import Callable, Collection, Sequence

from isogloss.engine.runtime.refusal import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
    """Measure of similarity.

    Attributes:
      name: name of its array in the grid, and of its rows in tables.
      label: its name in figures.
      meaning: one phrase, for attributes and help.
      by_frame: True if it compares frames, False if it compares mean frames.
      kernel: "module.function" of isogloss.kernels that returns all scores (U, V) of two batches: of
        (x, n, y, m), padded frames and lengths, or of two arrays of mean frames (U, D) and (V, D). Empty if
        `frame_scores` computes it, under its name, from cosines that several measures share.
      cost: True if smaller is closer.
      transpose: name of the measure that equals this one with query and candidate exchanged; empty if that is
        the measure itself.
      error: name of the array that says how exact this one is and is written with it; empty if there is none.
      retrieves: False of an array that describes another one, and isn't chosen or reported by itself.
    """

    name: str
    label: str
    meaning: str
    by_frame: bool
    kernel: str = ""
    cost: bool = False
    transpose: str = ""
    error: str = ""
    retrieves: bool = True

    def __post_init__(self) -> None:
        """Refuse a measure without a kernel."""
        if not self.kernel and not self.by_frame:
            raise ValueError(f"measure {self.name}: `frame_scores` compares frames; name another kernel")

    @property
    def backward(self) -> str:
        """Name of the measure whose transposed matrix has this one's scores from b to a."""
        return self.transpose or self.name

    @property
    def described(self) -> str:
        """Meaning, and the end of the scale that is closer."""
        if not self.retrieves:
            return self.meaning
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
    Measure(
        name="transport",
        label="Transport",
        meaning="entropic optimal transport of 1 - cosine between all frames, epsilon 0.05, 40 iterations",
        by_frame=True,
        cost=True,
        error="transport_error",
    ),
    Measure(
        name="transport_error",
        label="Error of transport",
        meaning="mass that the plan of transport gives or takes too much or too little, of 1",
        by_frame=True,
        cost=True,
        retrieves=False,
    ),
)
MEASURES = {measure.name: measure for measure in _ALL}
"""By name, in the order of tables and figures."""


def choose(names: Sequence[str], option: str = "measures") -> tuple[Measure, ...]:
    """Measures of these names, in the same order; `option` is what a message calls them.

    Raises:
      Refusal: there is no name, an unknown one, or a repeated one.
    """
    choices = [name for name, measure in MEASURES.items() if measure.retrieves]
    if not names or len(set(names)) < len(names) or not set(names) <= set(choices):
        known, got = ", ".join(choices), ",".join(names) or "none"
        raise Refusal(f"{option} must name some of {known}, each once; got {got}")
    return tuple(MEASURES[name] for name in names)


def stored_measures(arrays: Collection[str]) -> tuple[str, ...]:
    """Measures that a grid of these arrays has, in the order of tables."""
    return tuple(name for name in MEASURES if name in arrays)


def with_errors(names: Sequence[str]) -> tuple[str, ...]:
    """Arrays of these measures: their own, each followed by that of its error."""
    return tuple(array for name in names for array in (name, MEASURES[name].error) if array)


def reported(names: Sequence[str]) -> tuple[str, ...]:
    """Measures that can be reported in both directions: `names` also holds their transpose."""
    return tuple(name for name in names if MEASURES[name].retrieves and MEASURES[name].backward in names)

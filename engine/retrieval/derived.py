"""Measures that the report derives from an array of the grid and from the numbers of frames.

They cost nothing and aren't stored: DTW divided by a length, and the length baseline `duration`, which knows
nothing but how long two utterances are. A state that doesn't retrieve better than `duration` says nothing
about languages.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int

from isogloss.engine.retrieval.measures import MEASURES, Measure

BASELINE = "duration"
Scores = Float[np.ndarray, "n n"]
Frames = Int[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DerivedMeasure(Measure):
    """Measure that the report computes.

    Attributes:
      source: name of the array of the grid that it is made from; empty if frames are enough.
      derive: function of that array (None without one), the queries' and the candidates' numbers of frames.
    """

    source: str = ""
    derive: Callable[[Scores | None, Frames, Frames], Scores]


def _by_sum(costs: Scores | None, n: Frames, m: Frames) -> Scores:
    return np.asarray(costs, np.float64) / (n[:, None] + m)


def _by_longer(costs: Scores | None, n: Frames, m: Frames) -> Scores:
    return np.asarray(costs, np.float64) / np.maximum(n[:, None], m)


def _duration(costs: Scores | None, n: Frames, m: Frames) -> Scores:
    return -np.abs(np.log(n[:, None] / m))


_ALL = (
    DerivedMeasure(
        name="dtw_sum",
        label="DTW / (N + M)",
        meaning="DTW cost divided by the sum of the numbers of frames",
        by_frame=True,
        cost=True,
        source="dtw",
        derive=_by_sum,
    ),
    DerivedMeasure(
        name="dtw_longer",
        label="DTW / longer",
        meaning="DTW cost divided by the number of frames of the longer utterance",
        by_frame=True,
        cost=True,
        source="dtw",
        derive=_by_longer,
    ),
    DerivedMeasure(
        name=BASELINE,
        label="Duration alone",
        meaning="-|log(N / M)|, from the numbers of frames alone; equal at all states",
        by_frame=True,
        derive=_duration,
    ),
)
DERIVED: Mapping[str, DerivedMeasure] = {measure.name: measure for measure in _ALL}
"""By name, in the order of tables; they come after the measures of the grid."""


def derivable(names: tuple[str, ...], attributes: Mapping[str, object], *, frames: bool) -> tuple[str, ...]:
    """Derived measures that a grid allows.

    Args:
      names: arrays of the grid.
      attributes: of the grid; a grid of DTW costs that are divided already gets no further division.
      frames: True if the grid holds the numbers of frames.
    """
    if not frames:
        return ()
    divided = attributes.get("dtw_normalise", "none") != "none"
    return tuple(
        name
        for name, measure in DERIVED.items()
        if not measure.source or (measure.source in names and not divided)
    )


def record(name: str) -> Measure:
    """Record of a measure of the grid or of a derived one."""
    return DERIVED[name] if name in DERIVED else MEASURES[name]

"""Measures that the report derives from an array of the grid and from the numbers of frames.

They cost nothing and aren't stored: DTW divided by a length, SeqSim whose best candidates transport orders
anew, and the length baseline `duration`, which knows nothing but how long two utterances are. A state that
doesn't retrieve better than `duration` isn't shown to retrieve by more than length.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int

from isogloss.engine.grid import shortlist
from isogloss.engine.grid.measures import MEASURES, Measure

BASELINE = "duration"
Scores = Float[np.ndarray, "n n"]
Frames = Int[np.ndarray, " n"]
_OF_RERANK = (shortlist.SHORTLISTING, shortlist.RERANKING)
_BACK = "rerank_back"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """Arrays and lengths that measures are derived from.

    Attributes:
      arrays: scores as the grid has them, by name.
      n: the queries' numbers of frames.
      m: the candidates'.
      best: candidates on a shortlist.
    """

    arrays: Mapping[str, Scores]
    n: Frames
    m: Frames
    best: int = shortlist.BEST


@dataclasses.dataclass(frozen=True, kw_only=True)
class DerivedMeasure(Measure):
    """Measure that the report computes.

    Attributes:
      sources: names of the arrays of the grid that it is made from; none if frames are enough.
      derive: function of `Given`.
      corrected: False if corrections don't apply to it, nor do means of its scores say anything.
    """

    sources: tuple[str, ...] = ()
    derive: Callable[[Given], Scores]
    corrected: bool = True


def _by_sum(given: Given) -> Scores:
    return np.asarray(given.arrays["dtw"], np.float64) / (given.n[:, None] + given.m)


def _by_longer(given: Given) -> Scores:
    return np.asarray(given.arrays["dtw"], np.float64) / np.maximum(given.n[:, None], given.m)


def _duration(given: Given) -> Scores:
    return -np.abs(np.log(given.n[:, None] / given.m))


def _reranked(given: Given) -> Scores:
    scores, costs = (given.arrays[name] for name in _OF_RERANK)
    return shortlist.reranked(scores, costs, given.best)


def _reranked_back(given: Given) -> Scores:
    # Shortlists are those of the other side's queries, so the transpose isn't the matrix turned round.
    scores, costs = (given.arrays[name].T for name in _OF_RERANK)
    return shortlist.reranked(scores, costs, given.best).T


_ALL = (
    DerivedMeasure(
        name="dtw_sum",
        label="DTW / (N + M)",
        meaning="DTW cost divided by the sum of the numbers of frames",
        by_frame=True,
        cost=True,
        sources=("dtw",),
        derive=_by_sum,
    ),
    DerivedMeasure(
        name="dtw_longer",
        label="DTW / longer",
        meaning="DTW cost divided by the number of frames of the longer utterance",
        by_frame=True,
        cost=True,
        sources=("dtw",),
        derive=_by_longer,
    ),
    DerivedMeasure(
        name="rerank",
        label="SeqSim, best by transport",
        meaning="SeqSim's best candidates of each query ordered by transport, the others after them; "
        "never corrected",
        by_frame=True,
        transpose=_BACK,
        sources=_OF_RERANK,
        derive=_reranked,
        corrected=False,
    ),
    DerivedMeasure(
        name=_BACK,
        label="SeqSim, best by transport",
        meaning="the same of the other direction",
        by_frame=True,
        transpose="rerank",
        sources=_OF_RERANK,
        derive=_reranked_back,
        corrected=False,
        retrieves=False,
    ),
    DerivedMeasure(
        name=BASELINE,
        label="Duration alone",
        meaning="-|log(N / M)|, from the numbers of frames alone; equal at all states",
        by_frame=True,
        derive=_duration,
        corrected=False,
    ),
)
DERIVED: Mapping[str, DerivedMeasure] = {measure.name: measure for measure in _ALL}
"""By name, in the order of tables; they come after the measures of the grid."""


def derivable(names: tuple[str, ...], attributes: Mapping[str, object], *, frames: bool) -> tuple[str, ...]:
    """Derived measures that a grid allows and that tables have.

    Args:
      names: arrays of the grid.
      attributes: of the grid; a grid of DTW costs that are divided already gets no further division.
      frames: True if the grid holds the numbers of frames.
    """
    if not frames:
        return ()
    # A cost that is divided already would be divided twice.
    divided = attributes.get("dtw_normalise", "none") != "none"
    return tuple(
        name
        for name, measure in DERIVED.items()
        if measure.retrieves
        and set(measure.sources) <= set(names)
        and not (divided and "dtw" in measure.sources)
    )


def derived(name: str, given: Given) -> dict[str, Scores]:
    """A derived measure with its transpose, by name; none if an array that it is made from is missing."""
    # A measure that is its own transpose is derived once.
    both = [DERIVED[each] for each in dict.fromkeys((name, DERIVED[name].backward))]
    known = set(DERIVED[name].sources) <= set(given.arrays)
    return {each.name: each.derive(given) for each in both} if known else {}


def record(name: str) -> Measure:
    """Record of a measure of the grid or of a derived one."""
    return DERIVED[name] if name in DERIVED else MEASURES[name]

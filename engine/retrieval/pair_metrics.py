"""Figures of one language pair, read from a grid chunk by chunk.

A chunk that isn't there or can't be used leaves its figures unknown and is named; the rest goes on.
Memory: one pair's scores, 83 MB for 34 states, 5 arrays and 350 sentences; a whole grid is never held.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from isogloss.engine.retrieval import grid_store, metrics
from isogloss.engine.retrieval.grid_store import Grid
from isogloss.engine.retrieval.measures import MEASURES, reported


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """Figures of one pair.

    Attributes:
      values: figures by state, measure and direction, NaN where unknown.
      computed: by state and measure.
      missing: chunks that the grid doesn't hold yet, by name.
      broken: chunks that can't be used, by name with the reason.
    """

    values: Float[np.ndarray, "S M 2 F"]
    computed: Bool[np.ndarray, "S M"]
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def score(grid: Grid, pair: int) -> Scored:
    """Figures of one pair.

    A chunk of NaN alone, where both languages have common sentences, has not been computed.
    """
    n = int(grid.common[pair])
    shape = (len(grid.states), len(reported(grid.measures)))
    values = np.full((*shape, 2, len(metrics.FIGURES)), np.nan)
    if n == 0:
        return Scored(values=values, computed=np.ones(shape, bool))
    ranks = np.ones((len(grid.states), len(grid.measures), 2, n), np.int32)
    known = np.zeros(ranks.shape[:2], bool)
    missing, broken = [], []
    for m, measure in enumerate(grid.measures):
        reads = [grid.reading(measure, pair, state) for state in range(len(grid.states))]
        for state, read in enumerate(reads):
            chunk = f"{grid_store.pair_name(grid.pairs[pair])} {measure} state {grid.states[state]}"
            try:
                scores = read.result()
                if np.isnan(scores).all():
                    missing.append(chunk)
                    continue
                ranks[state, m] = metrics.gold_ranks(scores, n, cost=MEASURES[measure].cost)
            except ValueError as error:  # TensorStore's checksum error is one, too
                broken.append(f"{chunk}: {error}; delete that chunk and run the grid job again")
                continue
            known[state, m] = True
    both, computed = metrics.directed(ranks, known, grid.measures)
    values[computed] = metrics.figures(both)[computed]
    return Scored(values=values, computed=computed, missing=tuple(missing), broken=tuple(broken))

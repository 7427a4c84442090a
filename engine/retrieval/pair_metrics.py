"""Figures of one language pair, computed from the chunks of a grid, and the part files that store them.

A chunk that is missing or damaged leaves its figures unknown and is reported; the run continues. Such a pair
gets a note instead of a part. A part's fingerprint depends on the grid's description and the pair's chunks,
so that a part of another or a rewritten grid is never found. Memory: one pair's scores, 83 MB for 34 states,
5 arrays and 350 sentences. Opening the parts reads the last bytes of every chunk; a part of 34 states and 5
measures takes 16 kB.
"""

import dataclasses
import pathlib

import numpy as np
from jaxtyping import Bool, Float

from isogloss.engine.retrieval import grid_store, metrics
from isogloss.engine.retrieval.grid_store import Grid
from isogloss.engine.retrieval.measures import MEASURES, reported
from isogloss.engine.runtime import json_values
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.kernels import bootstrap

_LAYOUT = 1  # of a part file; with another number, older parts are not found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """Figures of one pair.

    Attributes:
      values: figures by state, measure and direction, NaN where unknown.
      computed: by state and measure.
      missing: names of chunks that the grid doesn't hold yet.
      broken: names of chunks that can't be used, with the reasons.
    """

    values: Float[np.ndarray, "S M 2 F"]
    computed: Bool[np.ndarray, "S M"]
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def score(grid: Grid, pair: int) -> Scored:
    """Figures of one pair.

    A chunk of only NaN, although the languages have common sentences, isn't computed yet.
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
            except ValueError as error:  # a checksum error of TensorStore is one
                broken.append(f"{chunk}: {error}; delete that chunk and run the grid job again")
                continue
            known[state, m] = True
    both, computed = metrics.directed(ranks, known, grid.measures)
    values[computed] = metrics.figures(both)[computed]
    return Scored(values=values, computed=computed, missing=tuple(missing), broken=tuple(broken))


def open_parts(folder: pathlib.Path, grid: Grid) -> PartFiles:
    """Part files of a grid's pairs, by name, in a folder that may not exist yet.

    A pair that lacks a chunk has no part.
    """
    draws = [bootstrap.RESAMPLES, bootstrap.CONFIDENCE, bootstrap.SEED]
    described = [_LAYOUT, draws, grid.attributes, grid.measures, grid.states, grid.sentences]
    description = json_values.fingerprint(described)
    found = {
        grid_store.pair_name(grid.pairs[pair]): _fingerprint(grid, description, pair)
        for pair in range(len(grid.pairs))
    }
    return PartFiles(folder=folder, keys={name: key for name, key in found.items() if key}, kinds=("npy",))


def _fingerprint(grid: Grid, description: str, pair: int) -> str | None:
    """Hash of everything that a pair's figures depend on; None if one of its chunks is missing."""
    chunks, n = [], int(grid.common[pair])
    if n:  # a pair without common sentences has no figures, and may have no chunks
        try:
            chunks = [
                grid.checksum(measure, pair, state)
                for measure in grid.measures
                for state in range(len(grid.states))
            ]
        except FileNotFoundError:
            return None
    return json_values.fingerprint([description, grid.pairs[pair], n, chunks])


def save(parts: PartFiles, name: str, scored: Scored) -> None:
    """Store a pair's figures, or a note about its missing and damaged chunks."""
    # The key was computed before the scores were read: if a chunk was rewritten in between, no later run
    # finds this part.
    if name not in parts.keys:
        return
    if scored.computed.all():
        parts.save(name, lambda file: np.save(file, scored.values))
    else:
        parts.note(name, "\n".join((*scored.missing, *scored.broken)))


def load(parts: PartFiles, name: str) -> Scored:
    """Stored figures of a pair."""
    values = np.load(parts.path(name, "npy"), allow_pickle=False)
    return Scored(values=values, computed=np.ones(values.shape[:2], bool))

"""Ranks of all right answers as a Zarr group, from which every figure of a report follows.

`ranks (pair, state, measure, direction, sentence)`, uint16: the rank of the translation of each sentence,
from 1; 0 where a language lacks the sentence or the scores aren't computed. `measure` holds names of
scorings.
"""

import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Grid
from isogloss.engine.retrieval.pair_metrics import Scored
from isogloss.engine.retrieval.scorings import Scoring
from isogloss.engine.runtime import atomic_write, objects, zarr_group
from isogloss.engine.runtime.zarr_group import Array, Coordinate

AXES = ("pair", "state", "measure", "direction", "sentence")


def write(
    path: pathlib.Path, grid: Grid, scorings: Sequence[Scoring], scored: Callable[[int], Scored]
) -> None:
    """Write the ranks of all pairs; an older group is replaced when the new one is whole.

    Args:
      path: path of the group.
      grid: grid that the figures are of.
      scorings: of the axis `measure`.
      scored: figures of a pair by its index.
    """
    axes = {
        "pair": [grid_store.pair_name(pair) for pair in grid.pairs],
        "state": grid.states,
        "measure": [scoring.name for scoring in scorings],
        "direction": ["a->b", "b->a"],
        "sentence": grid.sentences,
    }
    coordinates = [Coordinate(name=name, axis=name, values=values) for name, values in axes.items()]
    for side, name in enumerate(("language_a", "language_b")):
        coordinates.append(Coordinate(name=name, axis="pair", values=[pair[side] for pair in grid.pairs]))
    shape = tuple(map(len, axes.values()))
    array = Array(
        name="ranks",
        axes=AXES,
        shape=shape,
        # A pair is a chunk, as pairs are scored and written one by one.
        chunk=(1, *shape[1:]),
        inner=None,
        dtype="uint16",
        attributes={"long_name": "rank of the translation; 0: unknown", "units": "1"},
        fill=0,
    )
    with atomic_write.draft(path) as made:
        zarr_group.create(made, {"kind": "ranks", "format": 1}, coordinates, [array])
        ranks = zarr_group.open_group(made).open_array("ranks")
        for pair in range(len(grid.pairs)):
            found = scored(pair)
            whole = np.zeros(shape[1:], np.uint16)
            # 0 isn't a rank, so it marks what is unknown without a second array.
            whole[..., found.sentences] = np.where(found.computed[..., None, None], found.ranks, 0)
            objects.finish(ranks[pair].write(whole), path, f"{path}: pair {axes['pair'][pair]}")
        _replace(path, made)


def _replace(path: pathlib.Path, made: pathlib.Path) -> None:
    """Move a folder to `path`; the one that was there is removed."""
    if path.exists():
        with atomic_write.draft(path) as old:
            os.rename(path, old)
            os.rename(made, path)
    else:
        os.rename(made, path)


def remove(path: pathlib.Path) -> None:
    """Remove a group of ranks, if there is one."""
    if path.exists():
        with atomic_write.draft(path) as old:
            os.rename(path, old)

"""Part files: the figures of one language pair each, so that a report is divided and resumed.

A part is renamed into place whole and carries in its name a fingerprint of the grid's description and of
the pair's chunk files: a part of another or a rewritten grid is never found. A pair that lacks a chunk
file has no fingerprint and gets no part. One with a chunk that can't be used gets a note instead, so that
nobody waits for its part. Costs a `stat` a chunk; a part of 34 states and 5 measures takes 16 kB.
"""

import dataclasses
import os
import pathlib

import numpy as np

from isogloss.engine.retrieval import grid_store
from isogloss.engine.retrieval.grid_store import Grid
from isogloss.engine.retrieval.pair_metrics import Scored
from isogloss.engine.runtime import part_files
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.kernels import bootstrap

_LAYOUT = 1  # of a part file; another number makes older parts unfindable


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairParts:
    """Part files of a grid.

    Attributes:
      files: of the pairs whose every chunk file is there.
      grid: of which they are.
    """

    files: PartFiles
    grid: Grid

    @property
    def folder(self) -> pathlib.Path:
        """Where they are."""
        return self.files.folder

    def kept(self, pair: int) -> bool:
        """Whether the pair's figures are there."""
        return self.files.there(self._name(pair), "npy")

    def awaited(self, pair: int) -> bool:
        """Whether every chunk of the pair is there but nobody has scored it yet."""
        name = self._name(pair)
        return name in self.files.keys and not self.files.there(name, "npy", "txt")

    def load(self, pair: int) -> Scored:
        """Figures of a pair that is kept."""
        values = np.load(self.files.path(self._name(pair), "npy"), allow_pickle=False)
        return Scored(values=values, computed=np.ones(values.shape[:2], bool))

    def save(self, pair: int, scored: Scored) -> None:
        """Keep a pair's figures, or a note of what is wrong with its chunks, and drop what was before."""
        # The key was taken before the scores were read: if a chunk is rewritten in the meantime,
        # this part isn't found again.
        name = self._name(pair)
        if name not in self.files.keys:
            return
        if scored.computed.all():
            self.files.save(name, "npy", lambda file: np.save(file, scored.values))
        else:
            text = "\n".join((*scored.missing, *scored.broken, ""))
            self.files.save(name, "txt", lambda file: file.write_text(text, "utf-8"))

    def _name(self, pair: int) -> str:
        return grid_store.pair_name(self.grid.pairs[pair])


def open_parts(folder: pathlib.Path, grid: Grid) -> PairParts:
    """Parts of `grid` in a folder, which needn't be there yet."""
    draws = [bootstrap.RESAMPLES, bootstrap.CONFIDENCE, bootstrap.SEED]
    described = [_LAYOUT, draws, grid.attributes, grid.measures, grid.states, grid.sentences]
    description = part_files.fingerprint(described)
    found = {
        grid_store.pair_name(grid.pairs[pair]): _fingerprint(grid, description, pair)
        for pair in range(len(grid.pairs))
    }
    keys = {name: key for name, key in found.items() if key}
    return PairParts(files=PartFiles(folder=folder, keys=keys), grid=grid)


def _fingerprint(grid: Grid, description: str, pair: int) -> str | None:
    """Hash of all that a pair's figures depend on; None while one of its chunks isn't there."""
    chunks, n = [], int(grid.common[pair])
    if n:  # a pair without common sentences has no figures, and may have no chunks
        try:
            chunks = [(stat.st_size, stat.st_mtime_ns) for stat in map(os.stat, grid.chunk_files(pair))]
        except FileNotFoundError:
            return None
    return part_files.fingerprint([description, grid.pairs[pair], n, chunks])

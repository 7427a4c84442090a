"""Part files: the figures of one language pair each, so that a report is divided and resumed.

A part is renamed into place whole and carries in its name a fingerprint of the grid's description and of
the pair's chunk files: a part of another or a rewritten grid is never found. A pair that lacks a chunk
file has no fingerprint and gets no part. One with a chunk that can't be used gets a note instead, so that
nobody waits for its part. Costs a `stat` a chunk; a part of 34 states and 5 measures takes 16 kB.
"""

import dataclasses
import glob
import hashlib
import json
import os
import pathlib
import urllib.parse
from collections.abc import Mapping

import numpy as np

from isogloss.engine import draft, grid_store, retrieval
from isogloss.engine.grid_store import Grid
from isogloss.engine.retrieval_pair import Scored

_LAYOUT = 1  # of a part file; another number makes older parts unfindable
_KEY = 16  # letters of a fingerprint


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """Part files of a grid.

    Attributes:
      folder: that holds them.
      grid: of which they are.
      keys: fingerprint of each pair whose every chunk file is there.
    """

    folder: pathlib.Path
    grid: Grid
    keys: Mapping[int, str]

    def kept(self, pair: int) -> bool:
        """Whether the pair's figures are there."""
        return pair in self.keys and self._path(pair, "npy").is_file()

    def awaited(self, pair: int) -> bool:
        """Whether every chunk of the pair is there but nobody has scored it yet."""
        return pair in self.keys and not any(self._path(pair, kind).is_file() for kind in ("npy", "txt"))

    def load(self, pair: int) -> Scored:
        """Figures of a pair that is kept."""
        values = np.load(self._path(pair, "npy"), allow_pickle=False)
        return Scored(values=values, computed=np.ones(values.shape[:2], bool))

    def save(self, pair: int, scored: Scored) -> None:
        """Keep a pair's figures, or a note of what is wrong with its chunks, and drop what was before."""
        # The key was taken before the scores were read: if a chunk is rewritten in the meantime,
        # this part isn't found again.
        if pair not in self.keys:
            return
        if scored.computed.all():
            path = self._path(pair, "npy")
            draft.write_whole(path, lambda file: np.save(file, scored.values))
        else:
            path = self._path(pair, "txt")
            text = "\n".join((*scored.missing, *scored.broken, ""))
            draft.write_whole(path, lambda file: file.write_text(text, "utf-8"))
        older = f"{glob.escape(self._stem(pair))}.{'[0-9a-f]' * _KEY}.*"
        for old in self.folder.glob(older):
            if old != path:
                old.unlink(missing_ok=True)

    def _path(self, pair: int, kind: str) -> pathlib.Path:
        return self.folder / f"{self._stem(pair)}.{self.keys[pair]}.{kind}"

    def _stem(self, pair: int) -> str:
        """The pair's name in ASCII, so that any locale can make the file."""
        return urllib.parse.quote(grid_store.pair_name(self.grid.pairs[pair]), safe="")


def open_parts(folder: pathlib.Path, grid: Grid) -> Parts:
    """Parts of `grid` in a folder, which needn't be there yet."""
    bootstrap = [retrieval.RESAMPLES, retrieval.CONFIDENCE, retrieval.SEED]
    described = [_LAYOUT, bootstrap, grid.attributes, grid.measures, grid.states, grid.sentences]
    description = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    found = {pair: _fingerprint(grid, description, pair) for pair in range(len(grid.pairs))}
    return Parts(folder=folder, grid=grid, keys={pair: key for pair, key in found.items() if key})


def _fingerprint(grid: Grid, description: str, pair: int) -> str | None:
    """Hash of all that a pair's figures depend on; None while one of its chunks isn't there."""
    chunks, n = [], int(grid.common[pair])
    if n:  # a pair without common sentences has no figures, and may have no chunks
        try:
            chunks = [(stat.st_size, stat.st_mtime_ns) for stat in map(os.stat, grid.chunk_files(pair))]
        except FileNotFoundError:
            return None
    described = [description, grid.pairs[pair], n, chunks]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:_KEY]

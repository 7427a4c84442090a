"""Disk side of the report: scores out of a grid, figures into part files and tables.

A part holds the figures of one language pair, is renamed into place whole, and carries in its
name a fingerprint of the grid's description and of the pair's chunk files: a part of another or
a rewritten grid is never found. Only pairs whose every chunk is there get one. Memory: one pair's
scores, 83 MB for 34 states, 5 arrays and 350 sentences; a whole grid is never held.
"""

import csv
import dataclasses
import functools
import glob
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import tensorstore as ts
from jaxtyping import Bool, Float, Int
from pyarrow import parquet

from isogloss.engine import grid_store, retrieval, zarr_group

_COORDINATES = ("language_a", "language_b", "state", "query", "n_common")
_LAYOUT = 1  # of a part file; another number makes older parts unfindable
_KEY = 16  # letters of a fingerprint


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """A grid opened for reading.

    Attributes:
      path: of the Zarr group.
      attributes: of the group.
      pairs: (language_a, language_b).
      states: names.
      sentences: number of queries, and of candidates.
      n: sentences that both languages of a pair have.
      arrays: handle by measure, axes (pair, state, query, candidate).
    """

    path: pathlib.Path
    attributes: Mapping[str, zarr_group.Json]
    pairs: tuple[tuple[str, str], ...]
    states: tuple[str, ...]
    sentences: int
    n: Int[np.ndarray, " P"]
    arrays: Mapping[str, ts.TensorStore]

    def name(self, pair: int) -> str:
        """Name of a pair, "en-fr"."""
        return "-".join(self.pairs[pair])

    @functools.cached_property
    def _description(self) -> str:
        bootstrap = [retrieval.RESAMPLES, retrieval.CONFIDENCE, retrieval.SEED]
        shapes = {name: list(array.shape) for name, array in self.arrays.items()}
        described = [_LAYOUT, bootstrap, self.attributes, self.states, shapes]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def fingerprint(self, pair: int) -> str | None:
        """Hash of all that a pair's figures depend on; None while one of its chunks isn't there."""
        chunks = []
        if self.n[pair]:  # a pair without common sentences has no figures, and may have no chunks
            try:
                chunks = [(stat.st_size, stat.st_mtime_ns) for stat in map(os.stat, self.chunks(pair))]
            except FileNotFoundError:
                return None
        described = [self._description, self.pairs[pair], int(self.n[pair]), chunks]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:_KEY]

    def chunks(self, pair: int) -> Iterator[pathlib.Path]:
        """Files that hold the scores of a pair."""
        for name in self.arrays:
            for state in range(len(self.states)):
                yield self.path / name / "c" / str(pair) / str(state) / "0" / "0"


def open_grid(path: pathlib.Path) -> Grid:
    """Grid at `path`.

    Raises:
      ValueError: nothing or something else is there, or it holds no measure in both directions.
    """
    if not path.is_dir() or not zarr_group.exists(path):
        raise ValueError(f"{path}: there is no grid; make one with isogloss.jobs.grid --grid={path}")
    attributes = zarr_group.read_attributes(path)
    present = {entry.name for entry in path.iterdir()}
    names = tuple(name for name in grid_store.MEASURES if name in present)
    if absent := [name for name in _COORDINATES if name not in present]:
        raise ValueError(f"{path}: not a grid, it lacks {absent}; name the folder that jobs.grid made")
    if not retrieval.reported(names):
        raise ValueError(
            f"{path}: needs seqsim, meanpool, dtw, or precision together with recall; it has {names}. "
            "Run isogloss.jobs.grid with more --measures"
        )
    a, b, states = (_strings(path, name) for name in ("language_a", "language_b", "state"))
    return Grid(
        path=path,
        attributes=attributes,
        pairs=tuple(zip(a, b, strict=True)),
        states=states,
        sentences=len(_strings(path, "query")),
        n=zarr_group.read_coordinate(path, "n_common"),
        arrays={name: zarr_group.open_array(path, name) for name in names},
    )


def _strings(path: pathlib.Path, name: str) -> tuple[str, ...]:
    return tuple(str(value) for value in zarr_group.read_coordinate(path, name))


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
    """Figures of one pair, read from the grid chunk by chunk.

    A chunk of NaN alone, where both languages have common sentences, has not been computed.
    """
    arrays, n = tuple(grid.arrays), int(grid.n[pair])
    shape = (len(grid.states), len(retrieval.reported(arrays)))
    values = np.full((*shape, 2, len(retrieval.FIGURES)), np.nan)
    if n == 0:
        return Scored(values=values, computed=np.ones(shape, bool))
    ranks = np.ones((len(grid.states), len(arrays), 2, n), np.int32)
    known = np.zeros(ranks.shape[:2], bool)
    missing, broken = [], []
    for m, (name, array) in enumerate(grid.arrays.items()):
        reads = [array[pair, state].read() for state in range(len(grid.states))]
        for state, read in enumerate(reads):
            chunk = f"{grid.name(pair)} {name} state {grid.states[state]}"
            try:
                scores = read.result()
                if np.isnan(scores).all():
                    missing.append(chunk)
                    continue
                ranks[state, m] = retrieval.gold_ranks(scores, n, cost=name in retrieval.COSTS)
            except ValueError as error:  # TensorStore's checksum error is one, too
                broken.append(f"{chunk}: {error}; delete that chunk and run the grid job again")
                continue
            known[state, m] = True
    both, computed = retrieval.directed(ranks, known, arrays)
    values[computed] = retrieval.figures(both)[computed]
    return Scored(values=values, computed=computed, missing=tuple(missing), broken=tuple(broken))


def part(folder: pathlib.Path, grid: Grid, pair: int, key: str) -> pathlib.Path:
    """Path of a pair's part file; `key` is its fingerprint."""
    return folder / f"{grid.name(pair)}.{key}.npy"


def load_part(path: pathlib.Path) -> Scored:
    """Figures of a pair whose every chunk was computed."""
    values = np.load(path, allow_pickle=False)
    return Scored(values=values, computed=np.ones(values.shape[:2], bool))


def save_part(path: pathlib.Path, scored: Scored) -> None:
    """Keep the figures of a complete pair, and drop what older grids left of it."""
    name = path.stem[: -_KEY - 1]
    write_whole(path, lambda draft: np.save(draft, scored.values))
    for old in path.parent.glob(f"{glob.escape(name)}.{'[0-9a-f]' * _KEY}.npy"):
        if old != path:
            old.unlink(missing_ok=True)


def write_whole(path: pathlib.Path, write: Callable[[pathlib.Path], object]) -> None:
    """Let `write` make a file beside `path` and rename it there, so that no half file is seen.

    Raises:
      OSError: the file can't be written, the disk may be full; `path` is as it was.
    """
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def tabulate(results: retrieval.Results) -> pa.Table:
    """Table of one row per pair, state, measure and direction, in that order.

    `direction` names the query language first: "en->fr" asks in English among French candidates.
    Chunks not computed have no row; a pair without common sentences has rows with n = 0.
    """
    pair, state, measure = (np.repeat(axis, 2) for axis in np.nonzero(results.computed))
    direction = np.tile([0, 1], len(pair) // 2)
    n = results.n[pair]
    a, b = ([pair[side] for pair in results.pairs] for side in (0, 1))
    arrows = [f"{x}->{y}" for a_b in results.pairs for x, y in (a_b, a_b[::-1])]
    columns: dict[str, pa.Array] = {
        "language_a": _labels(a, pair),
        "language_b": _labels(b, pair),
        "state": _labels(results.states, state),
        "measure": _labels(results.measures, measure),
        "direction": _labels(arrows, 2 * pair + direction),
        "n": pa.array(n, pa.int32()),
    }
    values = results.values[pair, state, measure, direction]
    for f, name in enumerate(retrieval.FIGURES):
        if name == "ci_low":
            columns["chance"] = pa.array(1 / np.where(n > 0, n, np.nan), pa.float64())
        columns[name] = pa.array(values[:, f], pa.float64())
    return pa.table(columns)


def _labels(names: Sequence[str], index: Int[np.ndarray, " R"]) -> pa.Array:
    coded = pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(names, pa.string()))
    return coded.cast(pa.string())


def write_table(table: pa.Table, out: pathlib.Path) -> None:
    """Write retrieval.parquet and retrieval.csv: the same rows in the same order, NaN as "nan"."""
    write_whole(out / "retrieval.parquet", lambda draft: parquet.write_table(table, draft))
    write_whole(out / "retrieval.csv", lambda draft: _write_csv(table, draft))


def _write_csv(table: pa.Table, path: pathlib.Path) -> None:
    # The csv module quotes only what needs it; its floats read back equal.
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.column_names)
        for batch in table.to_batches(max_chunksize=65536):
            writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))

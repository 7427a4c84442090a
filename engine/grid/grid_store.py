"""Grid of score matrices: one array per measure, (pair, state, query, candidate), in one Zarr group.

A chunk is one pair at one state, the unit of work: one object, written once. A unit is done when the chunks
of all measures exist; nothing else records it. Scores of sentences that a language lacks are NaN. Pairs and
sentences can be added, see `grid_growth`; a chunk stays as large as the first axis of sentences, so that a
pair with later ones has several.
"""

import dataclasses
import functools
import itertools
import json
from collections.abc import Mapping, Sequence

import numpy as np
import tensorstore as ts
from jaxtyping import Float, Float32, Int

from isogloss.engine.activations import state_origin
from isogloss.engine.grid import grid_axes, grid_growth
from isogloss.engine.grid.grid_axes import Frames, GridAxes, Pair, Recordings, of_one_language, pair_name
from isogloss.engine.grid.measures import MEASURES, stored_measures
from isogloss.engine.grid.shortlist import RERANKING
from isogloss.engine.runtime import json_values, objects, zarr_group, zarr_growth
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal, UnfinishedError
from isogloss.engine.runtime.zarr_group import Array, Group

KIND, READ = "grid", (1, 2, 3, 4)
FORMAT, WITH_SELF_PAIRS = 3, 4  # 3 records what each language is made of; who reads 3 knows no self pairs
AXES = ("pair", "state", "query", "candidate")
REMAKE = "; delete that chunk and run the grid job again"  # remedy of a damaged file


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Axes and identity of a grid; a grid of another identity isn't continued, more pairs are added to it.

    Attributes:
      pairs: language pairs, each unordered pair once.
      states: names of encoder states.
      sentences: sentences of all languages, in order; the query and the candidate axis.
      measures: names among MEASURES.
      common: number of sentences that both languages of each pair have.
      identity: everything else that decides the numbers: weights, listings, broken utterances, options.
      recordings: recordings of each language, see `grid_axes.Recordings`.
      frames: numbers of frames of each language, see `grid_axes.Frames`.
      flags: resolved flags of the run that made the grid, for the record.
    """

    pairs: tuple[Pair, ...]
    states: tuple[str, ...]
    sentences: tuple[str, ...]
    measures: tuple[str, ...]
    common: tuple[int, ...]
    identity: Mapping[str, Json]
    flags: Mapping[str, Json]
    recordings: Mapping[str, Recordings] = dataclasses.field(default_factory=dict)
    frames: Mapping[str, Frames] = dataclasses.field(default_factory=dict)

    @property
    def axes(self) -> GridAxes:
        """Labels of the arrays of a grid that has only this plan."""
        return GridAxes(**{axis.name: getattr(self, axis.name) for axis in dataclasses.fields(GridAxes)})

    def attributes(self) -> dict[str, Json]:
        """Attributes of the group."""
        axes: dict[str, Json] = {
            "pairs": [pair_name(pair) for pair in self.pairs],
            "states": list(self.states),
            "measures": list(self.measures),
        }
        return {"kind": KIND, "format": _format(self.pairs), **axes, **self.identity, "flags": self.flags}


def _format(pairs: Sequence[Pair]) -> int:
    return WITH_SELF_PAIRS if any(map(of_one_language, pairs)) else FORMAT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Open grid.

    Attributes:
      group: the Zarr group.
      axes: labels of the arrays.
      measures: names of the arrays.
      self_pairs: pairs to read: True for self pairs alone, False for pairs of two languages, None for all.
    """

    group: Group
    axes: GridAxes
    measures: tuple[str, ...]
    self_pairs: bool | None = None

    def only(self, *, self_pairs: bool) -> "Grid":
        """The same grid with self pairs alone, or with pairs of two languages."""
        return dataclasses.replace(self, self_pairs=self_pairs)

    @functools.cached_property
    def _rows(self) -> tuple[int, ...]:
        """Indices of the pairs on the array's axis, in alphabetical order of pairs."""
        kinds = (True, False) if self.self_pairs is None else (self.self_pairs,)
        return tuple(row for row in self.axes.pair_rows if of_one_language(self.axes.pairs[row]) in kinds)

    @functools.cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs, in alphabetical order."""
        return tuple(self.axes.pairs[row] for row in self._rows)

    @functools.cached_property
    def position(self) -> dict[Pair, int]:
        """Index of each pair in `pairs`."""
        return {pair: index for index, pair in enumerate(self.pairs)}

    def find(self, pair: Pair) -> tuple[int, bool]:
        """Index of a pair in `pairs`, and True if the grid has it the other way round."""
        a, b = pair
        turned = pair not in self.position
        return self.position[(b, a) if turned else pair], turned

    @property
    def states(self) -> tuple[str, ...]:
        """Names of encoder states."""
        return self.axes.states

    @functools.cached_property
    def sentences(self) -> tuple[str, ...]:
        """Labels of queries and candidates, in natural order."""
        return tuple(self.axes.sentences[row] for row in self.axes.sentence_rows)

    @functools.cached_property
    def common(self) -> Int[np.ndarray, " P"]:
        """Number of sentences that both languages of each pair have."""
        return np.asarray([self.axes.common[row] for row in self._rows], int)

    @property
    def rerank(self) -> int:
        """Number of candidates of a query that transport was computed for; 0 if for all."""
        found = self.attributes.get("rerank", 0)
        assert isinstance(found, int)
        return found

    @property
    def ranked(self) -> tuple[str, ...]:
        """Measures of which the grid has every score, so that candidates can be ranked by them."""
        kept = (name for name in self.measures if MEASURES[name].retrieves)
        return tuple(name for name in kept if not (self.rerank and name == RERANKING))

    @property
    def path(self) -> Place:
        """Place of the group."""
        return self.group.path

    @property
    def attributes(self) -> dict[str, Json]:
        """Identity of the grid, see Plan."""
        return self.group.attributes

    @functools.cached_property
    def _arrays(self) -> dict[str, ts.TensorStore]:
        return {measure: self.group.open_array(measure, keep_fill=True) for measure in self.measures}

    @functools.cached_property
    def has_frames(self) -> bool:
        """True if the grid knows the number of frames of every recording."""
        return all(code in self.axes.frames for pair in self.axes.pairs for code in pair)

    def frames(self, pair: int) -> Int[np.ndarray, "2 Q"]:
        """Numbers of frames of a pair's utterances in a and in b by sentence, 0 where there is none."""
        held = [self.axes.frames[code] for code in self.pairs[pair]]
        return np.asarray([[counts.get(sentence, 0) for sentence in self.sentences] for counts in held])

    @functools.cached_property
    def _tile(self) -> int:
        """Queries and candidates of a chunk."""
        return self.group.arrays[self.measures[0]]["chunk_grid"]["configuration"]["chunk_shape"][-1]

    @functools.cached_property
    def _tiles(self) -> list[list[tuple[int, ...]]]:
        """Last indices of the chunks that hold each pair's scores."""
        extents = [self.axes.extent(row, self._tile) for row in self._rows]
        return [list(itertools.product(*map(range, extent))) for extent in extents]

    def done(self) -> set[tuple[int, int]]:
        """Indices (pair, state) of the units whose chunks all exist."""
        return set.intersection(*map(self.present, self.measures))

    def present(self, measure: str) -> set[tuple[int, int]]:
        """Indices (pair, state) of a measure's score matrices whose chunks exist."""
        chunks = self.group.chunks_present(measure, 4)
        return {
            (pair, state)
            for pair, row in enumerate(self._rows)
            for state in range(len(self.states))
            if all((row, state, *tile) in chunks for tile in self._tiles[pair])
        }

    def write(self, pair: int, state: int, scores: Mapping[str, Float32[np.ndarray, "Q C"]]) -> None:
        """Write one unit and wait until it is on disk; UnfinishedError if the grid has it of others now."""
        if set(scores) != set(self.measures):
            raise Refusal(f"{self.path}: a unit has {self.measures}, got {tuple(scores)}")
        with zarr_growth.locked(self.path, shared=True) as held:
            self._check_recordings(pair)
            self._write(pair, state, scores)
            if not held:  # then the grid may grow at any moment
                try:
                    self._check_recordings(pair)
                except UnfinishedError:
                    for measure, index in (c for name in scores for c in self._chunks(name, pair, state)):
                        objects.remove(self.group.chunk(measure, index))
                    raise

    def _write(self, pair: int, state: int, scores: Mapping[str, Float32[np.ndarray, "Q C"]]) -> None:
        row, size, rows = self._rows[pair], len(self.axes.sentences), self.axes.sentence_rows
        queries, candidates = (min(n * self._tile, size) for n in self.axes.extent(row, self._tile))
        writes = []
        for measure, matrix in scores.items():
            for _, index in self._chunks(measure, pair, state):
                objects.empty_draft(self.group.chunk(measure, index))
            whole = np.full((size, size), np.nan, np.float32)
            whole[np.ix_(rows, rows)] = matrix
            target = self._arrays[measure][row, state, :queries, :candidates]
            writes.append(target.write(whole[:queries, :candidates]))
        for write in writes:
            objects.finish(write, self.path, f"{self.path}: {pair_name(self.pairs[pair])}, state {state}")

    def _check_recordings(self, pair: int) -> None:
        """Refuse to go on with scores of recordings that the grid no longer has."""
        if not zarr_growth.has_grown(self.group):
            return
        now = open_grid(self.path)
        facts = [_languages(grid.attributes.get("languages")) for grid in (self, now)]
        if zarr_growth.has_grown(now.group) or any(
            grid_growth.changes(code, self.axes, facts[0][code], now.axes, facts[1][code])
            for code in self.pairs[pair]
            if code in facts[0]
        ):
            raise UnfinishedError(
                f"{self.path}: has grown since this run began: {pair_name(self.pairs[pair])} is of other "
                "recordings now. What was written before is kept; run the same command again"
            )

    def read(self, measure: str, pair: int, state: int) -> Float[np.ndarray, "Q C"]:
        """Score matrix of a pair at a state; all NaN if it isn't computed yet."""
        return objects.result(self.reading(measure, pair, state), self.path)

    def reading(self, measure: str, pair: int, state: int) -> ts.Future:
        """Future of `read`, so that many reads overlap; it raises ValueError if the chunk is damaged."""
        whole, rows = self._arrays[measure][self._rows[pair], state], self.axes.sentence_rows
        if len(rows) < len(self.axes.sentences) or (np.diff(rows) != 1).any():
            whole = whole.oindex[rows, rows]
        return whole.read()

    def checksum(self, measure: str, pair: int, state: int) -> tuple[int | str, ...]:
        """Sizes and checksums of one score matrix; FileNotFoundError if it isn't computed yet."""
        return tuple(itertools.chain(*self.group.checksums(self._chunks(measure, pair, state))))

    def checksums(self, pair: int) -> list[tuple[int, str]]:
        """Checksums of a pair's score matrices, by measure and state, asked for at once; as `checksum`."""
        states = range(len(self.states))
        units = itertools.product(self.measures, states)
        return self.group.checksums([c for m, state in units for c in self._chunks(m, pair, state)])

    def _chunks(self, measure: str, pair: int, state: int) -> list[tuple[str, tuple[int, ...]]]:
        return [(measure, (self._rows[pair], state, *tile)) for tile in self._tiles[pair]]


def create_or_grow(path: Place, plan: Plan) -> Grid:
    """Grid at `path` with all pairs of a plan, made or grown now if it hasn't.

    Raises:
      Refusal: the existing grid has another identity; the message names each difference.
      WriteError: the grid can't be written.
    """
    size = len(plan.sentences)
    shape = (len(plan.pairs), len(plan.states), size, size)
    arrays = [
        Array(
            name=measure,
            axes=AXES,
            shape=shape,
            chunk=(1, 1, size, size),
            inner=None,
            dtype="float32",
            attributes={"long_name": MEASURES[measure].described, "units": "1"},
        )
        for measure in plan.measures
    ]
    if not zarr_group.create(path, plan.attributes(), plan.axes.coordinates(), arrays):
        with zarr_growth.locked(path):
            _grow(path, plan)
    return open_grid(path)


def _grow(path: Place, plan: Plan) -> None:
    grid, growth = open_grid(path), compare(path, plan)
    assert growth is not None
    if not growth.needed:
        return
    stale = {row for row, pair in enumerate(grid.axes.pairs) if pair in growth.stale}
    remove = [
        grid.group.chunk(measure, chunk)
        for measure in (grid.measures if stale else ())
        for chunk in sorted(grid.group.chunks_present(measure, 4))
        if chunk[0] in stale
    ]
    attributes = plan.attributes() | {
        "pairs": [pair_name(pair) for pair in growth.axes.pairs],
        "languages": growth.languages,
        "format": _format(growth.axes.pairs),
    }
    size = len(growth.axes.sentences)
    shape = (len(growth.axes.pairs), len(growth.axes.states), size, size)
    shapes = dict.fromkeys(grid.measures, shape)
    zarr_growth.relabel(path, attributes, growth.axes.coordinates(), shapes, remove)


def compare(path: Place, plan: Plan) -> grid_growth.GridGrowth | None:
    """Difference between the grid at `path` and a plan; None if there is no grid.

    Raises:
      Refusal: the existing grid has another identity; the message names each difference.
    """
    if not zarr_group.exists(path):
        return None
    grid = open_grid(path)
    _check_plan(grid, plan)
    held, wanted = (_languages(of.get("languages")) for of in (grid.attributes, plan.identity))
    return grid_growth.compare(path, grid.axes, held, plan.axes, wanted)


def _languages(described: Json) -> dict[str, grid_growth.Described]:
    """Facts about languages by code, as JSON has them."""
    assert described is None or isinstance(described, Mapping)
    return json.loads(json.dumps(described or {}))


_SINCE: dict[str, Json] = {"dtw_normalise": "none", "rerank": 0}  # of grids that don't name them


def open_grid(path: Place) -> Grid:
    """Grid that a grid job made at `path`, for reading.

    Raises:
      Refusal: there is no grid, or a Zarr group of another kind or format.
    """
    group = open_group(path)
    labels = group.labels
    return Grid(
        group=group,
        axes=grid_axes.of_labels(labels),
        measures=stored_measures(group.arrays),
    )


def open_group(path: Place) -> Group:
    """Group of the grid at `path`, of which only the metadata is read; Refusal as of `open_grid`."""
    [group] = zarr_group.find_groups([path])
    if group is None:
        zarr_group.exists(path)  # refuses something else in its place
        raise Refusal(f"{path}: there is no grid; make one with the grid job, or name another --grid")
    zarr_group.check_kind(group, KIND, READ)
    return group


def existing(path: Place, plan: Plan) -> set[tuple[int, int]]:
    """Indices (pair, state) of a plan's units that the grid at `path` has and keeps; writes nothing.

    Raises:
      Refusal: the existing grid has another identity.
    """
    growth = compare(path, plan)
    if growth is None:
        return set()
    grid = open_grid(path)
    kept = {grid.position[pair]: i for i, pair in enumerate(plan.pairs) if pair in grid.position}
    return {
        (kept[pair], state)
        for pair, state in grid.done()
        if pair in kept and grid.pairs[pair] not in growth.stale
    }


_ORIGIN = ("model", "weights_sha256", "settings")
_GROWS = ("kind", "format", "flags", "pairs", "languages")


def _check_plan(grid: Grid, plan: Plan) -> None:
    asked = _SINCE | plan.attributes()
    wanted = {key: value for key, value in asked.items() if key not in _GROWS + _ORIGIN}
    attributes = _SINCE | grid.attributes
    found = {key: attributes.get(key) for key in wanted}
    lines = state_origin.differences(attributes, plan.identity) + json_values.differences(found, wanted)
    if lines:
        raise Refusal(
            f"{grid.path}: holds a grid of other stores or flags{lines}\n"
            "  Remedy: name another --grid, or use the flags and stores it was made with."
        )

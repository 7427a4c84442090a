"""Grid of score matrices: one array per measure, (pair, state, query, candidate), in one Zarr group.

A chunk is one pair at one state, the unit of work: one file, written once. A unit is done when the chunks of
all measures exist; nothing else records it. Scores of sentences that a language lacks are NaN.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorstore as ts
from jaxtyping import Float, Float32, Int, Int32

from isogloss.engine.retrieval.measures import MEASURES
from isogloss.engine.runtime import json_values, zarr_group
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.runtime.zarr_group import Array, Coordinate

KIND, FORMAT, READ = "grid", 2, (1, 2)
AXES = ("pair", "state", "query", "candidate")
Pair = tuple[str, str]


def pair_name(pair: Pair) -> str:
    """Label of a pair on the pair axis."""
    return "-".join(pair)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Axes and identity of a grid; a run with another plan doesn't resume it.

    Attributes:
      pairs: language pairs, each unordered pair once.
      states: names of encoder states.
      sentences: sentences of all languages, in order; the query and the candidate axis.
      measures: names among MEASURES.
      common: number of sentences that both languages of each pair have.
      identity: everything else that decides the numbers: weights, listings, broken utterances, options.
      flags: resolved flags of the run that made the grid, for the record.
    """

    pairs: tuple[Pair, ...]
    states: tuple[str, ...]
    sentences: tuple[str, ...]
    measures: tuple[str, ...]
    common: tuple[int, ...]
    identity: Mapping[str, Json]
    flags: Mapping[str, Json]

    def attributes(self) -> dict[str, Json]:
        """Attributes of the group."""
        axes: dict[str, Json] = {
            "pairs": [pair_name(pair) for pair in self.pairs],
            "states": list(self.states),
            "measures": list(self.measures),
        }
        return {"kind": KIND, "format": FORMAT, **axes, **self.identity, "flags": self.flags}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Open grid.

    Attributes:
      path: path of the Zarr group.
      attributes: attributes of the group.
      pairs: language pairs.
      states: names of encoder states.
      sentences: labels of the query and of the candidate axis.
      measures: names of the arrays.
      common: number of sentences that both languages of each pair have.
    """

    path: pathlib.Path
    attributes: Mapping[str, Json]
    pairs: tuple[Pair, ...]
    states: tuple[str, ...]
    sentences: tuple[str, ...]
    measures: tuple[str, ...]
    common: Int[np.ndarray, " P"]

    @functools.cached_property
    def _arrays(self) -> dict[str, ts.TensorStore]:
        return {m: zarr_group.open_array(self.path, m, keep_fill=True) for m in self.measures}

    def done(self) -> set[tuple[int, int]]:
        """Indices (pair, state) of the units whose chunks all exist."""
        found = [zarr_group.chunks_present(self.path, measure, 2) for measure in self.measures]
        return {(pair, state) for pair, state in set.intersection(*found)}

    def write(self, pair: int, state: int, scores: Mapping[str, Float32[np.ndarray, "Q C"]]) -> None:
        """Write one unit and wait until it is on disk."""
        if set(scores) != set(self.measures):
            raise Refusal(f"{self.path}: a unit has {self.measures}, got {tuple(scores)}")
        writes = [self._arrays[measure][pair, state].write(matrix) for measure, matrix in scores.items()]
        for write in writes:
            zarr_group.finish(write, f"{self.path}: pair {pair}, state {state}")

    def read(self, measure: str, pair: int, state: int) -> Float[np.ndarray, "Q C"]:
        """Score matrix of a pair at a state; all NaN if it isn't computed yet."""
        return self.reading(measure, pair, state).result()

    def reading(self, measure: str, pair: int, state: int) -> ts.Future:
        """Future of `read`, so that many reads overlap; it raises ValueError if the chunk is damaged."""
        return self._arrays[measure][pair, state].read()

    @functools.cached_property
    def _files(self) -> dict[str, Callable[[Sequence[int]], pathlib.Path]]:
        return {measure: zarr_group.chunk_files(self.path, measure) for measure in self.measures}

    def checksum(self, measure: str, pair: int, state: int) -> tuple[int, str]:
        """Size and checksum of one score matrix's file; FileNotFoundError if it isn't computed yet."""
        return zarr_group.checksum(self._files[measure]((pair, state, 0, 0)))


def create_or_open(path: pathlib.Path, plan: Plan) -> Grid:
    """Grid at `path`, made now if there is none.

    Raises:
      Refusal: the existing grid has another plan; the message gives both values.
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
    if not zarr_group.create(path, plan.attributes(), _coordinates(plan), arrays):
        _check_plan(path, plan)
    return open_grid(path)


_SINCE: dict[str, Json] = {"dtw_normalise": "none"}  # values in grids made before the option existed


def open_grid(path: pathlib.Path) -> Grid:
    """Grid that a grid job made at `path`, for reading.

    Raises:
      Refusal: there is no grid, or a Zarr group of another kind or format.
    """
    if not zarr_group.exists(path):
        raise Refusal(f"{path}: there is no grid; make one with the grid job, or name another --grid")
    zarr_group.check_kind(path, KIND, READ)
    labels = {
        name: tuple(zarr_group.read_coordinate(path, name))
        for name in ("language_a", "language_b", "state", "sentence")
    }
    attributes = zarr_group.read_attributes(path)
    return Grid(
        path=path,
        attributes=attributes,
        pairs=tuple(zip(labels["language_a"], labels["language_b"], strict=True)),
        states=labels["state"],
        sentences=labels["sentence"],
        measures=tuple(name for name in MEASURES if (path / name).is_dir()),
        common=zarr_group.read_coordinate(path, "n_common"),
    )


def existing(path: pathlib.Path, plan: Plan) -> set[tuple[int, int]]:
    """Indices (pair, state) of the finished units of the grid at `path`, if there is one; writes nothing.

    Raises:
      Refusal: the existing grid has another plan.
    """
    if not zarr_group.exists(path):
        return set()
    _check_plan(path, plan)
    return open_grid(path).done()


def _check_plan(path: pathlib.Path, plan: Plan) -> None:
    wanted = {key: value for key, value in plan.attributes().items() if key not in ("format", "flags")}
    attributes = _SINCE | zarr_group.read_attributes(path)
    found = {key: attributes.get(key) for key in wanted}
    if lines := json_values.differences(found, wanted):
        raise Refusal(
            f"{path}: holds a grid of other stores or flags{lines}\n"
            "  Remedy: name another --grid, or use the flags and stores it was made with."
        )


def _coordinates(plan: Plan) -> list[Coordinate]:
    sentence: dict[str, Json] = {"long_name": "sentence"}
    common: Int32[np.ndarray, " P"] = np.asarray(plan.common, np.int32)
    return [
        Coordinate(name="pair", axis="pair", values=[pair_name(pair) for pair in plan.pairs]),
        Coordinate(name="language_a", axis="pair", values=[a for a, _ in plan.pairs]),
        Coordinate(name="language_b", axis="pair", values=[b for _, b in plan.pairs]),
        Coordinate(
            name="n_common",
            axis="pair",
            values=common,
            attributes={"long_name": "sentences that both languages have"},
        ),
        Coordinate(name="state", axis="state", values=plan.states),
        Coordinate(name="sentence", axis="sentence", values=plan.sentences),
        Coordinate(name="query", axis="query", values=plan.sentences, attributes=sentence),
        Coordinate(name="candidate", axis="candidate", values=plan.sentences, attributes=sentence),
    ]


def parse_pairs(wanted: Sequence[str], languages: Sequence[str]) -> tuple[Pair, ...]:
    """Pairs that `--pairs` names, each in the order of `languages`; all pairs if it names none.

    Raises:
      Refusal: a pair doesn't have two different languages of `languages`, or is named twice.
    """
    if not wanted:
        return tuple((a, b) for i, a in enumerate(languages) for b in languages[i + 1 :])
    found = []
    for text in wanted:
        # A code may contain "-" itself, so every hyphen is tried as the separator.
        cuts = [(text[:i], text[i + 1 :]) for i, letter in enumerate(text) if letter == "-"]
        known = [(a, b) for a, b in cuts if a in languages and b in languages]
        if not known:
            raise Refusal(
                f"--pairs={text}: a pair is two extracted languages, a-b; "
                f"extracted are {', '.join(languages)}"
            )
        a, b = known[0]
        if a == b:
            raise Refusal(f"--pairs={text}: a language isn't compared with itself; name two languages")
        found.append((a, b) if languages.index(a) < languages.index(b) else (b, a))
    if len(set(found)) < len(found):
        raise Refusal(f"--pairs names a pair twice: {','.join(wanted)}; a-b and b-a are the same pair")
    return tuple(sorted(found, key=lambda pair: [languages.index(code) for code in pair]))

"""State of a grid: one listing for each measure and one of failures, and one file of metadata; no score.

Labels are read only of a grid that has grown, where a unit may have several files.
"""

import typing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int

from isogloss.engine.grid import grid_store, pair_names
from isogloss.engine.grid.measures import stored_measures
from isogloss.engine.runtime import objects
from isogloss.engine.runtime.failure_notes import FailureNotes, Index
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.zarr_group import Group
from isogloss.engine.tallies.pace import pace
from isogloss.engine.tallies.tally import Count, Tally


def tally(path: Place) -> Tally:
    """Units, a pair at a state, by language and by state; Refusal if there is no grid."""
    group = grid_store.open_group(path)
    measures = stored_measures(group.arrays)
    names, states = (typing.cast(list[str], group.attributes[key]) for key in ("pairs", "states"))
    languages = typing.cast(dict[str, object], group.attributes["languages"])
    pairs = [pair_names.split(name, languages)[0] for name in names]
    units = _units_of_a_grown_grid(path) if _has_grown(group, measures) else _units(group, measures)
    notes = _failures(group, units)
    noted = np.asarray([*notes], int).reshape(-1, 2)
    by_pair = np.stack([np.bincount(each[:, 0], minlength=len(names)) for each in (units, noted)], 1)
    by_state = np.stack([np.bincount(each[:, 1], minlength=len(states)) for each in (units, noted)], 1)
    of_language = {code: [0, 0, 0] for code in sorted(languages)}  # sums of Count take a fifth of a second
    for pair, (done, failed) in zip(pairs, by_pair.tolist(), strict=True):
        for code in set(pair):
            of_language[code][0] += done
            of_language[code][1] += len(states)
            of_language[code][2] += failed
    total = Count(done=len(units), total=len(names) * len(states), failed=len(notes))
    return Tally(
        unit="units",
        count=total,
        parts={
            "language": {
                code: Count(done=done, total=of, failed=failed)
                for code, (done, of, failed) in of_language.items()
            },
            "state": {
                name: Count(done=done, total=len(names), failed=failed)
                for name, (done, failed) in zip(states, by_state.tolist(), strict=True)
            },
        },
        reasons={note["unit"]: note["error"] for note in notes.values()},
        pace=pace(len(units), lambda i: group.chunk(measures[-1], (*units[i].tolist(), 0, 0)), total.left),
    )


def _failures(group: Group, units: Int[np.ndarray, "U 2"]) -> dict[Index, dict[str, str]]:
    """Notes on failed units by pair and state, without those of units that are done."""
    notes = FailureNotes(group=group.path).read()
    done = set(map(tuple, units.tolist())) if notes else set()
    return {unit: note for unit, note in notes.items() if unit not in done}


def _has_grown(group: Group, measures: Sequence[str]) -> bool:
    """True if the axis of sentences is longer than a chunk."""
    array = group.arrays[measures[0]]
    return array["shape"][-1] > array["chunk_grid"]["configuration"]["chunk_shape"][-1]


def _units_of_a_grown_grid(path: Place) -> Int[np.ndarray, "U 2"]:
    """Pair and state of each unit whose files all exist."""
    grid = grid_store.open_grid(path)
    units = [(grid.axes.pair_rows[pair], state) for pair, state in sorted(grid.done())]
    return np.asarray(units, int).reshape(-1, 2)


def _units(group: Group, measures: Sequence[str]) -> Int[np.ndarray, "U 2"]:
    """Pair and state of each unit whose one file exists."""
    # Keys of one unit are equal in all measures, so they are compared before they are taken apart.
    with ThreadPoolExecutor(len(measures), "status") as pool:
        listed = pool.map(lambda measure: _keys(group, measure), measures)
        keys = [key for key in set.intersection(*listed) if key[:1] == "c" and key[-1].isdigit()]
    # A key is c.PAIR.STATE.0.0. NumPy reads all of them at once, in a tenth of the time of a loop.
    numbers = np.fromstring(".".join(keys).replace("/", ".").replace("c.", ""), np.int64, sep=".")
    return numbers.reshape(-1, len(grid_store.AXES))[:, :2]


def _keys(group: Group, measure: str) -> set[str]:
    """Paths of all files of an array; the names alone, in half the time, where there are no folders."""
    names = objects.children(group.path / measure)
    return set(objects.keys(group.path / measure)) if "c" in names else names  # c is a folder of format 1

"""Inputs of interpretation: grid, stores and words, opened and compared with each other.

All bad input is refused here, before any state is read.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.activations import activation_store, state_origin
from isogloss.engine.activations.language_states import GridLanguage, open_languages
from isogloss.engine.grid import grid_axes, grid_store, pair_names
from isogloss.engine.grid.grid_store import Grid, Pair
from isogloss.engine.interpretation import aligned_words
from isogloss.engine.interpretation.aligned_words import LanguageWords
from isogloss.engine.runtime import json_values
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

MEASURE = "seqsim"
_OWN = ("corpus_sha256", "missing")  # of a language of a grid that doesn't record its recordings


@dataclasses.dataclass(frozen=True, order=True)
class PairState:
    """One language pair at one state; in sorted order few languages are read twice.

    Attributes:
      state: index of the state on the grid's axis.
      pair: query language, candidate language.
    """

    state: int
    pair: Pair


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterpretInputs:
    """Grid and the stores that it was made of.

    Attributes:
      grid: of scores.
      members: languages of the pairs, with their stores.
      pairs: query language first; the grid may hold either direction.
      states: indices on the grid's axis, in its order.
      absent: states that an option names and the grid lacks.
    """

    grid: Grid
    members: Mapping[str, GridLanguage]
    pairs: tuple[Pair, ...]
    states: tuple[int, ...]
    absent: tuple[str, ...] = ()

    def units(self) -> list[PairState]:
        """The whole plan, in order of work."""
        return sorted(PairState(state, pair) for state in self.states for pair in self.pairs)

    def name(self, unit: PairState) -> str:
        """Name of a unit, in messages and of its parts."""
        return _unit_name(unit.pair, self.grid.states[unit.state])

    def lacking(self) -> list[str]:
        """Names of units whose state the grid lacks."""
        return [_unit_name(pair, state) for state in self.absent for pair in self.pairs]

    def scores(self, unit: PairState) -> Float[np.ndarray, "Q Q"]:
        """SeqSim with the query language's sentences as rows.

        Raises:
          Refusal: the chunk is damaged.
        """
        place, turned = self.grid.find(unit.pair)
        scores = self.grid.read(MEASURE, place, unit.state)
        return scores.T if turned else scores

    def fingerprints(
        self, words: Mapping[str, LanguageWords], settings: Mapping[str, Json]
    ) -> dict[str, str]:
        """Hash of all that a unit's tables depend on, by its name; units that the grid lacks have none."""
        # Flags record how the grid job was run, in how many shards for example; scores don't depend on them.
        stable = {key: value for key, value in self.grid.attributes.items() if key != "flags"}
        grid = json_values.fingerprint([stable, self.grid.sentences, settings])
        keys = {}
        for unit in self.units():
            try:
                # The chunk's own checksum, not its time: a copied grid is the same grid.
                chunk = self.grid.checksum(MEASURE, self.grid.find(unit.pair)[0], unit.state)
            except FileNotFoundError:
                continue
            name, digests = self.name(unit), [words[code].digest for code in unit.pair]
            keys[name] = json_values.fingerprint([grid, name, digests, chunk])
        return keys


def open_input(
    store: Place, grid_path: Place, pairs: Sequence[str], states: Sequence[str]
) -> InterpretInputs:
    """Grid and stores of the languages in `pairs`, by default all pairs of the grid.

    States that the grid lacks are listed in `absent`; the run continues with the others.

    Raises:
      Refusal: the grid lacks a pair or all of the states, or was made of other stores.
    """
    grid = grid_store.open_grid(grid_path).only(self_pairs=False)
    if MEASURE not in grid.measures:
        raise Refusal(
            f"{grid_path}: holds {', '.join(grid.measures)}; interpretation needs {MEASURE}. "
            f"Run isogloss.jobs.grid with --measures={MEASURE} into another grid"
        )
    wanted = pair_names.either_way(pairs, grid.pairs, grid_path) or grid.pairs
    codes = sorted({code for pair in wanted for code in pair})
    members = open_languages([activation_store.open_store(store, code) for code in codes])
    for member in members.values():
        _check_same(grid, member)
    _check_states(states, grid)
    return InterpretInputs(
        grid=grid,
        members=members,
        pairs=wanted,
        states=tuple(i for i, state in enumerate(grid.states) if not states or state in states),
        absent=tuple(state for state in states if state not in grid.states),
    )


def read_words(folder: pathlib.Path, opened: InterpretInputs) -> dict[str, LanguageWords]:
    """Words of every language; a Refusal if none of its utterances has any."""
    words = aligned_words.read(folder, {code: member.store for code, member in opened.members.items()})
    for code, member in opened.members.items():
        names = {member.store.names[row] for row in member.rows}
        if names.isdisjoint(words[code].utterances.keys() | words[code].problems.keys()):
            raise Refusal(
                f"{folder / aligned_words.FILE}: has words of {code}, of none of the {len(names)} utterances "
                f"of {opened.grid.path} ({sorted(names)[0]}, ...). Run align on the store's utterances"
            )
    return words


def _unit_name(pair: Pair, state: str) -> str:
    return f"{grid_store.pair_name(pair)} state {state}"


def _check_states(wanted: Sequence[str], grid: Grid) -> None:
    if wanted and set(wanted).isdisjoint(grid.states):
        raise Refusal(
            f"--states={','.join(wanted)}: {grid.path} has no such state, it has {', '.join(grid.states)}. "
            "If the model has it, extract it and run the grid job again, or ask for another"
        )


def _check_same(grid: Grid, member: GridLanguage) -> None:
    """Refuse a grid that wasn't made of this store."""
    lines = state_origin.differences(grid.attributes, member.store.attributes, ("grid", "store"))
    if text := _other_recordings(grid, member):
        lines += f"\n  since the grid was made, {member.language} has {text}"
    if lines:
        raise Refusal(
            f"{grid.path} isn't of {member.store.path}{lines}\n"
            "  Remedy: the --store that the grid was made of, or run the grid job on this one."
        )


def _other_recordings(grid: Grid, member: GridLanguage) -> str:
    """Sentences that a store has more, fewer or in another recording than its grid; "" if none differ."""
    if member.language in grid.axes.recordings:
        return grid_axes.changes(grid.axes.recordings[member.language], member.recordings())
    described, identity = grid.attributes["languages"], member.identity()
    assert isinstance(described, Mapping)
    its = described.get(member.language)
    same = isinstance(its, Mapping) and all(its.get(key) == identity[key] for key in _OWN)
    return "" if same else "other recordings, which a grid of an earlier version doesn't name"

"""Units of a job that compares mean-pooled states, and the mean states that they read.

The unit of work is a language at a state with all languages after it: mean-pooled states of all languages at
one state are in memory, 180 MB for 102 languages of Whisper large, and every utterance is read once by each
process and state.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from isogloss.engine.activations import store_languages
from isogloss.engine.activations.language_states import GridLanguage, agreement, load, open_languages
from isogloss.engine.runtime import json_values
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.similarity import unit_run
from isogloss.engine.similarity.pair_config import PairJobConfig
from isogloss.engine.similarity.unit_run import UnitJob, UnitSummary
from isogloss.engine.whisper import named_states

Unit = tuple[str, str]  # (state, language)
Pooled = Mapping[str, Float[np.ndarray, "U D"]]  # mean states by language


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairSummary(UnitSummary):
    """Result of a run whose units are languages at a state."""

    def place(self, config: PairJobConfig) -> str:
        """Amount stored, and the place of the table or what it waits for."""
        return self.stored(config, "languages at a state")


Summary = TypeVar("Summary", bound=PairSummary)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairUnits:
    """Languages, states and part files of a run.

    Attributes:
      members: languages by their codes.
      states: states to compare.
      parts: part files, by `name` of a unit.
      always: languages that every unit reads, beyond its own and those after it.
    """

    members: Mapping[str, GridLanguage]
    states: tuple[str, ...]
    parts: PartFiles
    always: tuple[str, ...] = ()

    @property
    def codes(self) -> list[str]:
        """Codes of the languages, in the order of tables."""
        return sorted(self.members)

    @property
    def units(self) -> list[Unit]:
        """All units, in the order of work."""
        # State outermost, so that mean states are read once for all units of a state.
        return list(itertools.product(self.states, self.codes[:-1]))

    def after(self, code: str) -> list[str]:
        """Languages that a unit compares its own with."""
        return self.codes[self.codes.index(code) + 1 :]

    def common(self, *codes: str) -> tuple[list[str], list[list[int]]]:
        """Sentences that languages share, in the order of the first, and their rows in each."""
        members = [self.members[code] for code in codes]
        others = [set(member.sentences) for member in members[1:]]
        shared = [s for s in members[0].sentences if all(s in held for held in others)]
        places = [{s: i for i, s in enumerate(member.sentences)} for member in members]
        return shared, [[place[s] for s in shared] for place in places]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairJob:
    """Functions by which a job treats its units.

    Attributes:
      name: of the job, and of its table.
      schema: of the rows of a unit.
      rows: rows of a unit, from the mean states of its languages.
      outputs: writes table and figures of all rows; returns facts for the summary, fields of it.
      seconds_of_a_pair: estimate of the time that a pair of languages takes at a state.
      settings: what the outputs depend on, other than the rows and --fdr.
    """

    name: str
    schema: pa.Schema
    rows: Callable[[PairUnits, Unit, Pooled], pa.Table]
    outputs: Callable[[pa.Table], dict[str, Json]]
    seconds_of_a_pair: Callable[[PairUnits], float]
    settings: Mapping[str, Json] = dataclasses.field(default_factory=dict)


def name(unit: Unit) -> str:
    """Name of a unit's part, and in messages."""
    state, code = unit
    return f"{code} state {state}"


def open_units(
    job: str, config: PairJobConfig, settings: Sequence[Json], always: tuple[str, ...] = ()
) -> PairUnits:
    """Units of the store's languages.

    Args:
      job: name of the job.
      config: its options.
      settings: everything that its rows depend on, other than states and recordings.
      always: languages that every unit reads.

    Raises:
      Refusal: there are fewer than two languages, or of different models, or a state isn't stored.
    """
    stores = store_languages.compared(config.store, config.languages, job)
    if unknown := sorted(set(always) - set(stores)):
        raise Refusal(f"{config.store}: no {', '.join(unknown)} among the languages {', '.join(stores)}")
    members = open_languages(list(stores.values()))
    origin = agreement(members)
    states = named_states.choose_states(config.states, next(iter(stores.values())).states)
    made_of = {code: json_values.fingerprint(member.recordings()) for code, member in members.items()}
    codes = sorted(members)
    keys = {
        name((state, code)): json_values.fingerprint(
            # Only the languages that the unit reads: another one's growth leaves its part valid.
            [[origin, *settings], state, {b: made_of[b] for b in (*codes[i:], *always)}]
        )
        for state in states
        for i, code in enumerate(codes[:-1])
    }
    parts = PartFiles(folder=config.out / "parts" / job, keys=keys)
    return PairUnits(members=members, states=states, parts=parts, always=always)


def run(job: PairJob, config: PairJobConfig, work: PairUnits, kind: type[Summary]) -> Summary:
    """Summary of a run, as `unit_run.run`."""
    means = _Means(work)

    def pairs(units: Sequence[Unit]) -> int:
        return sum(len(work.after(code)) for _, code in units)

    units = UnitJob[Unit](
        name=job.name,
        members=work.members,
        units=work.units,
        label=name,
        parts=work.parts,
        schema=job.schema,
        rows=lambda unit: job.rows(work, unit, means.of(unit)),
        plan=lambda units: {"units": len(units), "pairs": pairs(units)},
        estimated_seconds=lambda units: math.ceil(job.seconds_of_a_pair(work) * pairs(units)),
        settings={"fdr": config.fdr, **job.settings},
        outputs=job.outputs,
    )
    return unit_run.run(units, config, kind)


class _Means:
    """Mean states of the languages that units read, kept while units are of one state."""

    def __init__(self, work: PairUnits) -> None:
        self._work = work
        self._state = ""
        self._pooled: dict[str, Float[np.ndarray, "U D"]] = {}

    def of(self, unit: Unit) -> Pooled:
        """Mean states of a unit's languages, among others of its state; DamagedError if one can't be read."""
        state, code = unit
        # Only one state of all languages is in memory.
        if state != self._state:
            self._state, self._pooled = state, {}
        for each in (code, *self._work.after(code), *self._work.always):
            if each not in self._pooled:
                loaded = load(self._work.members[each], state, remove_language_mean=False)
                self._pooled[each] = loaded.pooled
        return self._pooled

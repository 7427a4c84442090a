"""Run of a job that compares mean-pooled states: units, part files, shares, and the outputs of all units.

The unit of work is a language at a state with all languages after it: mean-pooled states of all languages at
one state are in memory, 180 MB for 102 languages of Whisper large, and every utterance is read once by each
process and state. Finished units are part files under OUT/parts.
"""

import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.language_states import (
    DamagedError,
    GridLanguage,
    agreement,
    load,
    open_languages,
)
from isogloss.engine.runtime import atomic_write, json_values, sentences, version, written_once
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.similarity.pair_config import PairJobConfig
from isogloss.engine.whisper import encoder

_LOG = logging.getLogger(__name__)
Unit = tuple[str, str]  # (state, language)
Pooled = Mapping[str, Float[np.ndarray, "U D"]]  # mean states by language


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairSummary:
    """Result of a run; units are languages at a state, of this process's share.

    Attributes:
      done: units computed by this run.
      skipped: units computed by earlier runs.
      failed: reasons by unit that couldn't be computed, of all shares if the table was written.
      missing: broken utterances that a language's store lacks, by language; they are left out.
      waiting: units of other shards that aren't done; the table is written when there are none.
      rows: rows of the table.
      table: path of the table; None while other shards are unfinished.
      seconds: duration of the run.
      units_per_second: throughput.
      plan: work to do: units, pairs of representations, and with --dry_run the estimated time.
    """

    done: int = 0
    skipped: int
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    missing: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    waiting: int = 0
    rows: int = 0
    table: str | None = None
    seconds: float
    units_per_second: float = 0.0
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True if every unit is computed and no recording is broken."""
        return not self.failed and not any(self.missing.values())

    def stored(self, config: PairJobConfig) -> str:
        """How much is stored, and the place of the table or what it waits for."""
        start = sentences.stored(
            self.done, self.skipped, len(self.failed), "languages at a state", config.out, config.share
        )
        if self.table is None:
            return f"{start}; the table waits for {self.waiting:,} of other shards"
        return f"{start}; the table is {self.table}"


Summary = TypeVar("Summary", bound=PairSummary)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairUnits:
    """Languages, states and part files of a run.

    Attributes:
      members: languages by their codes.
      states: states to compare.
      parts: part files, by `name` of a unit.
      always: languages that every unit reads, besides its own and those after it.
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
    """What a job does with units.

    Attributes:
      name: of the job, and of its table.
      schema: of the rows of a unit.
      rows: rows of a unit, from the mean states of its languages.
      outputs: writes table and figures of all rows; returns facts for the summary, fields of it.
      seconds_of_a_pair: estimate of the time that a pair of languages takes at a state.
    """

    name: str
    schema: pa.Schema
    rows: Callable[[PairUnits, Unit, Pooled], pa.Table]
    outputs: Callable[[pa.Table], dict[str, Json]]
    seconds_of_a_pair: Callable[[PairUnits], float]


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
      settings: everything that its rows depend on, besides states and recordings.
      always: languages that every unit reads.

    Raises:
      Refusal: there are fewer than two languages, or of different models, or a state isn't stored.
    """
    stores = activation_store.compared(config.store, config.languages, job)
    if unknown := sorted(set(always) - set(stores)):
        raise Refusal(f"{config.store}: no {', '.join(unknown)} among the languages {', '.join(stores)}")
    members = open_languages(list(stores.values()))
    origin = agreement(members)
    states = encoder.choose_states(config.states, next(iter(stores.values())).states)
    made_of = {code: json_values.fingerprint(member.recordings()) for code, member in members.items()}
    codes = sorted(members)
    keys = {
        name((state, code)): json_values.fingerprint(
            [[origin, *settings], state, {b: made_of[b] for b in (*codes[i:], *always)}]
        )
        for state in states
        for i, code in enumerate(codes[:-1])
    }
    parts = PartFiles(folder=config.out / "parts", keys=keys)
    return PairUnits(members=members, states=states, parts=parts, always=always)


def run(job: PairJob, config: PairJobConfig, work: PairUnits, kind: type[Summary]) -> Summary:
    """Summary of a run that computes the missing units, and writes the outputs if none is left.

    Raises:
      Refusal: OUT can't be written to.
      OSError: the table can't be written.
    """
    start = time.monotonic()
    mine = config.share.of(work.units)
    todo = [unit for unit in mine if not work.parts.kept(name(unit))]
    plan = {"units": len(todo), "pairs": sum(len(work.after(code)) for _, code in todo)}
    skipped = len(mine) - len(todo)
    if config.dry_run:
        plan["estimated_seconds"] = math.ceil(job.seconds_of_a_pair(work) * plan["pairs"])
        return kind(skipped=skipped, seconds=round(time.monotonic() - start, 3), plan=plan)
    for folder in (config.out, work.parts.folder):
        atomic_write.make_folder(folder)
    failed = _compute(job, work, todo, skipped)
    others = [unit for unit in work.units if unit not in set(mine)]
    waiting = [unit for unit in others if work.parts.awaited(name(unit))]
    facts: dict = {}
    if not waiting:
        unmade = [unit for unit in others if not work.parts.kept(name(unit))]
        failed |= _compute(job, work, unmade, 0) if unmade else {}
        facts = _write_once(job, config, work)
    seconds = time.monotonic() - start
    return kind(
        done=len([unit for unit in todo if name(unit) not in failed]),
        skipped=skipped,
        failed=failed,
        missing={code: member.broken for code, member in work.members.items() if member.broken},
        waiting=len(waiting),
        table=None if waiting else str(config.out / f"{job.name}.parquet"),
        seconds=round(seconds, 3),
        units_per_second=round(len(todo) / seconds, 3),
        plan=plan,
        **facts,
    )


def _compute(job: PairJob, work: PairUnits, units: Sequence[Unit], before: int) -> dict[str, str]:
    """Reasons of the units that couldn't be computed, after storing the others; state by state."""
    failed: dict[str, str] = {}
    progress = Progress(job.name, before + len(units), "units", before=before)
    for state, of_state in itertools.groupby(units, key=lambda unit: unit[0]):
        pooled: dict[str, Float[np.ndarray, "U D"]] = {}
        for unit in of_state:
            try:
                for code in (unit[1], *work.after(unit[1]), *work.always):
                    if code not in pooled:
                        pooled[code] = load(work.members[code], state, remove_language_mean=False).pooled
                work.parts.save_tables(name(unit), job.rows(work, unit, pooled))
            except DamagedError as error:
                failed[name(unit)] = str(error)
                work.parts.note(name(unit), str(error))
                _LOG.error("%s: %s", name(unit), error)
            progress.advance(stored=name(unit) not in failed)
    progress.close()
    return failed


def _write_once(job: PairJob, config: PairJobConfig, work: PairUnits) -> dict[str, Json]:
    kept = [unit for unit in work.units if work.parts.kept(name(unit))]
    keys = [work.parts.keys[name(unit)] for unit in kept]
    made_of = {"isogloss": version.isogloss_version(), "fdr": config.fdr, "units": keys}

    def write() -> dict[str, Json]:
        parts = [work.parts.table(name(unit)).replace_schema_metadata() for unit in kept]
        return job.outputs(pa.concat_tables([job.schema.empty_table(), *parts]))

    facts, _ = written_once.write(config.out, job.name, made_of, write)
    assert isinstance(facts, dict), "outputs gave facts"
    return facts

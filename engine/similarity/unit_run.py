"""Run of a job that compares languages in a store: units of work, part files, shares, the outputs of all.

Finished units are part files under OUT/parts/JOB. Whoever finds that no unit of another share is awaited
writes the outputs.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import pyarrow as pa

from isogloss.engine.activations.language_states import DamagedError, GridLanguage
from isogloss.engine.runtime import atomic_write, part_run, sentences, written_once
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress, seconds_since
from isogloss.engine.similarity.unit_config import UnitJobConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnitSummary:
    """Result of a run; units are of this process's share.

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
      plan: work to do.
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

    def stored(self, config: UnitJobConfig, units: str) -> str:
        """Amount stored, and the place of the table or what it waits for; `units` in words."""
        start = sentences.stored(self.done, self.skipped, len(self.failed), units, config.out, config.share)
        if self.table is None:
            return f"{start}; the table waits for {self.waiting:,} of other shards"
        return f"{start}; the table is {self.table}"


Summary = TypeVar("Summary", bound=UnitSummary)
Unit = TypeVar("Unit")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnitJob(Generic[Unit]):
    """Units of a job, and the functions by which it treats them.

    Attributes:
      name: of the job, and of its table.
      members: languages by their codes.
      units: all units, in the order of the table.
      in_order: some units in the order of work, which is asked for before they are computed.
      label: name of a unit, of its part and in messages.
      parts: part files by label.
      schema: of the rows of a unit.
      rows: rows of a unit; raises DamagedError if the store is damaged where it reads.
      plan: work of some units; `estimated_seconds` is asked for in dry runs alone.
      estimated_seconds: estimate of the time that some units take.
      settings: what the outputs depend on, other than the rows.
      outputs: writes table and figures of all rows; returns facts for the summary, fields of it.
    """

    name: str
    members: Mapping[str, GridLanguage]
    units: Sequence[Unit]
    label: Callable[[Unit], str]
    parts: PartFiles
    schema: pa.Schema
    rows: Callable[[Unit], pa.Table]
    plan: Callable[[Sequence[Unit]], dict[str, int | float]]
    estimated_seconds: Callable[[Sequence[Unit]], int]
    settings: Json
    outputs: Callable[[pa.Table], dict[str, Json]]
    in_order: Callable[[Sequence[Unit]], Sequence[Unit]] = list

    def kept(self, unit: Unit) -> bool:
        """True if the unit's part is there."""
        return self.parts.kept(self.label(unit))


def run(job: UnitJob[Unit], config: UnitJobConfig, kind: type[Summary]) -> Summary:
    """Summary of a run that computes the missing units, and writes the outputs if none is left.

    Raises:
      Refusal: OUT can't be written to.
      OSError: the table can't be written.
    """
    start = time.monotonic()
    mine = config.share.of(list(job.units))
    todo = [unit for unit in mine if not job.kept(unit)]
    plan, skipped = job.plan(todo), len(mine) - len(todo)
    if config.dry_run:
        plan["estimated_seconds"] = job.estimated_seconds(todo)
        return kind(skipped=skipped, seconds=seconds_since(start), plan=plan)
    # After the dry run, which writes nothing.
    for folder in (config.out, job.parts.folder):
        atomic_write.make_folder(folder)
    failed = _compute(job, todo, skipped)
    own = set(mine)
    others = [unit for unit in job.units if unit not in own]
    waiting = [unit for unit in others if job.parts.awaited(job.label(unit))]
    facts: dict = {}
    if not waiting:
        # Units that other shards failed at are tried once more here, so that one process can name them all.
        unmade = [unit for unit in others if not job.kept(unit)]
        failed |= _compute(job, unmade, 0) if unmade else {}
        facts = _write_once(job, config)
    seconds = time.monotonic() - start
    return kind(
        done=len([unit for unit in todo if job.label(unit) not in failed]),
        skipped=skipped,
        failed=failed,
        missing={code: member.broken for code, member in job.members.items() if member.broken},
        waiting=len(waiting),
        table=None if waiting else str(config.out / f"{job.name}.parquet"),
        seconds=round(seconds, 3),
        units_per_second=round(len(todo) / seconds, 3),
        plan=plan,
        **facts,
    )


def _compute(job: UnitJob[Unit], units: Sequence[Unit], before: int) -> dict[str, str]:
    """Reasons of the units that couldn't be computed, after storing the others."""
    progress = Progress(job.name, before + len(units), "units", before=before)
    named = {job.label(unit): unit for unit in job.in_order(units)}
    return part_run.compute(job.parts, named, lambda unit: (job.rows(unit),), progress, DamagedError)


def _write_once(job: UnitJob[Unit], config: UnitJobConfig) -> dict[str, Json]:
    kept = [job.label(unit) for unit in job.units if job.kept(unit)]
    # The keys say what each part was made of, so the outputs are written again if any of them changes.
    keys = [job.parts.keys[label] for label in kept]
    made_of = {"settings": job.settings, "units": keys}

    def write() -> dict[str, Json]:
        return job.outputs(part_run.joined(job.parts, kept, job.schema))

    facts, _ = written_once.write(config.out, job.name, made_of, write)
    assert isinstance(facts, dict), "outputs gave facts"
    return facts

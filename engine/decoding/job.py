"""Conductor of the jobs that run the decoder, transcribe and align: `run` is what they share.

The units of work are blocks of utterances, divided among the processes. Results of a unit are kept under
OUT/parts; the process that finds all parts complete writes the tables. Broken recordings are reported by
name, and the run continues; every run tries them again. A run after a crash does only what is missing.
"""

import abc
import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

import jax
import pyarrow as pa

from isogloss.engine.activations.state_source import Encoded, Unusable
from isogloss.engine.decoding import compile_cost, decoder_program, job_cost, utterance_blocks
from isogloss.engine.decoding.decoder_program import Decoding
from isogloss.engine.decoding.job_config import DecoderJobConfig
from isogloss.engine.decoding.job_cost import Effort
from isogloss.engine.decoding.job_input import DecoderInput
from isogloss.engine.decoding.utterance_blocks import UtteranceBlock
from isogloss.engine.runtime import compilation, disk_space, out_folder, sentences, table_files
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.whisper import encoder_program

_LOG = logging.getLogger(__name__)
Config = TypeVar("Config", bound=DecoderJobConfig)
Summary = TypeVar("Summary", bound="DecoderJobSummary")
Made = TypeVar("Made")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderJob(abc.ABC, Generic[Made]):
    """Part of a job that `run` doesn't have: its settings, its results and their tables.

    Attributes:
      input: of the decoder.
      rows: utterances of a decoder's step on a device.
      settings: all that the results depend on, and names for people; a folder holds results of one such set.
      effort: for estimates.
    """

    name: ClassVar[str]

    input: DecoderInput
    rows: int
    settings: Mapping[str, Json]
    effort: Effort

    @property
    def identity(self) -> dict[str, Json]:
        """The settings without names: a model whose folder was renamed is still the same."""
        return out_folder.identity(self.settings)

    @abc.abstractmethod
    def key(self, unit: UtteranceBlock) -> str:
        """Fingerprint of all that the unit's part depends on."""

    @abc.abstractmethod
    def make(self, unit: UtteranceBlock, decoding: Decoding, advance: Callable[[], None]) -> Sequence[Made]:
        """Results of a unit's utterances in order; `advance` is called as the states of each arrive."""

    @abc.abstractmethod
    def part(self, made: Sequence[Made], language: str) -> pa.Table:
        """Table of a unit, with at least the columns utterance, problem and left_out."""

    @abc.abstractmethod
    def without_states(self, part: pa.Table) -> set[str]:
        """Names of a part's utterances that had no states, without those left out on request."""

    @abc.abstractmethod
    def write(self, units: Sequence[UtteranceBlock], parts: PartFiles, *, whole: bool) -> dict[str, object]:
        """Fields of the job's own summary; the tables are written if the units are the `whole`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderJobSummary:
    """Summary of a run; `done` and `skipped` count this process's share.

    Attributes:
      done: utterances of units made by this run.
      skipped: utterances of units that were complete before.
      waiting: units that other shards have not finished; tables are written when there are none.
      failed: reason by "language utterance"; of all shares if tables were written, else of this one.
      seconds: of the run.
      audio_seconds_per_second: duration of the audio of `done`, per second of the run.
      plan: units, utterances, FLOPs and bytes to do; with --dry_run also the estimated time.
      programs: numbers of programs compiled, and found in --compilation_cache.
    """

    done: int
    skipped: int
    waiting: int
    failed: Mapping[str, str]
    seconds: float
    audio_seconds_per_second: float
    plan: Mapping[str, int | float]
    programs: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """True if no utterance failed."""
        return not self.failed

    def sentence(self, config: DecoderJobConfig) -> str:
        """How much of the share is stored, and the tables or what they wait for."""
        start = sentences.stored(self.done, self.skipped, 0, "utterances", config.out, config.share)
        trouble = f", {len(self.failed):,} without a result, named above" if self.failed else ""
        if self.waiting:
            return f"{start}{trouble}; the tables wait for {self.waiting:,} units of other shards"
        return f"{start}{trouble}; the tables are there"


def run(config: Config, open_job: Callable[[Config], DecoderJob], summary: type[Summary]) -> Summary:
    """Summary of a run, which makes the units without a part, and the tables once all units have one.

    Raises:
      Refusal: bad input, before any compute; or --out holds results of other settings.
      OSError: the results can't be written.
    """
    start = time.monotonic()
    programs = compilation.keep(config.compilation_cache)
    job = open_job(config)
    units = utterance_blocks.blocks(job.input.source, job.input.sentences)
    parts = PartFiles(folder=config.out / "parts", keys={unit.name: job.key(unit) for unit in units})
    out_folder.check(config.out, job.name, job.settings)
    mine = config.share.of(units)
    todo = [unit for unit in mine if not parts.kept(unit.name) or _recovered(job, unit, parts)]
    skipped = utterance_blocks.utterance_count(mine) - utterance_blocks.utterance_count(todo)
    plan = job_cost.plan(todo, job.input, job.effort) | {"decoder_rows": job.rows}
    disk_space.require(
        config.out, int(plan["bytes"]), f"{plan['utterances']:,} utterances", "name another --out"
    )
    if config.dry_run:
        failed = _expected_failures(job, mine, todo, parts)
        plan, todo, waiting, more = plan | _time_here(job, plan, todo), [], 0, {}
    else:
        out_folder.claim(config.out, job.name, job.settings)
        _make_parts(job, todo, parts, skipped)
        # Each process looks at all units, not at its share: whichever ends last finds them complete.
        waiting = _awaited(units, parts)
        seen = mine if waiting else units
        failed, more = _failed(seen, parts), job.write(seen, parts, whole=not waiting)
    seconds = time.monotonic() - start
    audio = sum(u.frames for unit in todo for u in unit.utterances) * encoder_program.FRAME_SECONDS
    return summary(
        done=utterance_blocks.utterance_count(todo),
        skipped=skipped,
        waiting=waiting,
        failed=failed,
        seconds=round(seconds, 3),
        audio_seconds_per_second=round(audio / seconds, 3),
        plan=plan,
        programs=programs(),
        **more,
    )


def _time_here(
    job: DecoderJob, plan: Mapping[str, int | float], todo: Sequence[UtteranceBlock]
) -> dict[str, int | float]:
    """Estimated time of units on this machine, compiling included."""
    return job_cost.time_here(plan, job.effort, compile_cost.seconds(todo, job.input, job.rows, job.effort))


def _expected_failures(
    job: DecoderJob, mine: Sequence[UtteranceBlock], todo: Sequence[UtteranceBlock], parts: PartFiles
) -> dict[str, str]:
    """Failures that a run would report: those of finished units, and recordings without a frame; logged."""
    failed = _failed([unit for unit in mine if unit not in todo], parts)
    for unit in todo:
        names = {utterance.row: utterance.name for utterance in unit.utterances if not utterance.frames}
        for found in job.input.source.encoded(unit.language, list(names)):
            if isinstance(found, Unusable) and not found.asked_for:
                failed[f"{unit.language} {names[found.row]}"] = found.reason
                _LOG.error("%s %s: %s", unit.language, names[found.row], found.reason)
    return failed


def _recovered(job: DecoderJob, unit: UtteranceBlock, parts: PartFiles) -> bool:
    """True if an utterance that had no states when the unit's part was made has some now."""
    without = job.without_states(parts.table(unit.name))
    rows = [utterance.row for utterance in unit.utterances if utterance.name in without]
    # Only what failed is tried again; a unit whose recordings are still broken keeps its part.
    source = job.input.source
    return bool(rows) and any(isinstance(made, Encoded) for made in source.encoded(unit.language, rows))


def _make_parts(job: DecoderJob, todo: Sequence[UtteranceBlock], parts: PartFiles, before: int) -> None:
    """Load the decoder, and write the part of every unit; `before` utterances were stored earlier."""
    if not todo:
        return
    given = job.input
    decoding = decoder_program.load(
        given.checkpoint, given.vocabulary, given.precision, rows_per_device=job.rows
    )
    _LOG.info(
        "%s on %d %s device(s), %d row(s) each, products in %s, %d exit(s)",
        given.checkpoint.name,
        jax.local_device_count(),
        given.platform,
        job.rows,
        given.precision.compute,
        len(given.exits),
    )
    count = utterance_blocks.utterance_count(todo)
    progress = Progress(job.name, before + count, "utterances", before=before)
    # Every exit of an utterance is a row of the decoder; a step of the encoder must be full, too.
    fill = max(-(-decoding.capacity // len(given.exits)), given.source.step_rows)
    advance = functools.partial(progress.advance, stored=False)
    for unit, made in utterance_blocks.made_together(
        todo,
        fill,
        make=lambda unit: job.make(unit, decoding, advance),
        announce=lambda unit: given.source.announce(unit.language, [u.row for u in unit.utterances]),
    ):
        parts.save_tables(unit.name, job.part(made, unit.language))
        progress.store(len(unit.utterances))
    progress.close()


def _awaited(units: Sequence[UtteranceBlock], parts: PartFiles) -> int:
    """Number of units that other shards have not finished; also logged."""
    waiting = sum(not parts.kept(unit.name) for unit in units)
    if waiting:
        _LOG.info("other shards have not finished %d units; the tables are written once they have", waiting)
    return waiting


def _failed(units: Sequence[UtteranceBlock], parts: PartFiles) -> dict[str, str]:
    """Reason of every utterance that has no result, without those left out on request; also logged."""
    failed = {}
    for unit in units:
        columns = table_files.read_parquet(parts.path(unit.name), ["utterance", "problem", "left_out"])
        for name, problem, left_out in zip(*(column.to_pylist() for column in columns), strict=True):
            if problem and not left_out:
                failed[f"{unit.language} {name}"] = problem
    for utterance, problem in failed.items():
        _LOG.error("%s: %s", utterance, problem)
    return failed

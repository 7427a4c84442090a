"""Conductor of the jobs that run the decoder, transcribe and align: `run` is what they share.

The units of work are blocks of utterances, divided among the processes, each of which looks at the recordings
of its own share's languages only. Results of a unit are kept under OUT/parts; the process that finds all
parts complete writes the tables, unless they are there and of the same parts. Broken recordings are reported
by name, and the run continues; every run tries them again. A run after a crash does only what is missing.
"""

import abc
import dataclasses
import functools
import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import jax
import pyarrow as pa

from isogloss.engine.activations.state_source import Encoded, ListedUtterance
from isogloss.engine.corpora import estimated_lengths
from isogloss.engine.decoding import (
    compile_cost,
    decoder_program,
    job_cost,
    unit_keys,
    utterance_blocks,
)
from isogloss.engine.decoding.decoder_program import Decoding
from isogloss.engine.decoding.job_config import DecoderJobConfig
from isogloss.engine.decoding.job_cost import Effort
from isogloss.engine.decoding.job_input import DecoderInput
from isogloss.engine.decoding.utterance_blocks import Unit, UtteranceBlock
from isogloss.engine.runtime import (
    compilation,
    disk_space,
    out_folder,
    sentences,
    table_files,
    written_once,
)
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
    beyond: ClassVar[str]  # what happens to utterances longer than the window, for a warning

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
    def known(self, language: str) -> dict[str, Json]:
        """Part of what the job adds to `key` that is known before any recording is opened."""

    @abc.abstractmethod
    def make(self, unit: UtteranceBlock, decoding: Decoding, advance: Callable[[], None]) -> Sequence[Made]:
        """Results of a unit's utterances in order; `advance` is called as the states of each arrive.

        Two threads may call it at the same time, with other units.
        """

    @abc.abstractmethod
    def part(self, made: Sequence[Made], language: str) -> pa.Table:
        """Table of a unit, with at least the columns utterance, problem and left_out."""

    @abc.abstractmethod
    def without_states(self, part: pa.Table) -> set[str]:
        """Names of a part's utterances that had no states, without those left out on request."""

    @abc.abstractmethod
    def unfit(self, language: str, utterance: ListedUtterance) -> str:
        """Reason, known without the decoder, why an utterance with states gets no result; "" if none is."""

    @abc.abstractmethod
    def cut(self, utterance: ListedUtterance) -> bool:
        """True if a result lacks something because the recording is longer than the window."""

    @abc.abstractmethod
    def counts(self, units: Sequence[Unit], parts: PartFiles, *, whole: bool) -> dict[str, Any]:
        """Fields of the job's own summary, `truncated` among them; with `whole`, its table's path, too."""

    @abc.abstractmethod
    def write(self, units: Sequence[Unit], parts: PartFiles) -> dict[str, Json]:
        """The other fields of the job's own summary, after writing tables and figures of all units."""

    @property
    def written_with(self) -> list[Json]:
        """Options and versions that tables and figures depend on, and parts don't."""
        return []


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Work:
    """Work of a process.

    Attributes:
      units: of all processes.
      mine: of the share.
      todo: those of the share without a part.
      keys: of all units of the share's languages, by language and unit.
      parts: of those units.
    """

    units: Sequence[Unit]
    mine: Sequence[UtteranceBlock]
    todo: Sequence[UtteranceBlock]
    keys: Mapping[str, Mapping[str, str]]
    parts: PartFiles


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderJobSummary:
    """Summary of a run; `done` and `skipped` count this process's share.

    Attributes:
      done: utterances of units made by this run.
      skipped: utterances of units that were complete before.
      waiting: units that other shards have not finished; tables are written when there are none.
      failed: reason by "language utterance"; of all shares if all units are done, else of this one.
      truncated: utterances with a result and longer than the window; of the same shares.
      seconds: of the run.
      audio_seconds_per_second: duration of the audio of `done`, per second of the run.
      plan: units, utterances, FLOPs and bytes to do; with --dry_run also the estimated time.
      programs: numbers of programs compiled, and found in --compilation_cache.
    """

    done: int
    skipped: int
    waiting: int
    failed: Mapping[str, str]
    truncated: int = 0
    seconds: float
    audio_seconds_per_second: float
    plan: Mapping[str, int | float]
    programs: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """True if no utterance failed."""
        return not self.failed

    def sentence(self, config: DecoderJobConfig) -> str:
        """Amount of the share that is stored, and the tables or what they wait for."""
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
    work = _divided(config, job)
    skipped = utterance_blocks.utterance_count(work.mine) - utterance_blocks.utterance_count(work.todo)
    plan = job_cost.plan(work.todo, job.input, job.effort) | {"decoder_rows": job.rows}
    disk_space.require(
        config.out, int(plan["bytes"]), f"{plan['utterances']:,} utterances", "name another --out"
    )
    if config.dry_run:
        done, waiting = [], 0
        failed, more = _forecast(job, work)
        compiling = compile_cost.seconds(work.todo, job.input, job.rows, job.effort)
        plan |= job_cost.time_here(plan, job.effort, compiling)
        plan |= estimated_lengths.reported(sum(job.input.source.estimated.values()))
    else:
        done = work.todo
        waiting, failed, more = _made(config, job, work, skipped)
    if more["truncated"]:
        _LOG.warning(
            "%d utterances are longer than %s and %s; the column truncated marks them",
            more["truncated"],
            job.input.window_name,
            job.beyond,
        )
    seconds = time.monotonic() - start
    audio = sum(u.frames for unit in done for u in unit.utterances) * encoder_program.FRAME_SECONDS
    return summary(
        done=utterance_blocks.utterance_count(done),
        skipped=skipped,
        waiting=waiting,
        failed=failed,
        seconds=round(seconds, 3),
        audio_seconds_per_second=round(audio / seconds, 3),
        plan=plan,
        programs=programs(),
        **more,
    )


def _divided(config: DecoderJobConfig, job: DecoderJob) -> _Work:
    """Work of this process; of recordings only those of its share's languages are looked at."""
    given = job.input
    units = utterance_blocks.units(given.source, given.sentences)
    share = config.share.of(units)
    own = {
        language: utterance_blocks.blocks(given.source, language, given.sentences)
        for language in dict.fromkeys(unit.language for unit in share)
    }
    keys = {language: _keys(config, job, language, blocks) for language, blocks in own.items()}
    parts = PartFiles(folder=config.out / "parts", keys=_together(keys))
    out_folder.check(config.out, job.name, job.settings)
    names = {unit.name for unit in share}
    mine = [unit for blocks in own.values() for unit in blocks if unit.name in names]
    todo = [unit for unit in mine if not parts.kept(unit.name) or _recovered(job, unit, parts)]
    return _Work(units=units, mine=mine, todo=todo, keys=keys, parts=parts)


def _keys(
    config: DecoderJobConfig, job: DecoderJob, language: str, units: Sequence[UtteranceBlock]
) -> dict[str, str]:
    """Keys of a language's units, by unit."""
    if language in job.input.source.estimated:  # keys depend on lengths: those of runs are written down
        if written := unit_keys.recorded(config.out, language, _known(job, language)):
            return written
    return {unit.name: job.key(unit) for unit in units}


def _known(job: DecoderJob, language: str) -> dict[str, Json]:
    """All that decides the keys of a language and is known without a look at its recordings."""
    source, token = job.input.source, job.input.tokens[language]
    return {
        "sentences": utterance_blocks.sentences_taken(source, language, job.input.sentences),
        "states": source.known_identity(language),
        "token": dataclasses.asdict(token),
        "job": job.known(language),
    }


def _together(keys: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {unit: key for of_language in keys.values() for unit, key in of_language.items()}


def _made(
    config: DecoderJobConfig, job: DecoderJob, work: _Work, skipped: int
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Number of units that others have not finished, failures and the job's own fields, after the work."""
    out_folder.claim(config.out, job.name, job.settings)
    for language, keys in work.keys.items():
        unit_keys.record(config.out, language, _known(job, language), keys)
    _make_parts(job, work.todo, work.parts, skipped)
    # Each process looks at all units, not at its share: whichever ends last finds them complete.
    keys = dict(work.keys)
    for language in job.input.source.languages:
        if language not in keys:
            keys[language] = unit_keys.recorded(config.out, language, _known(job, language))
    parts = dataclasses.replace(work.parts, keys=_together(keys))
    waiting = _awaited(work.units, parts)
    seen = work.mine if waiting else work.units
    more = job.counts(seen, parts, whole=not waiting)
    if not waiting:
        more |= _written_once(config, job, work.units, parts)
    return waiting, _failed(seen, parts), more


def _written_once(
    config: DecoderJobConfig, job: DecoderJob, units: Sequence[Unit], parts: PartFiles
) -> dict[str, Json]:
    """The job's own fields of tables and figures, which are written unless they were made of these parts."""
    made_of = {
        "written_with": job.written_with,
        # By content: a recording that was broken and has recovered may leave the key of its part as it was.
        "parts": [parts.sha256(unit.name) for unit in units],
    }
    fields, _ = written_once.write(config.out, job.name, made_of, lambda: job.write(units, parts))
    assert isinstance(fields, dict), "`write` gave fields"
    return fields


def _forecast(job: DecoderJob, work: _Work) -> tuple[dict[str, str], dict[str, Any]]:
    """Failures and the job's own fields that a run would report, as far as they are known before; logged."""
    todo = {unit.name for unit in work.todo}
    finished = [unit for unit in work.mine if unit.name not in todo]
    failed, more = _failed(finished, work.parts), job.counts(finished, work.parts, whole=False)
    pending = {(unit.language, u.row): u for unit in work.todo for u in unit.utterances}
    rows = {
        language: [row for _, row in keys]
        for language, keys in itertools.groupby(pending, key=lambda key: key[0])
    }
    found: dict[tuple[str, int], str] = {}
    for language, made in job.input.source.without_states(rows):
        found[language, made.row] = "" if made.asked_for else made.reason
    for key, utterance in pending.items():
        reason = found[key] if key in found else job.unfit(key[0], utterance)
        if reason:
            failed[f"{key[0]} {utterance.name}"] = reason
            _LOG.error("%s %s: %s", key[0], utterance.name, reason)
    sound = [
        u
        for (code, row), u in pending.items()
        if (code, row) not in found and f"{code} {u.name}" not in failed
    ]
    return failed, more | {"truncated": more["truncated"] + sum(map(job.cut, sound))}


def _recovered(job: DecoderJob, unit: UtteranceBlock, parts: PartFiles) -> bool:
    """True if an utterance that had no states when the unit's part was made has some now."""
    without = job.without_states(parts.table(unit.name))
    rows = [utterance.row for utterance in unit.utterances if utterance.name in without]
    # Only what failed is tried again; a unit whose recordings are still broken keeps its part.
    source = job.input.source
    if unit.language in source.estimated:  # a dry run, which fetches no audio
        return False
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
    for unit, made in utterance_blocks.made_together(
        todo,
        fill,
        make=lambda unit, advance: job.make(unit, decoding, advance),
        advance=functools.partial(progress.advance, stored=False),
    ):
        parts.save_tables(unit.name, job.part(made, unit.language))
        progress.store(len(unit.utterances))
    progress.close()


def _awaited(units: Sequence[Unit], parts: PartFiles) -> int:
    """Number of units that other shards have not finished; also logged."""
    waiting = sum(not parts.kept(unit.name) for unit in units)
    if waiting:
        _LOG.info("other shards have not finished %d units; the tables are written once they have", waiting)
    return waiting


def _failed(units: Sequence[Unit], parts: PartFiles) -> dict[str, str]:
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

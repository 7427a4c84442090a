"""Conductor of interpretation: activation stores, grid and word times in, tables of word pairs out.

The unit of work is one language pair at one state; its tables are parts, and the tables of all parts are
put together by whoever finds them complete. Memory: two languages at one state, as in the grid job, and one
unit's tables (100 bytes a word pair; 350 sentences of 20 words have 150,000).
"""

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from isogloss.engine.activations.language_states import DamagedError
from isogloss.engine.interpretation import (
    align_words,
    inputs,
    meaning,
    phones,
    report,
    tables as interpret_tables,
    unit as interpret_unit,
    work as interpret_work,
)
from isogloss.engine.interpretation.align_words import Wanted
from isogloss.engine.interpretation.aligned_words import LanguageWords
from isogloss.engine.interpretation.inputs import Opened, PairState
from isogloss.engine.interpretation.interpret_config import InterpretConfig
from isogloss.engine.interpretation.report import Checks, Recordings
from isogloss.engine.interpretation.word_pairs import Method
from isogloss.engine.runtime import atomic_write, compilation, out_folder, table_files
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress

_LOG = logging.getLogger(__name__)
_LAYOUT = 1  # of the parts; another number makes older parts unfindable
_REASONS = 20  # why sentence pairs are left out, that are told
_FAR = 1e-4  # from the grid's score: worth a warning


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterpretSummary:
    """How a run ended; `done`, `skipped` and `waiting` are units.

    Attributes:
      done: computed by this run.
      skipped: of this process's share, there already.
      waiting: of other shards, not done yet; the tables are written when none is left.
      missing: units whose scores the grid doesn't hold, or not yet.
      failed: reason by unit that can't be computed.
      left_out: sentence pairs that can't be compared, of the tables; sentence_pairs.parquet has the reasons.
      unconverged: sentence pairs whose transport didn't come to rest, of the tables.
      without_phones: languages of which it isn't known how words sound, with the reason.
      page: to browse word matches; None while shards are waited for, and without a unit.
      largest_difference: of a sentence pair's score from the grid's, of the tables; null without tables.
      tables: rows by table; empty while shards are waited for.
      seconds: of the run.
      sentence_pairs_per_second: throughput.
      plan: what is to do; with --dry_run the time it would take.
      programs: compiled by this run, and found in --compilation_cache.
    """

    done: int
    skipped: int
    waiting: int
    missing: Sequence[str]
    failed: Mapping[str, str]
    left_out: int
    unconverged: int
    largest_difference: float | None
    tables: Mapping[str, int]
    without_phones: Mapping[str, str]
    page: str | None
    seconds: float
    sentence_pairs_per_second: float
    plan: Mapping[str, int | float]
    programs: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """Whether every unit is there, with every sentence pair that was meant to be."""
        return not self.failed and not self.missing and not self.left_out


def _method(config: InterpretConfig) -> Method:
    return Method(word_vector=config.word_vector, epsilon=config.epsilon, threshold=config.threshold)


def _settings(config: InterpretConfig) -> dict[str, Json]:
    """All, beside grid and words, that decides the tables of a unit."""
    return {"layout": _LAYOUT, "sentences": config.sentences, **dataclasses.asdict(_method(config))}


def _wanted(config: InterpretConfig) -> Wanted:
    """What is aligned where there are no words."""
    return Wanted(
        store=config.store,
        corpus=config.corpus,
        model=config.model,
        revision=config.revision,
        tokenizer=config.tokenizer,
        decoder_rows=config.decoder_rows,
        folder=config.out,
    )


def run(config: InterpretConfig) -> InterpretSummary:
    """Compare the words of every unit that isn't done, and write the tables once all are.

    Raises:
      Refusal: bad input, before any compute.
      OSError: the tables can't be written.
    """
    start = time.monotonic()
    programs = compilation.keep(config.compilation_cache)
    opened = inputs.open_input(config.store, config.grid, config.pairs, config.states)
    out_folder.check(config.out, "interpret", _settings(config))
    checks = _checks(config, opened)
    if opened.absent:
        _LOG.error(
            "%s: has no state %s, it has %s; the others go on. Extract it, if the model has it",
            config.grid,
            ", ".join(opened.absent),
            ", ".join(opened.grid.states),
        )
    if config.dry_run and config.words is None:
        aligning = align_words.align_plan(_wanted(config), opened)
        work = interpret_work.work(opened, None, opened.units(), timed=_method(config))
        work |= {f"align_{name}": amount for name, amount in aligning.items()}
        lacking = opened.lacking()
        return _summary(start, _Written(), skipped=0, missing=lacking, plan=work, programs=programs())
    if config.words is None:
        align_words.align_all(_wanted(config), opened)
    words = inputs.read_words(config.words or _wanted(config).out, opened)
    keys = opened.fingerprints(words, _settings(config))
    parts = PartFiles(folder=config.out / "parts", keys=keys, kinds=interpret_tables.PARTS)
    every = opened.units()
    mine = config.share.of(every)
    todo = [unit for unit in mine if opened.name(unit) in keys and not parts.kept(opened.name(unit))]
    skipped = sum(parts.kept(opened.name(unit)) for unit in mine)
    missing = [name for name in map(opened.name, every) if name not in keys]
    for name in missing:
        _LOG.error("%s: %s isn't computed yet. Run the grid job, then this again", config.grid, name)
    missing += opened.lacking()
    if config.dry_run:
        work = interpret_work.work(opened, words, todo, timed=_method(config))
        return _summary(start, _Written(), skipped=skipped, missing=missing, plan=work, programs=programs())
    out_folder.claim(config.out, "interpret", _settings(config))
    counted = _compute(config, opened, words, todo, parts)
    written = _write(config, opened, words, parts, checks)
    return _summary(
        start,
        written,
        done=sum(parts.kept(opened.name(unit)) for unit in todo),
        skipped=skipped,
        missing=missing,
        sentence_pairs=counted,
        plan=interpret_work.work(opened, words, todo),
        programs=programs(),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Written:
    """What became of the tables."""

    waiting: int = 0
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    left_out: int = 0
    unconverged: int = 0
    largest_difference: float | None = None
    tables: Mapping[str, int] = dataclasses.field(default_factory=dict)
    without_phones: Mapping[str, str] = dataclasses.field(default_factory=dict)
    page: str | None = None


def _summary(
    start: float,
    written: _Written,
    *,
    done: int = 0,
    skipped: int,
    missing: Sequence[str],
    sentence_pairs: int = 0,
    plan: Mapping[str, int | float],
    programs: Mapping[str, int],
) -> InterpretSummary:
    seconds = time.monotonic() - start
    return InterpretSummary(
        done=done,
        skipped=skipped,
        missing=missing,
        seconds=round(seconds, 3),
        sentence_pairs_per_second=round(sentence_pairs / seconds, 2),
        plan=plan,
        programs=programs,
        **{field.name: getattr(written, field.name) for field in dataclasses.fields(written)},
    )


def _compute(
    config: InterpretConfig,
    opened: Opened,
    words: Mapping[str, LanguageWords],
    todo: Sequence[PairState],
    parts: PartFiles,
) -> int:
    """Compute units and keep their tables; the number of sentence pairs compared."""
    reader, count = interpret_unit.Reader(opened), 0
    progress = Progress("interpret", len(todo), "units")
    for unit in todo:
        name = opened.name(unit)
        try:
            compared = interpret_unit.compare(
                opened, unit, reader, words, sentences=config.sentences, method=_method(config)
            )
        except DamagedError as error:
            _LOG.error("%s: %s", name, error)
            parts.note(name, str(error))
        else:
            keys = (*unit.pair, opened.grid.states[unit.state])
            sentences = interpret_tables.sentence_pairs(keys, compared, _method(config).tolerance)
            parts.save_tables(name, sentences, interpret_tables.word_pairs(keys, compared))
            count += sum(pair.found is not None for pair in compared)
        progress.advance()
    progress.close()
    return count


def _checks(config: InterpretConfig, opened: Opened) -> Checks:
    """Load what word pairs are checked with, so that a dry run tells what is missing, and a run at once."""
    return Checks(
        encoder=meaning.load(config.sentence_encoder),
        voices=phones.Phones() if config.phones == "espeak" else None,
        pictures=config.pictures,
        recordings=Recordings(config.corpus, [member.store for member in opened.members.values()])
        if config.corpus
        else None,
    )


def _write(
    config: InterpretConfig,
    opened: Opened,
    words: Mapping[str, LanguageWords],
    parts: PartFiles,
    checks: Checks,
) -> _Written:
    """Put the tables of all units together, unless other shards have some still to do."""
    units = [PairState(state, pair) for pair in opened.pairs for state in opened.states]
    every = [opened.name(unit) for unit in units]
    failed = {name: reason for name in every if (reason := parts.reason(name)) is not None}
    waiting = sum(parts.awaited(name) for name in every)
    if waiting:
        _LOG.info("%d units of other shards aren't done yet; the tables wait for them", waiting)
        return _Written(waiting=waiting, failed=failed)
    done = [unit for unit in units if parts.kept(opened.name(unit))]
    kept = [opened.name(unit) for unit in done]
    rows = {}
    for table, schema, of_unit in (
        (
            "word_pairs",
            interpret_tables.WORD_PAIRS,
            lambda name: parts.table(name, interpret_tables.WORD_PAIRS_PART),
        ),
        (
            "word_types",
            interpret_tables.WORD_TYPES,
            lambda name: interpret_tables.word_types(parts.table(name, interpret_tables.WORD_PAIRS_PART)),
        ),
        (
            "sentence_pairs",
            interpret_tables.SENTENCE_PAIRS,
            lambda name: parts.table(name, interpret_tables.SENTENCE_PAIRS_PART),
        ),
    ):
        counted = _Counted(of_unit(name) for name in kept)
        path = config.out / f"{table}.parquet"
        atomic_write.write_whole(
            path,
            lambda file, schema=schema, counted=counted: table_files.write_parquet_in_pieces(
                schema, counted, file
            ),
        )
        rows[table] = counted.rows
    written = _checked(
        config, [parts.table(name, interpret_tables.SENTENCE_PAIRS_PART) for name in kept], failed, rows
    )
    if not rows["word_pairs"]:
        report.remove(config.out)
        return written
    settings = _settings(config) | {"encoder": config.sentence_encoder, "phones": config.phones}
    page = report.write(config.out, opened, words, parts, done, checks, settings)
    voiceless = checks.voices.voiceless if checks.voices else {}
    for language, reason in voiceless.items():
        _LOG.warning("%s: how its words sound isn't known: %s", language, reason)
    return dataclasses.replace(written, without_phones=voiceless, page=str(page))


class _Counted:
    """Tables passed on, and their rows."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables = tables
        self.rows = 0

    def __iter__(self) -> Iterator[pa.Table]:
        for table in self._tables:
            self.rows += table.num_rows
            yield table


def _checked(
    config: InterpretConfig, tables: Sequence[pa.Table], failed: Mapping[str, str], rows: Mapping[str, int]
) -> _Written:
    """What the sentence pairs say of themselves; warnings where a reader should know."""
    columns = ["problem", "converged", "score", "precision", "recall", "grid_score", "state"]
    columns += ["truncated_a", "truncated_b"]
    every = pa.concat_tables([interpret_tables.SENTENCE_PAIRS.empty_table(), *tables]).select(columns)
    frame = every.to_pandas()
    good, left_out = frame[frame["problem"] == ""], frame.loc[frame["problem"] != "", "problem"]
    for reason, n in left_out.value_counts().iloc[:_REASONS].items():
        _LOG.warning("%d sentence pairs aren't compared: %s", n, reason)
    if left_out.nunique() > _REASONS:
        _LOG.warning("sentence_pairs.parquet has %d more reasons", left_out.nunique() - _REASONS)
    truncated = int((good["truncated_a"] | good["truncated_b"]).sum())
    if truncated:
        _LOG.warning(
            "%d sentence pairs have a recording longer than the model's window, whose last words may have "
            "wrong times; truncated_a and truncated_b mark them",
            truncated,
        )
    unconverged = int((~good["converged"].astype(bool)).sum())
    if unconverged:
        _LOG.warning(
            "the transport of %d sentence pairs hasn't come to rest after %d iterations; a larger --epsilon "
            "than %g does sooner",
            unconverged,
            _method(config).iterations,
            _method(config).epsilon,
        )
    difference = (good["score"] - good["grid_score"]).abs().to_numpy(float)
    largest = float(difference.max()) if difference.size else None
    # F1 passes errors of P and R on, many times where P + R is near 0.
    p, r = good["precision"].to_numpy(float), good["recall"].to_numpy(float)
    passed = np.maximum(1, (p * p + r * r) / np.maximum((p + r) ** 2, 1e-30))
    if (difference > _FAR * passed).any():
        _LOG.warning("scores are up to %.2g from the grid's: another --implementation made it?", largest)
    return _Written(
        failed=failed,
        left_out=len(left_out),
        unconverged=unconverged,
        largest_difference=largest,
        tables=rows,
    )

"""Conductor of alignment: recordings or stores and their texts in, the frames of every word out.

The unit of work is a block of utterances of one language, kept as a part file under OUT/parts. Several
processes divide the units; one that waits for no other's part writes the tables. What can't be aligned is
reported by name and the rest goes on; utterances that had no states are tried again by every run. Run again
after any crash, it does what is missing.
"""

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence

import jax

from isogloss.engine.activations.state_source import StateSource
from isogloss.engine.alignment import unit as align_unit, word_tables, word_timestamps
from isogloss.engine.alignment.align_config import AlignConfig
from isogloss.engine.alignment.unit import Work
from isogloss.engine.alignment.word_tables import Aligned
from isogloss.engine.checkpoints.checkpoint import Checkpoint, load_checkpoint
from isogloss.engine.decoding import decoder_cost, decoder_program, early_exit, job
from isogloss.engine.decoding.job import DecoderJobSummary, UtteranceBlock
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.runtime import compilation, devices, out_folder
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.whisper import alignment_heads, encoder_program
from isogloss.engine.whisper.alignment_heads import AlignmentHeads
from isogloss.engine.whisper.tokenizer import Tokens

JOB = "align"
_LAYOUT = 1  # of a part file; another number makes older parts unfindable
_ROW_BYTES = 2000  # of an utterance in the tables and its part, for estimates
_DECODER_SHARE = 0.2  # of a dense product's speed that reading a text reaches, for estimates
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignSummary(DecoderJobSummary):
    """How a run ended, see `job.DecoderJobSummary`; the counts are of every share where tables were written.

    Attributes:
      words: aligned.
      empty_words: of those, without a frame of their own.
      tied: utterances of which another warping path is as good.
      truncated: utterances longer than the window whose last words may have wrong times: all of their
        transcription was aligned.
      heads: where the alignment heads are from.
      table: words.parquet; None while shards are waited for.
    """

    words: int = 0
    empty_words: int = 0
    tied: int = 0
    truncated: int = 0
    heads: str
    table: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _AlignSetting:
    """What is aligned with what, opened."""

    checkpoint: Checkpoint
    vocabulary: Tokens
    source: StateSource
    heads: AlignmentHeads
    tokens: Mapping[str, Token]
    precision: encoder_program.Precision
    rows: int
    settings: Mapping[str, Json]


def run(config: AlignConfig) -> AlignSummary:
    """Align what isn't aligned yet, and write the tables if all is.

    Raises:
      Refusal: bad input, before any compute; or --out holds results of other settings.
      OSError: the results can't be written.
    """
    start = time.monotonic()
    programs = compilation.keep(config.compilation_cache)
    setting = _open(config)
    units = job.units(setting.source)
    parts = PartFiles(folder=config.out / "parts", keys={unit.name: _key(unit, setting) for unit in units})
    out_folder.check(config.out, JOB, setting.settings)
    mine = config.share.of(units)
    todo = job.missing(mine, parts, lambda unit: _mended(unit, setting, parts))
    skipped = job.utterances(mine) - job.utterances(todo)
    cost = _work(setting, config.text, todo)
    heads = setting.heads.source
    if config.dry_run:
        plan = cost | job.time_here(cost, _DECODER_SHARE)
        return job.ended(AlignSummary, start, [], skipped, plan, programs(), heads=heads)
    out_folder.claim(config.out, JOB, setting.settings)
    if todo:
        _align(config, setting, todo, parts)
    waiting = job.awaited(units, parts)
    if not waiting:
        by_language = {unit.language: [] for unit in units}
        for unit in units:
            by_language[unit.language].append(parts.path(unit.name))
        word_tables.write(config.out, list(by_language.values()))
    rows = [row for unit in (mine if waiting else units) for row in word_tables.rows(parts.path(unit.name))]
    failed = {
        f"{row['language']} {row['utterance']}": str(row["problem"])
        for row in rows
        if row["problem"] and not row["left_out"]
    }
    whole = config.text == "reference"  # a decoded text is of the window
    truncated = sum(bool(whole and row["truncated"] and row["words"]) for row in rows)
    if truncated:
        _LOG.warning(
            "%d utterances are longer than the model's window and were aligned with all of their "
            "transcription: their last words may have wrong times; the column truncated marks them",
            truncated,
        )
    return job.ended(
        AlignSummary,
        start,
        todo,
        skipped,
        cost,
        programs(),
        waiting=waiting,
        failed=failed,
        words=sum(int(str(row["words"])) for row in rows),
        empty_words=sum(int(str(row["empty_words"])) for row in rows),
        tied=sum(bool(row["tied"]) for row in rows),
        truncated=truncated,
        heads=heads,
        table=None if waiting else str(config.out / "words.parquet"),
    )


def _open(config: AlignConfig) -> _AlignSetting:
    """All that `config` names; Refusal for what can't be."""
    checkpoint = load_checkpoint(config.model, config.revision)
    vocabulary = job.vocabulary(config)
    heads = alignment_heads.choose(checkpoint)
    level = logging.INFO if heads.listed else logging.WARNING
    _LOG.log(level, "%s: %d alignment heads, %s", checkpoint.name, len(heads.heads), heads.source)
    [exit] = early_exit.choose(config.states, config.exit_norm, checkpoint.dimensions.encoder_layers)
    platform = jax.default_backend()
    precision = encoder_program.precision_for(platform, config.compute)
    source = job.open_source(config, checkpoint, [exit.state], silence=True)
    tokens = job.language_tokens(config, source.languages, vocabulary)
    sizes, memory = checkpoint.dimensions, devices.memory()
    rows = word_timestamps.rows_per_device(platform, sizes, precision.compute, memory, len(heads.heads))
    if config.text == "decoded":  # generating a text does not fill a CPU with one row, reading one does
        generated = decoder_cost.rows_per_device(platform, sizes, precision.compute, memory)
        rows = generated if platform == "cpu" else min(rows, generated)
    settings = {
        **job.settings(config, checkpoint, vocabulary, source, precision),
        "heads": [list(pair) for pair in heads.heads],
        "heads_from": heads.source,
        "exit": dataclasses.asdict(exit),
        "text": config.text,
    }
    return _AlignSetting(
        checkpoint=checkpoint,
        vocabulary=vocabulary,
        source=source,
        heads=heads,
        tokens=tokens,
        precision=precision,
        rows=rows,
        settings=settings,
    )


def _key(unit: UtteranceBlock, setting: _AlignSetting) -> str:
    token = setting.tokens[unit.language]
    return unit.key(setting.source, token, layout=_LAYOUT, settings=setting.settings)


def _mended(unit: UtteranceBlock, setting: _AlignSetting, parts: PartFiles) -> bool:
    kept = word_tables.rows(parts.path(unit.name))
    without = {str(row["utterance"]) for row in kept if row["without_states"] and not row["left_out"]}
    return job.mended(unit, setting.source, without)


def _align(
    config: AlignConfig, setting: _AlignSetting, todo: Sequence[UtteranceBlock], parts: PartFiles
) -> None:
    """Load the decoder and keep every unit's part."""
    decoding = decoder_program.load(
        setting.checkpoint, setting.vocabulary, setting.precision, rows_per_device=setting.rows
    )
    work = Work(
        source=setting.source,
        decoding=decoding,
        heads=setting.heads.heads,
        text=config.text,
        exit_norm=config.exit_norm == "true",
        tokens=setting.tokens,
    )
    progress = Progress(JOB, sum(len(unit.utterances) for unit in todo), "utterances")

    def make(unit: UtteranceBlock) -> Sequence[Aligned]:
        return align_unit.align(unit, work, progress.advance)

    for unit, aligned in job.together(todo, decoding.capacity, make):
        table = word_tables.tabulate(aligned, unit.language)
        parts.save_tables(unit.name, table)
    progress.close()


def _work(setting: _AlignSetting, text: str, todo: Sequence[UtteranceBlock]) -> dict[str, int]:
    cost = job.work(
        todo,
        setting.checkpoint,
        setting.source,
        readings=2 if text == "decoded" else 1,
        beams=1,
        encoder=setting.settings["states_from"] == "audio",
    )
    return cost | {"bytes": _ROW_BYTES * cost["utterances"]}

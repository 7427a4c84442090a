"""Conductor of transcription: recordings or stores in, transcripts and tables of early exit out.

The unit of work is a block of utterances of one language: states once per utterance, decoded at every exit,
kept as a part file under OUT/parts. Several processes divide the units; one that waits for no other's part
writes tables and figures. Broken recordings are reported by name and the rest goes on; every run tries them
again. Run again after any crash, it does what is missing.
"""

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence

import jax

from isogloss.engine.decoding import decoder_program, job
from isogloss.engine.decoding.job import DecoderJobSummary, UtteranceBlock
from isogloss.engine.runtime import compilation, out_folder
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.transcription import (
    outputs,
    setting as transcribe_setting,
    transcript_table,
    unit as transcribe_unit,
)
from isogloss.engine.transcription.setting import TranscriptionSetting
from isogloss.engine.transcription.transcribe_config import TranscribeConfig
from isogloss.engine.transcription.transcript_table import Transcript

__all__ = ["TranscribeConfig", "TranscribeSummary", "run"]

JOB = "transcribe"
DECODER_SHARE = 0.05  # of a dense product's speed that decoding reaches, for estimates
_ROW_BYTES = 500  # of transcripts.parquet, for estimates
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranscribeSummary(DecoderJobSummary):
    """How a run ended, see `job.DecoderJobSummary`.

    Attributes:
      rows: of the summary.
      best: by language, the best exit and its figures.
      summary: the table; None while shards are waited for.
    """

    rows: int = 0
    best: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)
    summary: str | None = None


def run(config: TranscribeConfig) -> TranscribeSummary:
    """Transcribe what isn't transcribed yet, and write the tables if all is.

    Raises:
      Refusal: bad input, before any compute; or --out holds results of other settings.
      OSError: the results can't be written.
    """
    start = time.monotonic()
    programs = compilation.keep(config.compilation_cache)
    setting = transcribe_setting.open_setting(config)
    units = job.units(setting.source)
    parts = PartFiles(folder=config.out / "parts", keys={unit.name: setting.key(unit) for unit in units})
    out_folder.check(config.out, JOB, setting.settings)
    mine = config.share.of(units)
    todo = job.missing(mine, parts, lambda unit: _mended(unit, setting, parts))
    skipped = job.utterances(mine) - job.utterances(todo)
    cost = _work(setting, todo)
    if config.dry_run:
        plan = cost | job.time_here(cost, DECODER_SHARE)
        return job.ended(TranscribeSummary, start, [], skipped, plan, programs())
    out_folder.claim(config.out, JOB, setting.settings)
    _transcribe(setting, todo, parts)
    waiting = job.awaited(units, parts)
    rows = [] if waiting else outputs.write(config.out, setting, units, parts)
    return job.ended(
        TranscribeSummary,
        start,
        todo,
        skipped,
        cost,
        programs(),
        waiting=waiting,
        failed=_failed(mine if waiting else units, parts),
        rows=len(rows),
        best={str(row["language"]): _best(row) for row in rows if row["best"]},
        summary=None if waiting else str(config.out / "summary.parquet"),
    )


def _mended(unit: UtteranceBlock, setting: TranscriptionSetting, parts: PartFiles) -> bool:
    without = transcript_table.without_states(parts.path(unit.name))
    return job.mended(unit, setting.source, without)


def _transcribe(setting: TranscriptionSetting, todo: Sequence[UtteranceBlock], parts: PartFiles) -> None:
    """Load the decoder and keep every unit's part."""
    if not todo:
        return
    decoding = decoder_program.load(
        setting.checkpoint, setting.tokens, setting.precision, rows_per_device=setting.rows
    )
    _LOG.info(
        "%s on %d %s device(s), %d row(s) each, products in %s, %d exit(s), %s",
        setting.checkpoint.name,
        jax.local_device_count(),
        jax.default_backend(),
        setting.rows,
        setting.precision.compute,
        len(setting.exits),
        "greedy" if setting.task.beams == 1 else f"{setting.task.beams} beams",
    )
    progress = Progress(JOB, sum(len(unit.utterances) for unit in todo), "utterances")

    def make(unit: UtteranceBlock) -> Sequence[Transcript]:
        texts = setting.texts[unit.language]
        return transcribe_unit.transcribe(
            unit, texts, setting.task, setting.source, decoding, progress.advance
        )

    for unit, transcripts in job.together(todo, -(-decoding.capacity // len(setting.exits)), make):
        normal = setting.texts[unit.language].normal
        table = transcript_table.tabulate(transcripts, unit.language, setting.task.task, normal)
        parts.save_tables(unit.name, table)
    progress.close()


def _failed(units: Sequence[UtteranceBlock], parts: PartFiles) -> dict[str, str]:
    return {
        f"{unit.language} {name}": problem
        for unit in units
        for name, problem in transcript_table.problems(parts.path(unit.name)).items()
    }


def _best(row: outputs.Row) -> dict[str, object]:
    metric = str(row["primary"])
    shown = ("state", "exit_norm", "primary", metric, f"{metric}_low", f"{metric}_high")
    figures = {key: row[key] for key in (*shown, "gain", "gain_low", "gain_high")}
    return {key: None if str(value) == "nan" else value for key, value in figures.items()}  # JSON has no NaN


def _work(setting: TranscriptionSetting, todo: Sequence[UtteranceBlock]) -> dict[str, int]:
    exits, audio = len(setting.exits), setting.settings["states_from"] == "audio"
    cost = job.work(
        todo,
        setting.checkpoint,
        setting.source,
        readings=exits,
        beams=setting.task.beams,
        encoder=audio,
    )
    return cost | {"exits": exits, "bytes": _ROW_BYTES * exits * cost["utterances"]}

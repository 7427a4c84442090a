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

from isogloss.engine import (
    decode,
    encode,
    out_folder,
    plan,
    table_files,
    time_axis,
    transcribe_setting,
    transcribe_unit,
    transcript_report,
    transcript_table,
)
from isogloss.engine.part_files import PartFiles
from isogloss.engine.progress import Progress
from isogloss.engine.spoken import Encoded
from isogloss.engine.transcribe_setting import Config, Setting
from isogloss.engine.transcribe_unit import Machine, Unit

__all__ = ["Config", "Summary", "run"]

JOB = "transcribe"
DECODER_SHARE = 0.05  # of a dense product's speed that decoding reaches, for estimates
_TOKENS = 5.0  # of a second of audio, for estimates
_ROW_BYTES = 500  # of transcripts.parquet, for estimates
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """How a run ended; `done` and `skipped` are of this process's share.

    Attributes:
      done: utterances transcribed by this run, at all exits.
      skipped: utterances of units that were there already.
      waiting: units of other shards that aren't done; tables are written when there is none.
      failed: reason by "language utterance"; of every share where tables were written, otherwise of this one.
      rows: of the summary.
      best: by language, the best exit and its figures.
      summary: the table; None while shards are waited for.
      seconds: of the run.
      audio_seconds_per_second: real audio transcribed, at all exits, per second of the run.
      plan: what is to do: units, utterances, FLOPs, bytes; with --dry_run the time it would take.
    """

    done: int
    skipped: int
    waiting: int
    failed: Mapping[str, str]
    rows: int
    best: Mapping[str, Mapping[str, object]]
    summary: str | None
    seconds: float
    audio_seconds_per_second: float
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """Whether no utterance failed."""
        return not self.failed


def run(config: Config) -> Summary:
    """Transcribe what isn't transcribed yet, and write the tables if all is.

    Raises:
      ValueError: bad input, before any compute; or --out holds results of other settings.
      OSError: the results can't be written.
    """
    start = time.monotonic()
    setting = transcribe_setting.open_setting(config)
    units = transcribe_unit.units(setting.source)
    parts = PartFiles(folder=config.out / "parts", keys={unit.name: setting.key(unit) for unit in units})
    out_folder.check(config.out, JOB, setting.settings)
    mine = config.share.of(units)
    todo = [unit for unit in mine if not parts.there(unit.name, "parquet") or _mended(unit, setting, parts)]
    cost = _work(setting, todo)
    if config.dry_run:
        return _summary(start, mine, todo, cost | _time(cost))
    out_folder.claim(config.out, JOB, setting.settings)
    _transcribe(setting, todo, parts)
    waiting = [unit for unit in units if not parts.there(unit.name, "parquet")]
    rows: list[transcript_report.Row] = []
    if waiting:
        _LOG.info("%d units of other shards aren't done yet; the tables wait for them", len(waiting))
    else:
        rows = transcript_report.write(config.out, setting, units, parts)
    failed = _failed(mine if waiting else units, parts)
    done = _summary(start, mine, todo, {key: int(value) for key, value in cost.items()})
    return dataclasses.replace(
        done,
        waiting=len(waiting),
        failed=failed,
        rows=len(rows),
        best={str(row["language"]): _best(row) for row in rows if row["best"]},
        summary=None if waiting else str(config.out / "summary.parquet"),
    )


def _mended(unit: Unit, setting: Setting, parts: PartFiles) -> bool:
    """Whether an utterance of a kept unit that had no states has some now."""
    without = transcript_table.without_states(parts.path(unit.name, "parquet"))
    rows = [utterance.row for utterance in unit.utterances if utterance.name in without]
    made = setting.source.encoded(unit.language, rows) if rows else ()
    return any(isinstance(one, Encoded) for one in made)


def _transcribe(setting: Setting, todo: Sequence[Unit], parts: PartFiles) -> None:
    """Load the decoder and keep every unit's part."""
    if not todo:
        return
    platform = jax.default_backend()
    rows = decode.rows_per_device(platform)
    decoding = decode.load(setting.checkpoint, setting.tokens, setting.precision, rows_per_device=rows)
    machine = Machine(source=setting.source, decoding=decoding, step=rows * jax.local_device_count())
    _LOG.info(
        "%s on %d %s device(s), %d row(s) each, products in %s, %d exit(s), %s",
        setting.checkpoint.name,
        jax.local_device_count(),
        platform,
        rows,
        setting.precision.compute,
        len(setting.exits),
        "greedy" if setting.task.num_beams == 1 else f"{setting.task.num_beams} beams",
    )
    progress = Progress(JOB, sum(len(unit.utterances) for unit in todo), "utterances")
    for unit in todo:
        texts = setting.texts[unit.language]
        said = transcribe_unit.transcribe(unit, texts, setting.task, machine, progress.advance)
        table = transcript_table.tabulate(said, unit.language, setting.task.task, texts.normal)
        parts.save(unit.name, "parquet", lambda file, table=table: table_files.write_parquet(table, file))
    progress.close()


def _failed(units: Sequence[Unit], parts: PartFiles) -> dict[str, str]:
    failed = {
        f"{unit.language} {name}": problem
        for unit in units
        for name, problem in transcript_table.problems(parts.path(unit.name, "parquet")).items()
    }
    for utterance, problem in failed.items():
        _LOG.error("%s: %s", utterance, problem)
    return failed


def _best(row: transcript_report.Row) -> dict[str, object]:
    metric = str(row["primary"])
    shown = ("state", "exit_norm", "primary", metric, f"{metric}_low", f"{metric}_high")
    figures = {key: row[key] for key in (*shown, "gain", "gain_low", "gain_high")}
    return {key: None if str(value) == "nan" else value for key, value in figures.items()}  # JSON has no NaN


def _work(setting: Setting, todo: Sequence[Unit]) -> dict[str, int | float]:
    """Units, utterances, bytes and FLOPs of what is to do; texts are taken to be of usual length."""
    sizes, audio = setting.checkpoint.dimensions, setting.settings["states_from"] == "audio"
    spoken = [u for unit in todo for u in unit.utterances if u.frames]
    decoder = 0.0
    for utterance in spoken:
        seconds = utterance.frames * time_axis.FRAME_SECONDS
        length = min(sizes.text_positions, 4 + round(_TOKENS * seconds))
        frames = sizes.positions if setting.source.whole_window else utterance.frames
        decoder += len(setting.exits) * decode.flops(sizes, frames, length, setting.task.num_beams)
    return {
        "units": len(todo),
        "utterances": len(spoken),
        "exits": len(setting.exits),
        "bytes": _ROW_BYTES * len(spoken) * len(setting.exits),
        "encoder_flops": len(spoken) * encode.flops(sizes) if audio else 0,
        "decoder_flops": decoder,
    }


def _time(cost: Mapping[str, int | float]) -> dict[str, int | float]:
    """Time here, by a product timed on the spot."""
    speed = plan.product_flops(jax.default_backend()) * jax.local_device_count()
    seconds = cost["encoder_flops"] / encode.SHARE_OF_PEAK + cost["decoder_flops"] / DECODER_SHARE
    return {"peak_flops_per_second": speed, "seconds": round(seconds / speed, 1)}


def _summary(
    start: float, mine: Sequence[Unit], todo: Sequence[Unit], cost: Mapping[str, int | float]
) -> Summary:
    seconds = time.monotonic() - start
    heard = sum(u.frames for unit in todo for u in unit.utterances) * time_axis.FRAME_SECONDS
    done = sum(len(unit.utterances) for unit in todo)
    return Summary(
        done=done,
        skipped=sum(len(unit.utterances) for unit in mine) - done,
        waiting=0,
        failed={},
        rows=0,
        best={},
        summary=None,
        seconds=round(seconds, 3),
        audio_seconds_per_second=round(heard / seconds, 3),
        plan=cost,
    )

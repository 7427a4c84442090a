"""Conductor of alignment: recordings or stores and their texts in, the frames of every word out.

The unit of work is a block of utterances of one language, kept as a part file under OUT/parts. Several
processes divide the units; one that waits for no other's part writes the tables. What can't be aligned is
reported by name and the rest goes on; utterances that had no states are tried again by every run. Run again
after any crash, it does what is missing.
"""

import dataclasses
import hashlib
import logging
import pathlib
import time
from collections.abc import Mapping, Sequence

import jax

from isogloss.engine import (
    align_table,
    align_unit,
    alignment_heads,
    decode,
    encode,
    exits,
    out_folder,
    part_files,
    plan,
    stand_in,
    state_source,
    table_files,
    time_axis,
    transcribe_unit,
)
from isogloss.engine.align_unit import TEXTS, Work
from isogloss.engine.alignment_heads import AlignmentHeads
from isogloss.engine.checkpoint import Checkpoint, load_checkpoint
from isogloss.engine.part_files import PartFiles
from isogloss.engine.progress import Progress
from isogloss.engine.spoken import Encoded, Source
from isogloss.engine.stand_in import Token
from isogloss.engine.tokens import Tokens
from isogloss.engine.transcribe_unit import Unit
from isogloss.engine.zarr_group import Json

JOB = "align"
_LAYOUT = 1  # of a part file; another number makes older parts unfindable
_TOKENS = 5.0  # of a second of audio, for estimates
_ROW_BYTES = 2000  # of an utterance in the tables and its part, for estimates
_DECODER_SHARE = 0.2  # of a dense product's speed that reading a text reaches, for estimates
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What the align job was asked for; its flags say what each field means."""

    corpus: str | None
    store: pathlib.Path | None
    model: str
    revision: str | None
    tokenizer: str | None
    out: pathlib.Path
    languages: tuple[str, ...]
    recordings: str
    long: str
    text: str
    states: tuple[str, ...]
    exit_norm: str
    language: str
    stand_in: tuple[str, ...]
    rows_per_device: int
    compute: str
    share: plan.Share
    dry_run: bool

    def __post_init__(self) -> None:
        """Refuse words that aren't among the choices."""
        if (self.corpus is None) == (self.store is None):
            raise ValueError("give --corpus, or --store to take states from there, and not both")
        if self.text not in TEXTS:
            raise ValueError(f"--text must be one of {TEXTS}, got {self.text!r}")
        if len(self.states) != 1 or self.exit_norm == "both":
            raise ValueError(
                "words are aligned at one state: --state names one of 1,..,final, --exit_norm is true or "
                f"false; got {','.join(self.states) or 'all'} and {self.exit_norm}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """How a run ended; `done` and `skipped` are of this process's share.

    Attributes:
      done: utterances of units made by this run.
      skipped: utterances of units that were there already.
      waiting: units of other shards that aren't done; tables are written when there is none.
      failed: reason by "language utterance"; this and the counts below are of every share where tables were
        written, otherwise of this one.
      words: aligned.
      empty_words: of those, without a frame of their own.
      tied: utterances of which another warping path is as good.
      heads: where the alignment heads are from.
      table: words.parquet; None while shards are waited for.
      seconds: of the run.
      audio_seconds_per_second: real audio aligned, per second of the run.
      plan: what is to do: units, utterances, FLOPs, bytes; with --dry_run the time it would take.
    """

    done: int
    skipped: int
    waiting: int
    failed: Mapping[str, str]
    words: int
    empty_words: int
    tied: int
    heads: str
    table: str | None
    seconds: float
    audio_seconds_per_second: float
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """Whether no utterance failed."""
        return not self.failed


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Setting:
    """What is aligned with what, opened."""

    checkpoint: Checkpoint
    vocabulary: Tokens
    source: Source
    heads: AlignmentHeads
    tokens: Mapping[str, Token]
    precision: encode.Precision
    rows: int
    settings: Mapping[str, Json]


def run(config: Config) -> Summary:
    """Align what isn't aligned yet, and write the tables if all is.

    Raises:
      ValueError: bad input, before any compute; or --out holds results of other settings.
      OSError: the results can't be written.
    """
    start = time.monotonic()
    setting = _open(config)
    units = transcribe_unit.units(setting.source)
    parts = PartFiles(folder=config.out / "parts", keys={unit.name: _key(unit, setting) for unit in units})
    out_folder.check(config.out, JOB, setting.settings)
    mine = config.share.of(units)
    todo = [unit for unit in mine if not parts.there(unit.name, "parquet") or _mended(unit, setting, parts)]
    cost = _work(setting, config.text, todo)
    if config.dry_run:
        return dataclasses.replace(
            _summary(setting, mine, todo, [], start, cost | _time(cost)), done=0, audio_seconds_per_second=0.0
        )
    out_folder.claim(config.out, JOB, setting.settings)
    if todo:
        _align(config, setting, todo, parts)
    waiting = [unit for unit in units if not parts.there(unit.name, "parquet")]
    if waiting:
        _LOG.info("%d units of other shards aren't done yet; the tables wait for them", len(waiting))
    else:
        by_language = {unit.language: [] for unit in units}
        for unit in units:
            by_language[unit.language].append(parts.path(unit.name, "parquet"))
        align_table.write(config.out, list(by_language.values()))
    rows = [
        row
        for unit in (mine if waiting else units)
        for row in align_table.rows(parts.path(unit.name, "parquet"))
    ]
    summary = _summary(setting, mine, todo, rows, start, {key: int(value) for key, value in cost.items()})
    for utterance, problem in summary.failed.items():
        _LOG.error("%s: %s", utterance, problem)
    table = None if waiting else str(config.out / "words.parquet")
    return dataclasses.replace(summary, waiting=len(waiting), table=table)


def _open(config: Config) -> _Setting:
    """All that `config` names; ValueError for what can't be."""
    checkpoint = load_checkpoint(config.model, config.revision)
    vocabulary = Tokens.load(config.tokenizer or config.model, config.revision)
    heads = alignment_heads.choose(checkpoint)
    level = logging.INFO if heads.listed else logging.WARNING
    _LOG.log(level, "%s: %d alignment heads, %s", checkpoint.name, len(heads.heads), heads.source)
    [exit] = exits.choose(config.states, config.exit_norm, checkpoint.dimensions.encoder_layers)
    platform = jax.default_backend()
    precision = encode.precision_for(platform, config.compute)
    if config.store is not None:
        source = state_source.open_store(
            config.store,
            checkpoint,
            [exit.state],
            languages=config.languages,
            silence=True,
            compute=config.compute,
        )
    else:
        source = state_source.open_audio(
            str(config.corpus),
            checkpoint,
            [exit.state],
            languages=config.languages,
            recordings=config.recordings,
            long=config.long,
            compute=config.compute,
            rows_per_device=config.rows_per_device,
        )
    tokens = _tokens(config, source, vocabulary)
    # Reading a text fills a CPU with one row, saying one doesn't.
    rows = (
        1 if platform == "cpu" and config.text == "reference" else min(16, decode.rows_per_device(platform))
    )
    settings = {
        "model": checkpoint.name,
        "weights_sha256": checkpoint.sha256,
        "vocabulary_sha256": hashlib.sha256(vocabulary.backend.to_str().encode()).hexdigest(),
        "states_from": "store" if config.corpus is None else "audio",
        "languages": list(source.languages),
        "heads": [list(pair) for pair in heads.heads],
        "heads_from": heads.source,
        "exit": dataclasses.asdict(exit),
        "compute": precision.compute,
        "decoder_rows_per_device": rows,
        **{name: getattr(config, name) for name in ("recordings", "long", "text", "language", "stand_in")},
    }
    return _Setting(
        checkpoint=checkpoint,
        vocabulary=vocabulary,
        source=source,
        heads=heads,
        tokens=tokens,
        precision=precision,
        rows=rows,
        settings=settings,
    )


def _tokens(config: Config, source: Source, vocabulary: Tokens) -> dict[str, Token]:
    """What the decoder is told of each language; what can't be is refused."""
    known = vocabulary.languages if vocabulary.multilingual else {}
    overrides = stand_in.parse(config.stand_in)
    tokens = {code: stand_in.choose(code, config.language, overrides, known) for code in source.languages}
    for code, token in tokens.items():
        if token.how != "detected":
            vocabulary.prompt(token.language)
        if token.reason:
            _LOG.info("%s: Whisper lacks it; the decoder is told %r: %s", code, token.language, token.reason)
    return tokens


def _key(unit: Unit, setting: _Setting) -> str:
    """Fingerprint of all that a unit's part depends on."""
    described = {
        "layout": _LAYOUT,
        "settings": setting.settings,
        "states": setting.source.identity(unit.language),
        "token": dataclasses.asdict(setting.tokens[unit.language]),
        "utterances": [dataclasses.asdict(utterance) for utterance in unit.utterances],
    }
    return part_files.fingerprint(described)


def _mended(unit: Unit, setting: _Setting, parts: PartFiles) -> bool:
    """Whether an utterance of a kept unit that had no states has some now."""
    kept = align_table.rows(parts.path(unit.name, "parquet"))
    without = {row["utterance"] for row in kept if row["without_states"] and not row["left_out"]}
    rows = [utterance.row for utterance in unit.utterances if utterance.name in without]
    return bool(rows) and any(
        isinstance(made, Encoded) for made in setting.source.encoded(unit.language, rows)
    )


def _align(config: Config, setting: _Setting, todo: Sequence[Unit], parts: PartFiles) -> None:
    """Load the decoder and keep every unit's part."""
    decoding = decode.load(
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
    for unit in todo:
        table = align_table.tabulate(align_unit.align(unit, work, progress.advance), unit.language)
        parts.save(unit.name, "parquet", lambda file, table=table: table_files.write_parquet(table, file))
    progress.close()


def _work(setting: _Setting, text: str, todo: Sequence[Unit]) -> dict[str, int | float]:
    """Units, utterances, bytes and FLOPs of what is to do; texts are taken to be of usual length."""
    sizes, window = setting.checkpoint.dimensions, setting.source.whole_window
    spoken = [utterance for unit in todo for utterance in unit.utterances if utterance.frames]
    passes = 2 if text == "decoded" else 1
    decoder = 0.0
    for utterance in spoken:
        seconds = utterance.frames * time_axis.FRAME_SECONDS
        length = min(sizes.text_positions, 5 + round(_TOKENS * seconds))
        decoder += passes * decode.flops(sizes, sizes.positions if window else utterance.frames, length)
    return {
        "units": len(todo),
        "utterances": len(spoken),
        "bytes": _ROW_BYTES * len(spoken),
        "encoder_flops": len(spoken) * encode.flops(sizes)
        if setting.settings["states_from"] == "audio"
        else 0,
        "decoder_flops": decoder,
    }


def _time(cost: Mapping[str, int | float]) -> dict[str, int | float]:
    """Time here, by a product timed on the spot."""
    speed = plan.product_flops(jax.default_backend()) * jax.local_device_count()
    seconds = cost["encoder_flops"] / encode.SHARE_OF_PEAK + cost["decoder_flops"] / _DECODER_SHARE
    return {"peak_flops_per_second": speed, "seconds": round(seconds / speed, 1)}


def _summary(
    setting: _Setting,
    mine: Sequence[Unit],
    todo: Sequence[Unit],
    rows: Sequence[Mapping[str, object]],
    start: float,
    cost: Mapping[str, int | float],
) -> Summary:
    """Counts and rates of a run; of the table's rows, what came of them."""
    seconds = time.monotonic() - start
    heard = sum(u.frames for unit in todo for u in unit.utterances) * time_axis.FRAME_SECONDS
    done = sum(len(unit.utterances) for unit in todo)
    failed = {
        f"{row['language']} {row['utterance']}": str(row["problem"])
        for row in rows
        if row["problem"] and not row["left_out"]
    }
    return Summary(
        done=done,
        skipped=sum(len(unit.utterances) for unit in mine) - done,
        waiting=0,
        failed=failed,
        words=sum(int(str(row["words"])) for row in rows),
        empty_words=sum(int(str(row["empty_words"])) for row in rows),
        tied=sum(bool(row["tied"]) for row in rows),
        heads=setting.heads.source,
        table=None,
        seconds=round(seconds, 3),
        audio_seconds_per_second=round(heard / seconds, 3),
        plan=cost,
    )

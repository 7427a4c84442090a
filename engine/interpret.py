"""Conductor of interpretation: activation stores, grid and word times in, tables of word pairs out.

The unit of work is one language pair at one state; its tables are parts, and the tables of all parts are
put together by whoever finds them complete. Memory: two languages at one state, as in the grid job, and one
unit's tables (100 bytes a word pair; 350 sentences of 20 words have 150,000).
"""

import dataclasses
import logging
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from isogloss.engine import (
    draft,
    interpret_input,
    interpret_parts,
    interpret_tables,
    interpret_unit,
    out_folder,
    plan,
    sentence_choice,
    table_files,
    word_pairs,
)
from isogloss.engine.grid_store import Pair
from isogloss.engine.interpret_input import Opened, Unit
from isogloss.engine.interpret_parts import Parts
from isogloss.engine.member import DamagedError
from isogloss.engine.progress import Progress
from isogloss.engine.word_pairs import Method, Side
from isogloss.engine.word_table import Spoken, Words
from isogloss.engine.zarr_group import Json

_LOG = logging.getLogger(__name__)
_LAYOUT = 1  # of the parts; another number makes older parts unfindable
_FAR = 1e-4  # from the grid's score: worth a warning
_ROW_BYTES = 30  # of a word pair on disk, in a part and again in the table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What the interpret job was asked for; its flags say what each field means."""

    store: pathlib.Path
    grid: pathlib.Path
    words: pathlib.Path
    out: pathlib.Path
    pairs: tuple[str, ...]
    states: tuple[str, ...]
    sentences: str
    method: Method
    share: plan.Share
    dry_run: bool

    def __post_init__(self) -> None:
        """Refuse a choice of sentences that isn't one."""
        if self.sentences not in sentence_choice.SENTENCES:
            known = ", ".join(sentence_choice.SENTENCES)
            raise ValueError(f"--sentences must be one of {known}, got {self.sentences!r}")

    def settings(self) -> dict[str, Json]:
        """All, beside grid and words, that decides the tables of a unit."""
        return {"layout": _LAYOUT, "sentences": self.sentences, **dataclasses.asdict(self.method)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """How a run ended; `done`, `skipped` and `waiting` are units.

    Attributes:
      done: computed by this run.
      skipped: of this process's share, there already.
      waiting: of other shards, not done yet; the tables are written when none is left.
      missing: units whose scores the grid doesn't hold yet.
      failed: reason by unit that can't be computed.
      left_out: sentence pairs that can't be compared, by reason, of the tables.
      unconverged: sentence pairs whose transport didn't come to rest, of the tables.
      largest_difference: of a sentence pair's score from the grid's, of the tables; null without tables.
      tables: rows by table; empty while shards are waited for.
      seconds: of the run.
      sentence_pairs_per_second: throughput.
      plan: what is to do; with --dry_run the time it would take.
    """

    done: int
    skipped: int
    waiting: int
    missing: Sequence[str]
    failed: Mapping[str, str]
    left_out: Mapping[str, int]
    unconverged: int
    largest_difference: float | None
    tables: Mapping[str, int]
    seconds: float
    sentence_pairs_per_second: float
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """Whether every unit is there, with every sentence pair that was meant to be."""
        return not self.failed and not self.missing and not self.left_out


def run(config: Config) -> Summary:
    """Compare the words of every unit that isn't done, and write the tables once all are.

    Raises:
      ValueError: bad input, before any compute.
      OSError: the tables can't be written.
    """
    start = time.monotonic()
    opened = interpret_input.open_input(config.store, config.grid, config.pairs, config.states)
    words = interpret_input.read_words(config.words, opened)
    keys = opened.fingerprints(words, config.settings())
    parts = interpret_parts.open_parts(config.out / "parts", keys)
    every = opened.units()
    mine = config.share.of(every)
    todo = [unit for unit in mine if opened.name(unit) in keys and not parts.kept(opened.name(unit))]
    skipped = sum(parts.kept(opened.name(unit)) for unit in mine)
    missing = [name for name in map(opened.name, every) if name not in keys]
    for name in missing:
        _LOG.error("%s: %s isn't computed yet. Run the grid job, then this again", config.grid, name)
    if config.dry_run:
        out_folder.check(config.out, "interpret", config.settings())
        work = _work(opened, words, todo, timed=config.method)
        return _summary(start, _Written(), skipped=skipped, missing=missing, plan=work)
    out_folder.claim(config.out, "interpret", config.settings())
    parts.make_folders()
    counted = _compute(config, opened, words, todo, parts)
    written = _write(config, opened, parts)
    return _summary(
        start,
        written,
        done=sum(parts.kept(opened.name(unit)) for unit in todo),
        skipped=skipped,
        missing=missing,
        sentence_pairs=counted,
        plan=_work(opened, words, todo),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Written:
    """What became of the tables."""

    waiting: int = 0
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
    unconverged: int = 0
    largest_difference: float | None = None
    tables: Mapping[str, int] = dataclasses.field(default_factory=dict)


def _summary(
    start: float,
    written: _Written,
    *,
    done: int = 0,
    skipped: int,
    missing: Sequence[str],
    sentence_pairs: int = 0,
    plan: Mapping[str, int | float],
) -> Summary:
    seconds = time.monotonic() - start
    return Summary(
        done=done,
        skipped=skipped,
        missing=missing,
        seconds=round(seconds, 3),
        sentence_pairs_per_second=round(sentence_pairs / seconds, 2),
        plan=plan,
        **{field.name: getattr(written, field.name) for field in dataclasses.fields(written)},
    )


def _compute(
    config: Config, opened: Opened, words: Mapping[str, Spoken], todo: Sequence[Unit], parts: Parts
) -> int:
    """Compute units and keep their tables; the number of sentence pairs compared."""
    reader, count = interpret_unit.Reader(opened), 0
    progress = Progress("interpret", len(todo), "units")
    for unit in todo:
        name = opened.name(unit)
        try:
            compared = interpret_unit.compare(
                opened, unit, reader, words, sentences=config.sentences, method=config.method
            )
        except DamagedError as error:
            _LOG.error("%s: %s", name, error)
            parts.note(name, str(error))
        else:
            keys = (*unit.pair, opened.grid.states[unit.state])
            sentences = interpret_tables.sentence_pairs(keys, compared, config.method.tolerance)
            parts.save(name, sentences, interpret_tables.word_pairs(keys, compared))
            count += sum(pair.found is not None for pair in compared)
        progress.advance()
    progress.close()
    return count


def _write(config: Config, opened: Opened, parts: Parts) -> _Written:
    """Put the tables of all units together, unless other shards have some still to do."""
    every = [opened.name(Unit(state, pair)) for pair in opened.pairs for state in opened.states]
    failed = {name: reason for name in every if (reason := parts.reason(name)) is not None}
    waiting = sum(parts.awaited(name) for name in every)
    if waiting:
        _LOG.info("%d units of other shards aren't done yet; the tables wait for them", waiting)
        return _Written(waiting=waiting, failed=failed)
    kept = [name for name in every if parts.kept(name)]
    rows = {}
    for table, schema, of_unit in (
        ("word_pairs", interpret_tables.WORD_PAIRS, lambda name: parts.read("word_pairs", name)),
        (
            "word_types",
            interpret_tables.WORD_TYPES,
            lambda name: interpret_tables.word_types(parts.read("word_pairs", name)),
        ),
        ("sentence_pairs", interpret_tables.SENTENCE_PAIRS, lambda name: parts.read("sentence_pairs", name)),
    ):
        counted = _Counted(of_unit(name) for name in kept)
        path = config.out / f"{table}.parquet"
        draft.write_whole(
            path,
            lambda file, schema=schema, counted=counted: table_files.write_parquet_in_pieces(
                schema, counted, file
            ),
        )
        rows[table] = counted.rows
    return _checked(config, [parts.read("sentence_pairs", name) for name in kept], failed, rows)


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
    config: Config, tables: Sequence[pa.Table], failed: Mapping[str, str], rows: Mapping[str, int]
) -> _Written:
    """What the sentence pairs say of themselves; warnings where a reader should know."""
    columns = ["problem", "converged", "score", "precision", "recall", "grid_score", "state"]
    every = pa.concat_tables([interpret_tables.SENTENCE_PAIRS.empty_table(), *tables]).select(columns)
    frame = every.to_pandas()
    left_out = {
        str(reason): int(n) for reason, n in frame["problem"].value_counts(sort=False).items() if reason
    }
    for reason, n in left_out.items():
        _LOG.warning("%d sentence pairs aren't compared: %s", n, reason)
    good = frame[frame["problem"] == ""]
    unconverged = int((~good["converged"].astype(bool)).sum())
    if unconverged:
        _LOG.warning(
            "the transport of %d sentence pairs hasn't come to rest after %d iterations; a larger --epsilon "
            "than %g does sooner",
            unconverged,
            config.method.iterations,
            config.method.epsilon,
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
        left_out=left_out,
        unconverged=unconverged,
        largest_difference=largest,
        tables=rows,
    )


def _work(
    opened: Opened, words: Mapping[str, Spoken], todo: Sequence[Unit], timed: Method | None = None
) -> dict[str, int | float]:
    """What units take, as if every sentence met itself; with `timed`, the seconds by a sample."""
    features = next(iter(opened.members.values())).store.features
    by_pair = {pair: _sizes(opened, words, pair) for pair in {unit.pair for unit in todo}}
    sentences, word_count, cells = (sum(by_pair[unit.pair][k] for unit in todo) for k in range(3))
    work: dict[str, int | float] = {
        "units": len(todo),
        "sentence_pairs": sentences,
        "word_pairs": word_count,
        "flops": 2 * features * cells,
        "bytes": 2 * _ROW_BYTES * word_count,
    }
    if timed:
        seconds = cells * _seconds_per_cell(features, timed) if todo else 0.0
        work["seconds"] = round(seconds, 1)
    return work


def _sizes(opened: Opened, words: Mapping[str, Spoken], pair: Pair) -> tuple[int, int, int]:
    """(sentence pairs, word pairs, pairs of frames) of a language pair's gold sentences."""
    sides = []
    for code in pair:
        member = opened.members[code]
        rows = dict(zip(member.sentences, member.rows, strict=True))
        names = {sentence: member.store.names[row] for sentence, row in rows.items()}
        counts = {s: len(words[code].utterances.get(name, ())) + 1 for s, name in names.items()}
        sides.append((counts, {s: int(member.store.frames[row]) for s, row in rows.items()}))
    common = sides[0][0].keys() & sides[1][0].keys()
    return (
        len(common),
        sum(sides[0][0][s] * sides[1][0][s] for s in common),
        sum(sides[0][1][s] * sides[1][1][s] for s in common),
    )


def _seconds_per_cell(features: int, method: Method) -> float:
    """Time of the kernels per pair of frames on this machine, by a batch of 8 s with 16 words."""
    rng = np.random.default_rng(0)
    frames, count = 384, 16
    first = np.arange(count, dtype=np.int32) * (frames // count)
    words = Words(
        index=tuple(range(count)),
        text=("",) * count,
        frames=np.stack([first, first + 9], axis=1),
        centre=first + 4,
        seconds=np.zeros((count, 2)),
        empty=0,
    )
    states = rng.standard_normal((2, frames, features)).astype(np.float16)
    sides = (Side(states=states[0], words=words), Side(states=states[1], words=words))
    seconds = []
    for _ in range(3):  # the first one compiles
        begin = time.perf_counter()
        word_pairs.compare([sides] * word_pairs.BATCH, method)
        seconds.append(time.perf_counter() - begin)
    return min(seconds) / (word_pairs.BATCH * frames**2)

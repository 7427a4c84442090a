"""The similarity job: reads activation stores, writes a table of CKA, SVCCA and RSA of every language pair.

A job of its own and no part of the report: a report is made of score matrices alone, also where their store
is gone, and these figures need the states. The unit of work is a language at a state with all languages after
it: mean-pooled states of all languages at one state are in memory, 180 MB for 102 languages of Whisper large,
and every utterance is read once by each process and state. Finished units are part files under OUT/parts.
"""

import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy import stats

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.language_states import (
    DamagedError,
    GridLanguage,
    agreement,
    load,
    open_languages,
)
from isogloss.engine.runtime import atomic_write, json_values, sentences, table_files, version, written_once
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.similarity import representations
from isogloss.engine.similarity.representations import Similarity
from isogloss.engine.similarity.similarity_config import SimilarityConfig
from isogloss.engine.whisper import encoder
from isogloss.kernels import bootstrap

LENGTH = ("kept", "partialled out")
SCHEMA = pa.schema(
    {
        **dict.fromkeys(("language_a", "language_b", "state", "length"), pa.string()),
        "n": pa.int32(),
        **{
            field.name: pa.int32() if field.type is int else pa.float64()
            for field in dataclasses.fields(Similarity)
        },
        "q": pa.float64(),
    }
)
_OF_PARTS = pa.schema([field for field in SCHEMA if field.name != "q"])
_LOG = logging.getLogger(__name__)
Unit = tuple[str, str]  # (state, language)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilaritySummary:
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

    def sentence(self, config: SimilarityConfig) -> str:
        """Place of the table and its warning, or what it waits for."""
        start = sentences.stored(
            self.done, self.skipped, len(self.failed), "languages at a state", config.out, config.share
        )
        if self.table is None:
            return f"{start}; the table waits for {self.waiting:,} of other shards"
        return f"{start}; the table is {self.table}. High similarity is no retrieval: read report's R@1 first"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Work:
    """Languages, states and part files of a run."""

    members: Mapping[str, GridLanguage]
    states: tuple[str, ...]
    parts: PartFiles

    @property
    def codes(self) -> list[str]:
        return sorted(self.members)

    @property
    def units(self) -> list[Unit]:
        return list(itertools.product(self.states, self.codes[:-1]))

    def after(self, code: str) -> list[str]:
        return self.codes[self.codes.index(code) + 1 :]


def name(unit: Unit) -> str:
    """Name of a unit's part, and in messages."""
    state, code = unit
    return f"{code} state {state}"


def run(config: SimilarityConfig) -> SimilaritySummary:
    """Summary of a run that computes the missing units, and writes the table if none is left.

    Raises:
      Refusal: there are fewer than two languages, or of different models, or OUT can't be written to.
      OSError: the table can't be written.
    """
    start = time.monotonic()
    work = _open(config)
    mine = config.share.of(work.units)
    todo = [unit for unit in mine if not work.parts.kept(name(unit))]
    plan = {"units": len(todo), "pairs": sum(len(work.after(code)) for _, code in todo)}
    skipped = len(mine) - len(todo)
    if config.dry_run:
        plan["estimated_seconds"] = math.ceil(_seconds_of_a_pair(work) * plan["pairs"])
        return SimilaritySummary(skipped=skipped, seconds=round(time.monotonic() - start, 3), plan=plan)
    for folder in (config.out, work.parts.folder):
        atomic_write.make_folder(folder)
    failed = _compute(work, todo, skipped)
    others = [unit for unit in work.units if unit not in set(mine)]
    waiting = [unit for unit in others if work.parts.awaited(name(unit))]
    rows = 0
    if not waiting:
        unmade = [unit for unit in others if not work.parts.kept(name(unit))]
        failed |= _compute(work, unmade, 0) if unmade else {}
        rows = _write_once(config, work)
    seconds = time.monotonic() - start
    return SimilaritySummary(
        done=len([unit for unit in todo if name(unit) not in failed]),
        skipped=skipped,
        failed=failed,
        missing={code: member.broken for code, member in work.members.items() if member.broken},
        waiting=len(waiting),
        rows=rows,
        table=None if waiting else str(config.out / "similarity.parquet"),
        seconds=round(seconds, 3),
        units_per_second=round(len(todo) / seconds, 3),
        plan=plan,
    )


def _open(config: SimilarityConfig) -> _Work:
    stores = activation_store.compared(config.store, config.languages, "similarity")
    members = open_languages(list(stores.values()))
    origin = agreement(members)
    states = encoder.choose_states(config.states, next(iter(stores.values())).states)
    made_of = {code: json_values.fingerprint(member.recordings()) for code, member in members.items()}
    settings = [
        origin,
        representations.VARIANCE,
        representations.DEGREE,
        representations.PERMUTATIONS,
        bootstrap.SEED,
    ]
    codes = sorted(members)
    keys = {
        name((state, code)): json_values.fingerprint([settings, state, {b: made_of[b] for b in codes[i:]}])
        for state in states
        for i, code in enumerate(codes[:-1])
    }
    return _Work(members=members, states=states, parts=PartFiles(folder=config.out / "parts", keys=keys))


def _compute(work: _Work, units: Sequence[Unit], before: int) -> dict[str, str]:
    """Reasons of the units that couldn't be computed, after storing the others; state by state."""
    failed: dict[str, str] = {}
    progress = Progress("similarity", before + len(units), "units", before=before)
    for state, of_state in itertools.groupby(units, key=lambda unit: unit[0]):
        pooled: dict[str, Float[np.ndarray, "U D"]] = {}
        for unit in of_state:
            try:
                for code in (unit[1], *work.after(unit[1])):
                    if code not in pooled:
                        pooled[code] = load(work.members[code], state, remove_language_mean=False).pooled
                work.parts.save_tables(name(unit), _rows(work, unit, pooled))
            except DamagedError as error:
                failed[name(unit)] = str(error)
                work.parts.note(name(unit), str(error))
                _LOG.error("%s: %s", name(unit), error)
            progress.advance(stored=name(unit) not in failed)
    progress.close()
    return failed


def _rows(work: _Work, unit: Unit, pooled: Mapping[str, Float[np.ndarray, "U D"]]) -> pa.Table:
    """Rows of one language with all languages after it."""
    state, a = unit
    rows = []
    for b in work.after(a):
        for length, (n, found) in zip(LENGTH, _pair(work, a, b, pooled), strict=True):
            key = {"language_a": a, "language_b": b, "state": state, "length": length, "n": n}
            rows.append(key | dataclasses.asdict(found))
    return pa.Table.from_pylist(rows, schema=_OF_PARTS)


def _pair(
    work: _Work, a: str, b: str, pooled: Mapping[str, Float[np.ndarray, "U D"]]
) -> list[tuple[int, Similarity]]:
    """Number of common sentences and similarity, with length and without."""
    members = [work.members[code] for code in (a, b)]
    common = [s for s in members[0].sentences if s in set(members[1].sentences)]
    rows = [[member.sentences.index(s) for s in common] for member in members]
    sides = [pooled[code][where] for code, where in zip((a, b), rows, strict=True)]
    if not common:
        return [(0, Similarity())] * 2
    frames = [
        member.store.frames[np.asarray(member.rows)[where]]
        for member, where in zip(members, rows, strict=True)
    ]
    partialled = [representations.without_length(side, *frames) for side in sides]
    return [(len(common), representations.similarity(x, y)) for x, y in (sides, partialled)]


def _write_once(config: SimilarityConfig, work: _Work) -> int:
    kept = [unit for unit in work.units if work.parts.kept(name(unit))]
    made_of = [version.isogloss_version(), config.fdr, [work.parts.keys[name(unit)] for unit in kept]]

    def write() -> int:
        parts = [work.parts.table(name(unit)) for unit in kept]
        whole = with_q(pa.concat_tables([_OF_PARTS.empty_table(), *parts]), config.fdr)
        path = config.out / "similarity"
        for kind, writer in (("parquet", table_files.write_parquet), ("csv", table_files.write_csv)):
            atomic_write.write_whole(path.with_suffix(f".{kind}"), lambda file, w=writer: w(whole, file))
        return whole.num_rows

    rows, _ = written_once.write(config.out, "similarity", made_of, write)
    assert isinstance(rows, int)
    return rows


def with_q(table: pa.Table, fdr: str) -> pa.Table:
    """The same rows with q of Mantel's p, over the rows of one `length`."""
    p, length = table["mantel_p"].to_numpy(), np.asarray(table["length"].to_pylist())
    q = np.full(len(p), np.nan)
    for each in LENGTH:
        of = (length == each) & ~np.isnan(p)
        if of.any():
            q[of] = stats.false_discovery_control(p[of], method=fdr)
    return table.append_column("q", pa.array(q, pa.float64()))


def _seconds_of_a_pair(work: _Work) -> float:
    """Duration of one comparison of random representations of this size, as both forms of a pair take it."""
    n = max(len(member.rows) for member in work.members.values())
    width = next(iter(work.members.values())).store.features
    x = np.random.default_rng(0).standard_normal((2, n, width))
    begin = time.monotonic()
    representations.similarity(*x)
    return 2 * (time.monotonic() - begin)

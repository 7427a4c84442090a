"""Conductor of the lexicon job: a store of single words in; tables of word pairs and classes, a figure out.

The unit of work is a language pair with all its states. Its tables are parts; the process that finds the
parts of all others joins them. Memory: both languages' frames at one state, twice with --pooling=centre.
"""

import dataclasses
import logging
import math
import pathlib
import time
from collections.abc import Mapping, Sequence

import jax
import pandas as pd
import pyarrow as pa

from isogloss.engine.activations import store_languages
from isogloss.engine.activations.language_states import DamagedError, agreement, open_languages
from isogloss.engine.drawing import picture_files
from isogloss.engine.grid import pair_names
from isogloss.engine.grid.grid_store import Pair, pair_name
from isogloss.engine.lexicon import figures, pair_tables, tables, translations, words
from isogloss.engine.lexicon.lexicon_config import LexiconConfig
from isogloss.engine.lexicon.pair_tables import Settings
from isogloss.engine.lexicon.translations import Translations
from isogloss.engine.lexicon.words import LexiconWords
from isogloss.engine.retrieval import table as retrieval_table
from isogloss.engine.runtime import (
    compilation,
    data_dictionary,
    json_values,
    out_folder,
    part_run,
    sentences,
    written_once,
)
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles, table_kind
from isogloss.engine.runtime.progress import Progress, seconds_since
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.texts import phones
from isogloss.engine.whisper import named_states
from isogloss.kernels import bootstrap, frame_scores

_COLUMNS = pathlib.Path(__file__).with_name(data_dictionary.NAME)
_LOG = logging.getLogger(__name__)
_LAYOUT = 1  # of the parts; another number makes older parts unfindable


@dataclasses.dataclass(frozen=True, kw_only=True)
class LexiconSummary:
    """Result of a run; units are language pairs, of this process's share.

    Attributes:
      done: pairs computed by this run.
      skipped: pairs computed by earlier runs.
      failed: reasons by pair that couldn't be computed, of all shares.
      waiting: pairs of other shards that aren't done; the tables are written when there are none.
      words: number of words by language.
      left_out: number of recordings by language that aren't of one word.
      without_phones: words by language that have no phones.
      missing: broken recordings that a language's store lacks, by language.
      without_translations: pairs in which no two words mean the same.
      rows: rows by table; empty until all shards have finished.
      table: path of the table of classes; None until then.
      seconds: duration of the run.
      pairs_per_second: throughput.
      programs: numbers of programs compiled, and found in --compilation_cache.
      plan: work to do: pairs, pairs of words at a state, and with --dry_run the estimated time.
    """

    done: int = 0
    skipped: int
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    waiting: int = 0
    words: Mapping[str, int]
    left_out: Mapping[str, int]
    without_phones: Mapping[str, Sequence[str]]
    missing: Mapping[str, Sequence[str]]
    without_translations: Sequence[str] = ()
    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    table: str | None = None
    seconds: float
    pairs_per_second: float = 0.0
    programs: Mapping[str, int]
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True if every pair is computed and no recording is broken."""
        return not self.failed and not any(self.missing.values())

    def sentence(self, config: LexiconConfig) -> str:
        """Number of pairs stored, and the table or what it waits for."""
        start = sentences.stored(self.done, self.skipped, len(self.failed), "pairs", config.out, config.share)
        if self.table is None:
            return f"{start}; the tables wait for {self.waiting:,} pairs of other shards"
        return f"{start}; the table is {self.table}, and {figures.NAME}.svg beside it shows it"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Work:
    """Words and settings of a run, and what decides each pair's tables.

    Attributes:
      pairs: all pairs.
      sides: words of each language.
      translations: None where sentence ids say what means the same.
      settings: of all pairs.
      missing: broken recordings of each language.
      identity: settings as they are stored with the results.
      parts: of each pair.
    """

    pairs: tuple[Pair, ...]
    sides: Mapping[str, LexiconWords]
    translations: Translations | None
    settings: Settings
    missing: Mapping[str, Sequence[str]]
    identity: Mapping[str, Json]
    parts: PartFiles

    def tables(self, pair: Pair) -> tuple[pa.Table, pa.Table]:
        a, b = (self.sides[code] for code in pair)
        return pair_tables.compute(a, b, self.translations, self.settings)


@picture_files.draws
def run(config: LexiconConfig) -> LexiconSummary:
    """Summary of a run, which computes the missing pairs and writes the tables once none is left.

    Raises:
      Refusal: bad input, before any compute.
      OSError: the tables can't be written.
    """
    start = time.monotonic()
    implementation = frame_scores.default_implementation(jax.default_backend())
    programs = compilation.keep(config.compilation_cache, implementation)
    work = _open(config, implementation)
    out_folder.check(config.out, "lexicon", work.identity)
    mine = config.share.of(work.pairs)
    todo = [pair for pair in mine if not work.parts.kept(pair_name(pair))]
    sides = work.sides.items()
    about: dict = {
        "skipped": len(mine) - len(todo),
        "words": {code: len(side.texts) for code, side in sides},
        "left_out": {code: side.sentences_left_out for code, side in sides if side.sentences_left_out},
        "without_phones": {code: side.unread for code, side in sides if side.unread},
        "missing": work.missing,
    }
    plan = _plan(work, todo)
    if config.dry_run:
        plan["estimated_seconds"] = part_run.estimated_seconds(todo, work.tables, DamagedError)
        return LexiconSummary(**about, seconds=seconds_since(start), programs=programs(), plan=plan)
    out_folder.claim(config.out, "lexicon", work.identity)
    before = len(mine) - len(todo)
    progress = Progress("lexicon", len(mine), "pairs", before=before)
    part_run.compute(work.parts, {pair_name(p): p for p in todo}, work.tables, progress, DamagedError)
    written = _write(config, work)
    done = sum(work.parts.kept(pair_name(pair)) for pair in todo)
    seconds = seconds_since(start)
    return LexiconSummary(
        **about,
        **written,
        done=done,
        seconds=seconds,
        pairs_per_second=round(done / seconds, 3),
        programs=programs(),
        plan=plan,
    )


def _open(config: LexiconConfig, implementation: str) -> _Work:
    stores = store_languages.compared(config.store, config.languages, "lexicon")
    # Languages that no pair names aren't opened: a store without words among them doesn't matter.
    pairs = pair_names.parse_pairs(config.pairs, tuple(stores))
    members = open_languages([stores[code] for code in sorted({code for pair in pairs for code in pair})])
    origin = agreement(members)
    sides = words.recorded_words(members, phones.Phones())
    translated = translations.read(config.translations, {code: set(w.texts) for code, w in sides.items()})
    settings = Settings(
        states=named_states.choose_states(config.states, next(iter(stores.values())).states),
        poolings=config.pooling,
        near=config.near,
        matches=config.matches,
        implementation=implementation,
    )
    identity: dict[str, Json] = {
        "layout": _LAYOUT,
        "seed": bootstrap.SEED,
        "translations": bool(config.translations),
        **{name: list(v) if isinstance(v, tuple) else v for name, v in vars(settings).items()},
    }
    work = _Work(
        pairs=pairs,
        sides=sides,
        translations=translated,
        settings=settings,
        missing={code: member.broken for code, member in members.items() if member.broken},
        identity=identity,
        parts=PartFiles(
            folder=config.out / "parts",
            keys={pair_name(pair): _key(pair, sides, translated, [identity, origin]) for pair in pairs},
            kinds=tuple(map(table_kind, tables.SCHEMAS)),
        ),
    )
    # Some pairs without translations are reported; none at all means that sentence ids are wrong.
    if len(_untranslated(work)) == len(pairs):
        raise Refusal(
            f"{config.store}: no two words of different languages mean the same. Give equal words one "
            "sentence id in the manifest, or name --translations that have these words"
        )
    return work


def _key(
    pair: Pair, sides: Mapping[str, LexiconWords], translated: Translations | None, settings: Json
) -> str:
    """Fingerprint of all that a pair's tables depend on."""
    made_of: list[Json] = [settings, list(pair)]
    for code in pair:
        # Phones are part of the key, because another espeak-ng may read a word differently.
        recordings = sides[code].member.recordings()
        made_of.append([list(recordings.items()), [*sides[code].texts], [*map(list, sides[code].phones)]])
    if translated is not None:
        made_of.append(sorted(map(list, translated.between(*pair))))
    return json_values.fingerprint(made_of)


def _untranslated(work: _Work) -> list[str]:
    """Pairs in which no two words mean the same."""
    return [
        pair_name((a, b))
        for a, b in work.pairs
        if not words.meanings(work.sides[a], work.sides[b], work.translations).same.any()
    ]


def _plan(work: _Work, todo: Sequence[Pair]) -> dict[str, int | float]:
    cells = sum(math.prod(len(work.sides[code].texts) for code in pair) for pair in todo)
    return {"pairs": len(todo), "cells": cells * len(work.settings.states)}


def _write(config: LexiconConfig, work: _Work) -> dict:
    """Facts on the joined tables and the figure, which are written if no other shard has pairs to do."""
    found = part_run.standing(work.parts, list(map(pair_name, work.pairs)), "pairs")
    facts = {
        "failed": found.failed,
        "waiting": found.waiting,
        "without_translations": _untranslated(work),
    }
    if found.waiting:
        return facts

    def outputs() -> Json:
        joined = {}
        for name in tables.SCHEMAS:
            joined[name] = part_run.joined(work.parts, found.kept, tables.SCHEMAS[name], table_kind(name))
            retrieval_table.write_table(joined[name], config.out, name)
        data_dictionary.write(config.out, _COLUMNS, tables.meaning)
        if found.kept:
            frame: pd.DataFrame = joined["classes"].to_pandas()
            picture_files.save(figures.drawn(frame), config.out / figures.NAME)
        return {name: held.num_rows for name, held in joined.items()}

    keys: Json = [work.parts.keys[name] for name in found.kept]
    made_of: Json = [keys, config.drawn_as]
    rows, _ = written_once.write(config.out, "lexicon", made_of, outputs)
    return {**facts, "rows": rows, "table": str(config.out / "classes.parquet")}

"""Conductor of the control job: a grid and the texts of its sentences in; tables, figures and a page out.

The unit of work is a language pair with all its states. Its tables are parts; the process that finds the
parts of all others joins them. Memory: a pair's scores in 64 bits, twice with --against, and as much for
jackknife and answers: 0.5 GB for 34 states of 350 sentences.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from isogloss.engine.control import inputs, outputs, pair_data, pair_tables, tables
from isogloss.engine.control.control_config import ControlConfig
from isogloss.engine.control.inputs import ControlInputs
from isogloss.engine.control.outputs import ControlOutputs
from isogloss.engine.control.pair_data import Readers, UnusableError
from isogloss.engine.control.pair_tables import Thresholds
from isogloss.engine.drawing import picture_files
from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Grid, Pair, pair_name
from isogloss.engine.runtime import disk_space, json_values, out_folder, part_run, sentences
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles, table_kind
from isogloss.engine.runtime.progress import Progress, seconds_since
from isogloss.engine.texts import meaning, phones

_LOG = logging.getLogger(__name__)
_LAYOUT = 2  # of the parts; another number makes older parts unfindable


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControlSummary(ControlOutputs):
    """Summary of a run, its outputs included; `done` and `skipped` are of this process's share.

    Attributes:
      done: pairs computed by this run.
      skipped: pairs complete before.
      missing: pairs of which the grid lacks scores, each with the first that is missing.
      seconds: of the run.
      pairs_per_second: throughput.
      plan: work to do: pairs and cells; with --dry_run also the estimated time.
    """

    done: int = 0
    skipped: int = 0
    missing: Sequence[str] = ()
    seconds: float = 0.0
    pairs_per_second: float = 0.0
    plan: Mapping[str, int | float] = dataclasses.field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True if every pair was computed."""
        return not self.missing and not self.failed

    def sentence(self, config: ControlConfig) -> str:
        """Number of pairs stored, and the page or what it waits for."""
        start = sentences.stored(self.done, self.skipped, len(self.failed), "pairs", config.out, config.share)
        lacking = f"; {len(self.missing):,} pairs lack scores, named above" if self.missing else ""
        if self.page is None:
            return f"{start}{lacking}; the tables wait for {self.waiting:,} pairs of other shards"
        return f"{start}{lacking}; the page is {self.page}"


@picture_files.draws
def run(config: ControlConfig) -> ControlSummary:
    """Summary of a run, which computes the missing pairs and writes the tables once none is left.

    Raises:
      Refusal: bad input, before any compute.
      OSError: the tables can't be written.
    """
    start = time.monotonic()
    opened = inputs.open_inputs(config)
    readers = Readers(
        voices=phones.Phones() if config.phones == "espeak" else None,
        encoder=meaning.load(config.sentence_encoder),
        content_phones=config.content_phones,
    )
    settings = _settings(config, opened)
    out_folder.check(config.out, "control", settings)
    keys, missing = _keys(config, opened, settings)
    # Parts are found by fingerprints, so pairs of other settings or texts are never mixed in.
    parts = PartFiles(folder=config.out / "parts", keys=keys, kinds=tuple(map(table_kind, tables.PARTS)))
    mine = [pair for pair in config.share.of(opened.pairs) if pair_name(pair) in keys]
    todo = [pair for pair in mine if not parts.kept(pair_name(pair))]
    plan, made = _work(opened, todo), _tables(config, opened, readers)
    if config.dry_run:
        disk_space.require(config.out, 0, "the tables", "name another --out")
        plan |= {"estimated_seconds": part_run.estimated_seconds(todo, made, UnusableError)}
        return ControlSummary(
            skipped=len(mine) - len(todo), missing=missing, plan=plan, seconds=seconds_since(start)
        )
    out_folder.claim(config.out, "control", settings)
    progress = Progress("control", len(mine), "pairs", before=len(mine) - len(todo))
    part_run.compute(parts, {pair_name(pair): pair for pair in todo}, made, progress, UnusableError)
    written = outputs.write(config, opened, parts, readers)
    done = sum(parts.kept(pair_name(pair)) for pair in todo)
    seconds = seconds_since(start)
    return ControlSummary(
        **vars(written),
        done=done,
        skipped=len(mine) - len(todo),
        missing=missing,
        seconds=seconds,
        pairs_per_second=round(done / seconds, 3),
        plan=plan,
    )


def _settings(config: ControlConfig, opened: ControlInputs) -> dict[str, Json]:
    """Settings that all tables depend on, without grids and texts."""
    return {
        "layout": _LAYOUT,
        "measure": config.measure,
        "states": [opened.grid.states[state] for state in opened.states],
        "against": config.against is not None,
        "names": sorted(opened.evidence.names),
        "phones": config.phones,
        "sentence_encoder": config.sentence_encoder,
        "alike": config.alike,
        "curve": list(config.thresholds),
        "content_phones": config.content_phones,
        "permutations": config.permutations,
    }


def _keys(
    config: ControlConfig, opened: ControlInputs, settings: Mapping[str, Json]
) -> tuple[dict[str, str], list[str]]:
    """Fingerprint of all that each pair's tables depend on, and the pairs of which a chunk is missing."""
    keys, missing = {}, []
    named = opened.evidence.named
    marked = [sorted(opened.evidence.numbered), sorted(named) if named is not None else None]
    for pair in opened.pairs:
        try:
            chunks = _checksums(opened.grid, pair, config.measure, opened.states)
            if opened.against is not None:
                # Several states of one encoder may meet the same state of the other.
                there = sorted({opened.other_state(state) for state in opened.states})
                chunks += _checksums(opened.against, pair, config.measure, there)
        except FileNotFoundError as error:
            missing.append(f"{pair_name(pair)}: {error}")
            _LOG.error("%s isn't computed yet. Run the grid job to its end, then this again", pair_name(pair))
            continue
        texts = [list(opened.texts[code].items()) for code in pair]
        keys[pair_name(pair)] = json_values.fingerprint([dict(settings), pair, chunks, texts, marked])
    return keys, missing


def _checksums(grid: Grid, pair: Pair, measure: str, states: Sequence[int]) -> list[Json]:
    place, turned = grid.find(pair)
    frames = grid.frames(place).tolist() if grid.has_frames else []
    found = [list(grid.checksum(measure, place, state)) for state in states]
    return [grid_store.pair_name(pair), turned, frames, found]


def _tables(
    config: ControlConfig, opened: ControlInputs, readers: Readers
) -> Callable[[Pair], tuple[pa.Table, ...]]:
    """Function that makes the tables of a pair; it raises UnusableError."""
    options = Thresholds(alike=config.alike, curve=config.thresholds, permutations=config.permutations)

    def made(pair: Pair) -> tuple[pa.Table, ...]:
        data = pair_data.load(opened, pair, config.measure, readers)
        return pair_tables.compute(opened, pair, data, options)

    return made


def _work(opened: ControlInputs, todo: Sequence[Pair]) -> dict[str, int | float]:
    count = {pair: int(opened.grid.common[opened.grid.find(pair)[0]]) for pair in todo}
    # Another encoder's scores are read and fitted as well.
    grids = 1 + (opened.against is not None)
    cells = sum(n * n for n in count.values()) * len(opened.states) * grids
    return {"pairs": len(todo), "cells": cells, "bytes": 4 * cells}

"""The grid job: reads activation stores, writes score matrices of every language pair and state.

The unit of work is one pair at one state. Languages are loaded in blocks that fit --memory_gb, once per pair
of blocks, not once per pair of languages; the next language is read while the kernels run.
"""

import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np
from jaxtyping import Float32

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.activations.language_states import (
    DamagedError,
    GridLanguage,
    LanguageStates,
    agreement,
    arrange,
    group_shapes,
    load,
    open_languages,
)
from isogloss.engine.retrieval import grid_store, pair_names, self_pairs
from isogloss.engine.retrieval.grid_axes import natural
from isogloss.engine.retrieval.grid_config import GridConfig
from isogloss.engine.retrieval.grid_store import Pair, Plan
from isogloss.engine.retrieval.measures import MEASURES
from isogloss.engine.retrieval.scores import score
from isogloss.engine.runtime import compilation, disk_space, sentences
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.options import recorded
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import encoder
from isogloss.kernels import frame_scores

_LOG = logging.getLogger(__name__)
Unit = tuple[int, int]  # (state, pair): the order of work


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridSummary:
    """Result of a run; units are of this process's share.

    Attributes:
      done: units computed and written by this run.
      skipped: units computed by earlier runs.
      failed: reasons by unit that couldn't be computed.
      missing: broken utterances that a language's store lacks, by language; their rows and columns are NaN.
      changes: names of sentences that a language has more, fewer or otherwise than an existing grid, by
        language; its pairs are made again.
      seconds: duration of the run.
      utterance_pairs_per_second: throughput.
      implementation: implementation of the kernels.
      programs: number compiled by this run, and number found in the cache.
      plan: work to do: units, FLOPs, bytes; with --dry_run also the estimated time.
    """

    done: int
    skipped: int
    failed: Mapping[str, str]
    missing: Mapping[str, Sequence[str]]
    changes: Mapping[str, str]
    seconds: float
    utterance_pairs_per_second: float
    implementation: str
    programs: Mapping[str, int]
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True if every unit is computed and no recording is broken."""
        return not self.failed and not any(self.missing.values())

    def sentence(self, config: GridConfig) -> str:
        """How much of the share is stored, and the command that ranks it."""
        share, grid = config.share, config.grid
        start = sentences.stored(self.done, self.skipped, len(self.failed), "units", grid, share)
        lacking = sum(map(len, self.missing.values()))
        broken = f", without {lacking:,} recordings, named above" if lacking else ""
        report = sentences.command("report", grid=grid, out=grid.parent / "report")
        return start + broken + sentences.following(share, report)


def run(config: GridConfig) -> GridSummary:
    """Summary of a run that computes the missing part of a grid.

    Raises:
      Refusal: bad input, found before any computation.
      OSError: the grid can't be written.
    """
    start = time.monotonic()
    implementation = config.implementation
    if implementation == "auto":
        implementation = frame_scores.default_implementation(jax.default_backend())
    programs = compilation.keep(config.compilation_cache, implementation)
    stores = _stores(config)
    pairs = pair_names.parse_pairs(config.pairs, tuple(stores))
    members = open_languages([stores[code] for code in sorted({code for pair in pairs for code in pair})])
    if config.self_pairs:
        pairs, members = self_pairs.added(pairs, members)
    grid_plan = _plan(config, pairs, members, implementation)
    _warn(grid_plan, members)
    every = list(itertools.product(range(len(grid_plan.states)), range(len(pairs))))
    mine = config.share.of(every)
    block = _block_size(config, members)
    changes = _warn_of_changes(config, grid_plan)
    there = grid_store.existing(config.grid, grid_plan)
    if config.dry_run:
        todo = [unit for unit in mine if unit[::-1] not in there]
        cost = _estimate(grid_plan, members, todo, implementation)
        _check_disk(config, grid_plan, len(todo))
        outcome = _GridOutcome(skipped=len(mine) - len(todo), changes=changes)
        return _summary(outcome, members, implementation, start, programs(), cost)
    _check_disk(config, grid_plan, len(set(mine) - {unit[::-1] for unit in there}))
    grid = grid_store.create_or_grow(config.grid, grid_plan)
    grid_plan = dataclasses.replace(grid_plan, sentences=grid.sentences)
    finished, places = grid.done(), [grid.pairs.index(pair) for pair in pairs]
    todo = [(state, pair) for state, pair in mine if (places[pair], state) not in finished]
    _LOG.info("%d units to do, kernels: %s", len(todo), implementation)
    outcome = _GridOutcome(skipped=len(mine) - len(todo), changes=changes)
    progress = Progress("grid", len(mine), "units", before=outcome.skipped)
    for (state, pair), scores in _computed(config, grid_plan, members, todo, implementation, block):
        if isinstance(scores, DamagedError):
            what = f"{grid_store.pair_name(pairs[pair])} state {grid_plan.states[state]}"
            _LOG.error("%s: %s", what, scores)
            outcome.failed[what] = str(scores)
        else:
            grid.write(places[pair], state, scores)
            outcome.done += 1
            outcome.utterance_pairs += math.prod(len(members[code].rows) for code in pairs[pair])
        progress.advance(stored=not isinstance(scores, DamagedError))
    progress.close()
    return _summary(outcome, members, implementation, start, programs(), {"units": len(todo)})


@dataclasses.dataclass(kw_only=True)
class _GridOutcome:
    """Counts of a run in progress."""

    done: int = 0
    skipped: int = 0
    utterance_pairs: int = 0
    changes: Mapping[str, str]
    failed: dict[str, str] = dataclasses.field(default_factory=dict)


def _summary(
    outcome: _GridOutcome,
    members: Mapping[str, GridLanguage],
    implementation: str,
    start: float,
    programs: Mapping[str, int],
    cost: Mapping[str, int | float],
) -> GridSummary:
    seconds = time.monotonic() - start
    return GridSummary(
        done=outcome.done,
        skipped=outcome.skipped,
        failed=outcome.failed,
        missing={code: member.broken for code, member in members.items() if member.broken},
        changes=outcome.changes,
        seconds=round(seconds, 3),
        utterance_pairs_per_second=round(outcome.utterance_pairs / seconds, 1),
        implementation=implementation,
        programs=programs,
        plan=cost,
    )


def _warn_of_changes(config: GridConfig, grid_plan: Plan) -> Mapping[str, str]:
    """What differs from the recordings of an existing grid, by language, after logging it."""
    growth = grid_store.compare(config.grid, grid_plan)
    if growth is None:
        return {}
    for code, text in growth.changes.items():
        again = [grid_store.pair_name(pair) for pair in sorted(growth.stale) if code in pair]
        _LOG.warning(
            "%s: since the grid was made, its store has %s; to be made again: %s",
            code,
            text,
            first_names(again),
        )
    return growth.changes


def _warn(grid_plan: Plan, members: Mapping[str, GridLanguage]) -> None:
    """Log the utterances that will be NaN, and the pairs without a common sentence."""
    for code, member in members.items():
        if member.missing:
            _LOG.warning("%s lacks %d utterances: %s", code, len(member.missing), first_names(member.missing))
    unshared = [
        grid_store.pair_name(p) for p, n in zip(grid_plan.pairs, grid_plan.common, strict=True) if not n
    ]
    if unshared:
        _LOG.warning("no sentence in common: %s; is `sentence` the same in both?", ", ".join(unshared))


def _stores(config: GridConfig) -> dict[str, LanguageStore]:
    """Stores of the languages to compare: those of --languages, by default all that are extracted."""
    if config.languages:
        found = {code: activation_store.open_store(config.store, code) for code in sorted(config.languages)}
    else:
        found = activation_store.stores(config.store)
    if len(found) < 2:
        names = ", ".join(found) or "none"
        raise Refusal(f"{config.store}: a grid needs two extracted languages, got {names}")
    self_pairs.check_names(tuple(found))
    return found


def _plan(
    config: GridConfig, pairs: tuple[Pair, ...], members: Mapping[str, GridLanguage], implementation: str
) -> Plan:
    stored = next(iter(members.values())).store.states
    shared = agreement(members)
    sentences = {sentence for member in members.values() for sentence in member.sentences}
    common = [len(set(members[a].sentences) & set(members[b].sentences)) for a, b in pairs]
    return Plan(
        pairs=pairs,
        states=encoder.choose_states(config.states, stored),
        sentences=tuple(sorted(sentences, key=natural)),
        measures=config.measures,
        common=tuple(common),
        identity={
            **shared,
            "languages": {code: member.identity() for code, member in members.items()},
            "remove_language_mean": config.remove_language_mean,
            "implementation": implementation,
            "dtw_normalise": config.dtw_normalise,
        },
        # Grids without self pairs keep the bytes that they had before the option existed.
        flags={name: value for name, value in recorded(config).items() if name != "self_pairs" or value},
        recordings={code: member.recordings() for code, member in members.items()},
        frames={code: _frames(member) for code, member in members.items()},
    )


def _frames(member: GridLanguage) -> dict[str, int]:
    """Numbers of frames of a language's utterances by sentence."""
    return dict(zip(member.sentences, member.store.frames[list(member.rows)].tolist(), strict=True))


def _computed(
    config: GridConfig,
    grid_plan: Plan,
    members: Mapping[str, GridLanguage],
    units: Sequence[Unit],
    implementation: str,
    block: int,
) -> Iterator[tuple[Unit, dict[str, Float32[np.ndarray, "Q C"]] | DamagedError]]:
    """Units with their scores or the error of a damaged shard, state by state and block by block."""
    places = {sentence: i for i, sentence in enumerate(grid_plan.sentences)}
    where = {code: np.asarray([places[s] for s in m.sentences], int) for code, m in members.items()}
    size = len(grid_plan.sentences)
    with ThreadPoolExecutor(1, "read") as reader:
        for state, of_state in itertools.groupby(units, key=lambda unit: unit[0]):
            wanted = [pair for _, pair in of_state]
            visits = blocks([grid_plan.pairs[pair] for pair in wanted], block)
            name = grid_plan.states[state]
            for a, b, x, y in _loaded(visits, members, name, config.remove_language_mean, reader):
                unit = (state, grid_plan.pairs.index((a, b)))
                try:
                    loaded = x.result(), y.result()
                except DamagedError as error:
                    yield unit, error
                    continue
                scores = score(*loaded, grid_plan.measures, implementation, config.dtw_normalise)
                full = {measure: np.full((size, size), np.nan, np.float32) for measure in scores}
                for measure, matrix in scores.items():
                    full[measure][np.ix_(where[a], where[b])] = matrix
                yield unit, full


def _block_size(config: GridConfig, members: Mapping[str, GridLanguage]) -> int:
    """Number of languages in a block, so that two blocks and a pair read ahead fit --memory_gb."""
    largest = max(_bytes(member, remove_mean=config.remove_language_mean) for member in members.values())
    fit = int(config.memory_gb * 1e9 / largest)
    if fit < 4:
        raise Refusal(
            f"--memory_gb={config.memory_gb} is too little: four languages of up to {largest / 1e9:.3f} GB "
            f"at one state must fit; give at least {4 * largest / 1e9:.3f}"
        )
    return (fit - 2) // 2


def _bytes(member: GridLanguage, *, remove_mean: bool) -> int:
    frames = int(member.store.frames[list(member.rows)].sum())
    itemsize = 4 if remove_mean else member.store.dtype.itemsize
    return max(1, int(1.15 * frames * member.store.features * itemsize))


def blocks(pairs: Sequence[Pair], size: int) -> Iterator[tuple[Pair, frozenset[str]]]:
    """Pairs in an order that needs few languages at a time, each with the languages to keep in memory.

    Languages are divided into blocks of `size`; all pairs of the same two blocks are consecutive.
    """
    languages = sorted({code for pair in pairs for code in pair})
    block = {code: i // size for i, code in enumerate(languages)}
    ordered = sorted(pairs, key=lambda pair: (sorted(block[code] for code in pair), pair))
    for pair in ordered:
        kept = {block[code] for code in pair}
        yield pair, frozenset(code for code in languages if block[code] in kept)


def _loaded(
    visits: Iterator[tuple[Pair, frozenset[str]]],
    members: Mapping[str, GridLanguage],
    state: str,
    remove_mean: bool,
    reader: ThreadPoolExecutor,
) -> Iterator[tuple[str, str, Future[LanguageStates], Future[LanguageStates]]]:
    """Pairs with their states; those of the next pair are read while these are used."""
    order = list(visits)
    held: dict[str, Future[LanguageStates]] = {}
    for i, (pair, kept) in enumerate(order):
        following = order[i + 1][0] if i + 1 < len(order) else pair
        held = {code: future for code, future in held.items() if code in kept}
        for code in (*pair, *following):
            if code not in held:
                held[code] = reader.submit(load, members[code], state, remove_language_mean=remove_mean)
        yield *pair, held[pair[0]], held[pair[1]]


def _estimate(
    grid_plan: Plan, members: Mapping[str, GridLanguage], todo: Sequence[Unit], implementation: str
) -> dict[str, int | float]:
    """Work, bytes and time of units, from a sample of the kernels timed here."""
    frames = {code: int(member.store.frames[list(member.rows)].sum()) for code, member in members.items()}
    features = next(iter(members.values())).store.features
    pairs = [grid_plan.pairs[pair] for _, pair in todo]
    cells = float(sum(frames[a] * frames[b] for a, b in pairs))
    by_frame = tuple(name for name in grid_plan.measures if MEASURES[name].by_frame)
    per_cell = compiling = 0.0
    if by_frame and todo:
        per_cell, compiling = _speed(features, by_frame, implementation)
        if not implementation.startswith("numba"):  # XLA compiles a program for each pair of shapes
            compiling *= len(_shapes(members, pairs))
    return {
        "units": len(todo),
        "utterance_pairs": sum(len(members[a].rows) * len(members[b].rows) for a, b in pairs),
        "flops": 2 * features * cells if by_frame else 0.0,
        "dtw_cells": cells if "dtw" in by_frame else 0.0,
        "files": len(grid_plan.measures) * len(todo),
        "bytes": _unit_bytes(grid_plan) * len(todo),
        "estimated_seconds": round(compiling + cells * per_cell, 1),
    }


def _unit_bytes(grid_plan: Plan) -> int:
    """Size of a unit's files, each with its checksum."""
    return len(grid_plan.measures) * (4 * len(grid_plan.sentences) ** 2 + 4)


def _check_disk(config: GridConfig, grid_plan: Plan, units: int) -> None:
    needed = units * _unit_bytes(grid_plan)
    disk_space.require(config.grid, needed, f"{units:,} units", "name another --grid, or fewer --measures")


def _shapes(
    members: Mapping[str, GridLanguage], pairs: Sequence[Pair]
) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """Shapes of the groups of utterances that are compared with each other."""
    shapes = {code: group_shapes(member.store.frames[list(member.rows)]) for code, member in members.items()}
    return {shape for a, b in pairs for shape in itertools.product(shapes[a], shapes[b])}


def _speed(features: int, names: tuple[str, ...], implementation: str) -> tuple[float, float]:
    """Seconds per pair of frames, and to compile, on this machine; from a sample of 16 utterances of 4 s."""
    sample = np.random.default_rng(0).standard_normal((16, 200, features)).astype(np.float32)
    x = arrange(list(sample), remove_mean=False)
    seconds = []
    for _ in range(3):  # the first one compiles
        begin = time.perf_counter()
        score(x, x, names, implementation)
        seconds.append(time.perf_counter() - begin)
    best = min(seconds)
    return best / sample.shape[0] ** 2 / sample.shape[1] ** 2, seconds[0] - best

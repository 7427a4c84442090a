"""The grid job: reads activation stores, writes score matrices of every language pair and state.

The unit of work is one pair at one state. Languages are loaded in blocks that fit memory, once per pair of
blocks, not once per pair of languages; the next language is read while the kernels run, see `grid_work`.
"""

import dataclasses
import itertools
import logging
import math
import pathlib
import time
from collections.abc import Mapping, Sequence

import jax

from isogloss.engine.activations.language_states import DamagedError, GridLanguage, open_languages
from isogloss.engine.grid import grid_plan, grid_store, grid_work, pair_names, scorers, self_pairs
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.grid.grid_failures import GridFailures
from isogloss.engine.grid.grid_store import Plan
from isogloss.engine.grid.grid_work import Unit
from isogloss.engine.grid.scorers import Scorer
from isogloss.engine.runtime import compilation, sentences
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.place import BucketPath
from isogloss.engine.runtime.progress import Progress
from isogloss.kernels import frame_scores

_LOG = logging.getLogger(__name__)


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
        """Amount of the share that is stored, and the command that ranks it."""
        share, grid = config.share, config.grid
        start = sentences.stored(self.done, self.skipped, len(self.failed), "units", grid, share)
        lacking = sum(map(len, self.missing.values()))
        broken = f", without {lacking:,} recordings, named above" if lacking else ""
        near = pathlib.Path("out") if isinstance(grid, BucketPath) else grid.parent  # a report is in a folder
        report = sentences.command("report", grid=grid, out=near / "report")
        return start + broken + sentences.following(share, report)


@dataclasses.dataclass(kw_only=True)
class _GridOutcome:
    """Counts of a run in progress."""

    done: int = 0
    skipped: int = 0
    utterance_pairs: int = 0
    changes: Mapping[str, str]
    failed: dict[str, str] = dataclasses.field(default_factory=dict)


def run(config: GridConfig) -> GridSummary:
    """Summary of a run that computes the missing part of a grid.

    Raises:
      Refusal: bad input, found before any computation.
      OSError: the grid can't be written.
    """
    start = time.monotonic()
    implementation = _implementation(config)
    programs = compilation.keep(config.compilation_cache, implementation)
    plan, members = _planned(config, implementation)
    _warn(plan, members)
    # States outermost: the languages of a state are read once for all its pairs.
    mine = config.share.of(list(itertools.product(range(len(plan.states)), range(len(plan.pairs)))))
    block = grid_plan.block_size(config, members, implementation)
    outcome = _GridOutcome(changes=_warn_of_changes(config, plan))
    there = grid_store.existing(config.grid, plan)
    todo = [unit for unit in mine if unit[::-1] not in there]
    if config.dry_run:
        cost = grid_plan.estimate(config, plan, members, todo, implementation)
        grid_plan.check_disk(config, plan, len(todo))
        outcome.skipped = len(mine) - len(todo)
    else:
        grid_plan.check_disk(config, plan, len(todo))
        cost = _fill(config, plan, members, mine, implementation, block, outcome)
    return _summary(outcome, members, implementation, start, programs(), cost)


def make_empty(config: GridConfig) -> None:
    """Make the grid that a run would fill, so that jobs behind this one can plan before there is any score.

    Raises:
      Refusal: as of a run.
    """
    plan, _ = _planned(config, _implementation(config))
    grid_store.create_or_grow(config.grid, plan)


def _implementation(config: GridConfig) -> str:
    """Implementation of the kernels that the options name, or the best one here."""
    if config.implementation == "auto":
        return frame_scores.default_implementation(jax.default_backend())
    return config.implementation


def _planned(config: GridConfig, implementation: str) -> tuple[Plan, dict[str, GridLanguage]]:
    """Axes and identity of the grid that the options ask for, and the languages that enter it."""
    stores = grid_plan.stores(config)
    pairs = pair_names.parse_pairs(config.pairs, tuple(stores))
    members = open_languages([stores[code] for code in sorted({code for pair in pairs for code in pair})])
    if config.self_pairs:
        pairs, members = self_pairs.added(pairs, members)
    return grid_plan.plan(config, pairs, members, implementation), members


def _fill(
    config: GridConfig,
    plan: Plan,
    members: Mapping[str, GridLanguage],
    mine: Sequence[Unit],
    implementation: str,
    block: int,
    outcome: _GridOutcome,
) -> dict[str, int | float]:
    """The number of units that a grid lacked of a share, computed, written and counted in `outcome`."""
    pairs = plan.pairs
    # Only now, after all refusals, is anything written.
    grid = grid_store.create_or_grow(config.grid, plan)
    # A grid that has grown may hold sentences of languages outside this plan.
    plan = dataclasses.replace(plan, sentences=grid.sentences)
    finished, places = grid.done(), [grid.position[pair] for pair in pairs]
    todo = [(state, pair) for state, pair in mine if (places[pair], state) not in finished]
    _LOG.info("%d units to do, kernels: %s", len(todo), implementation)
    outcome.skipped = len(mine) - len(todo)
    progress = Progress("grid", len(mine), "units", before=outcome.skipped)
    by = _scorers(config, plan, implementation, len(todo))
    failures = GridFailures(grid, finished)
    for (state, pair), found in grid_work.computed(plan, members, todo, by, block):
        if isinstance(found, DamagedError):
            what = failures.note((places[pair], state), str(found))
            _LOG.error("%s: %s", what, found)
            outcome.failed[what] = str(found)
        else:
            grid.write(places[pair], state, found)
            failures.forget((places[pair], state))
            outcome.done += 1
            outcome.utterance_pairs += math.prod(len(members[code].rows) for code in pairs[pair])
        progress.advance(stored=not isinstance(found, DamagedError))
    progress.close()
    return {"units": len(todo)}


def _scorers(config: GridConfig, plan: Plan, implementation: str, units: int) -> list[Scorer]:
    """Scorers that divide a number of units."""
    return [
        scorers.scorer(
            plan.measures,
            implementation,
            dtw_normalise=config.dtw_normalise,
            remove_mean=config.remove_language_mean,
            dtw_memory_gb=config.dtw_memory_gb,
            devices=devices,
        )
        for devices in scorers.device_sets(units, plan.measures, implementation)
    ]


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


def _warn_of_changes(config: GridConfig, plan: Plan) -> Mapping[str, str]:
    """Differences from the recordings of an existing grid, by language; also logged."""
    growth = grid_store.compare(config.grid, plan)
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


def _warn(plan: Plan, members: Mapping[str, GridLanguage]) -> None:
    """Log the utterances that will be NaN, and the pairs without a common sentence."""
    for code, member in members.items():
        if member.missing:
            _LOG.warning("%s lacks %d utterances: %s", code, len(member.missing), first_names(member.missing))
    unshared = [grid_store.pair_name(p) for p, n in zip(plan.pairs, plan.common, strict=True) if not n]
    if unshared:
        _LOG.warning("no sentence in common: %s; is `sentence` the same in both?", ", ".join(unshared))

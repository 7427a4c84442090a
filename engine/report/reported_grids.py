"""Grids with the figures of their reports, for comparing them on the sentences that both have."""

import dataclasses
import itertools
import logging
from collections.abc import Mapping

import numpy as np

from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Grid, Pair
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.retrieval import metrics, pair_metrics
from isogloss.engine.retrieval.pair_metrics import Scored, Statistics
from isogloss.engine.retrieval.scorings import Scoring
from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.refusal import Refusal, UnreachableError, UnreadableError

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reported:
    """Grid with its report: pairs of two languages, scorings, and figures as parts."""

    grid: Grid
    parts: PartFiles
    statistics: Statistics
    scored: dict[Pair, set[str]] = dataclasses.field(default_factory=dict)  # sentences of pairs read so far

    @property
    def scorings(self) -> tuple[Scoring, ...]:
        """Scorings of the report."""
        return self.statistics.scorings(self.grid)

    def sentences(self, pair: Pair) -> set[str]:
        """Sentences that both languages of a pair have.

        Raises:
          UnreachableError: the disk fails for now, and the grid is of a format that lists no recordings.
        """
        if not self.grid.axes.recordings:
            if pair not in self.scored:  # or every further grid would read it again, and log its damage
                self.scored[pair] = self._scored(pair)
            return self.scored[pair]
        a, b = (self.grid.axes.recordings[code].keys() for code in pair)
        return set(a & b)

    def _scored(self, pair: Pair) -> set[str]:
        """Sentences of a pair's first usable matrix; none if it has none. Damaged ones are logged."""
        grid, place = self.grid, self.grid.position[pair]
        for state, measure in itertools.product(range(len(grid.states)), grid.ranked):
            chunk = f"{grid.path}: {grid_store.pair_name(pair)} {measure} state {grid.states[state]}"
            try:
                scores = grid.read(measure, place, state)
                if np.isnan(scores).all():  # isn't computed yet
                    continue
                common = metrics.common_sentences(scores, int(grid.common[place]))
            except (UnreadableError, Refusal) as error:
                reason = disk_faults.with_remedy(error, grid_store.REMAKE)
                # A report without this pair would count as written, although the pair is whole.
                if disk_faults.may_pass(reason):
                    raise UnreachableError(f"{chunk}: {reason}") from error
                _LOG.error("%s: %s", chunk, reason)
                continue
            return {grid.sentences[i] for i in np.flatnonzero(common)}
        return set()

    def figures(self, pair: Pair, shared: set[str]) -> tuple[Scored, list[str]]:
        """Figures of a pair among some of its sentences, and these in the order of the queries."""
        name = grid_store.pair_name(pair)
        # They are some of the pair's, so as many are all of them.
        if len(shared) == self.grid.common[self.grid.position[pair]] and self.parts.kept(name):
            kept = pair_metrics.load(self.parts, name)
            return kept, [self.grid.sentences[i] for i in kept.sentences]
        axes = self.grid.axes
        held = {code: {s: axes.recordings.get(code, {}).get(s, s) for s in shared} for code in pair}
        common = tuple(len(shared) if each == pair else 0 for each in axes.pairs)
        frames = {
            code: {s: n for s, n in counts.items() if s in shared} for code, counts in axes.frames.items()
        }
        smaller = dataclasses.replace(axes, recordings=held, common=common, frames=frames)
        grid = dataclasses.replace(self.grid, axes=smaller)
        found = pair_metrics.score(grid, grid.position[pair], self.statistics)
        return found, [grid.sentences[i] for i in found.sentences]


def opened(of_each: Mapping[str, ReportConfig], statistics: Statistics) -> dict[str, Reported]:
    """Grids by label, with their reports' figures; without self pairs."""
    found = {}
    for label, each in of_each.items():
        whole = grid_store.open_grid(each.grid)
        parts = pair_metrics.open_parts(each.out / "parts", whole, statistics)
        found[label] = Reported(grid=whole.only(self_pairs=False), parts=parts, statistics=statistics)
    return found

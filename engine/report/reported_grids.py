"""Grids with the figures of their reports, for comparing them on the sentences that both have."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Grid, Pair
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.retrieval import pair_metrics
from isogloss.engine.retrieval.pair_metrics import Scored, Statistics
from isogloss.engine.retrieval.scorings import Scoring
from isogloss.engine.runtime.part_files import PartFiles


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reported:
    """Grid with its report: pairs of two languages, scorings, and figures as parts."""

    grid: Grid
    parts: PartFiles
    statistics: Statistics

    @property
    def scorings(self) -> tuple[Scoring, ...]:
        """Scorings of the report."""
        return self.statistics.scorings(self.grid)

    def sentences(self, pair: Pair) -> set[str]:
        """Sentences that both languages of a pair have."""
        place = self.grid.position[pair]
        if not self.grid.axes.recordings:
            scores = self.grid.read(self.grid.measures[0], place, 0)
            known = ~np.isnan(scores)
            both = np.logical_and(known.any(0), known.any(1))
            return {self.grid.sentences[i] for i in np.flatnonzero(both)}
        a, b = (self.grid.axes.recordings[code].keys() for code in pair)
        return set(a & b)

    def figures(self, pair: Pair, shared: set[str]) -> tuple[Scored, list[str]]:
        """Figures of a pair among some of its sentences, and these in the order of the queries."""
        name = grid_store.pair_name(pair)
        if shared == self.sentences(pair) and self.parts.kept(name):
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

"""The report job: reads a grid, writes the retrieval table, figures and one HTML page.

The unit of work is a language pair: its scores are read, ranked and stored as a part file under OUT/parts.
Several processes divide the pairs; a process that finds all parts of the others writes the report. Chunks
that the grid lacks are reported by name and left blank, and the run continues; a pair that lacks a chunk has
no part, so the process that writes the report scores it.
"""

import dataclasses
import logging
import math
import os
import pathlib
import time
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.drawing import picture_files
from isogloss.engine.retrieval import (
    figures,
    grid_store,
    metrics,
    pair_metrics,
    report_page,
    table as retrieval_table,
)
from isogloss.engine.retrieval.grid_store import Grid
from isogloss.engine.retrieval.measures import MEASURES, reported
from isogloss.engine.retrieval.pair_metrics import Scored
from isogloss.engine.retrieval.report_config import ReportConfig
from isogloss.engine.runtime import atomic_write
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.runtime.refusal import Refusal
from isogloss.kernels import bootstrap

_LOG = logging.getLogger(__name__)
_LINES = 60  # of the table on the terminal; retrieval.csv has all


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportSummary:
    """Result of a run; `done` and `skipped` are of this process's share, and a dry run writes nothing.

    Attributes:
      done: pairs scored by this run.
      skipped: pairs scored by earlier runs.
      waiting: pairs of other shards whose chunks all exist but whose figures don't; the report is written
        when there are none.
      missing: number of chunks that the grid doesn't hold yet, by measure and pair; of all shares if the
        report was written, otherwise of this one.
      failed: chunks that can't be used, each with the reason; of the same pairs.
      rows: rows of the retrieval table.
      report: path of the page; None while other shards are unfinished.
      seconds: duration of the run.
      pairs_per_second: throughput.
      plan: work to do: pairs, bytes, FLOPs; with --dry_run also the estimated time.
    """

    done: int = 0
    skipped: int
    waiting: int = 0
    missing: Mapping[str, int] = dataclasses.field(default_factory=dict)
    failed: Sequence[str] = ()
    rows: int = 0
    report: str | None = None
    seconds: float
    pairs_per_second: float = 0.0
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True if every chunk needed exists and can be used."""
        return not self.missing and not self.failed


def run(config: ReportConfig) -> ReportSummary:
    """Summary of a run that scores the missing pairs, and writes the report if none is left.

    Raises:
      Refusal: there is no grid, it has no measure to report, or OUT can't be written to.
      OSError: the report can't be written.
    """
    start = time.monotonic()
    grid = _open_grid(config.grid)
    parts = pair_metrics.open_parts(config.out / "parts", grid)
    names = [grid_store.pair_name(pair) for pair in grid.pairs]
    mine = config.share.of(range(len(grid.pairs)))
    todo = [pair for pair in mine if not parts.kept(names[pair])]
    if config.dry_run:
        return _dry_run(grid, mine, todo, start)
    for folder in (config.out, parts.folder):
        atomic_write.make_folder(folder)
    scored = _score(grid, todo, parts)
    others = sorted(set(range(len(grid.pairs))) - set(mine))
    waiting = [pair for pair in others if parts.awaited(names[pair])]
    if waiting:
        _LOG.info("%d pairs of other shards aren't done yet; the report waits for them", len(waiting))
    else:
        scored |= _score(grid, [pair for pair in others if not parts.kept(names[pair])])
    missing, failed = _problems(grid, dict(sorted(scored.items())))
    rows, report = 0, None
    if not waiting:
        every = [scored.get(pair) or pair_metrics.load(parts, name) for pair, name in enumerate(names)]
        rows, report = _write(config, grid, every)
    seconds = time.monotonic() - start
    return ReportSummary(
        done=len(todo),
        skipped=len(mine) - len(todo),
        waiting=len(waiting),
        missing=missing,
        failed=failed,
        rows=rows,
        report=report,
        seconds=round(seconds, 3),
        pairs_per_second=round(len(todo) / seconds, 3),
        plan=_work(grid, len(todo)),
    )


def _open_grid(path: pathlib.Path) -> Grid:
    grid = grid_store.open_grid(path)
    if not reported(grid.measures):
        raise Refusal(
            f"{path}: a report needs one of {_needed()}. The grid has {', '.join(grid.measures) or 'none'}. "
            "Run isogloss.jobs.grid with more --measures"
        )
    return grid


def _needed() -> str:
    """Names of measures of which a report needs one, each together with its transpose."""
    sets = dict.fromkeys(frozenset((name, measure.backward)) for name, measure in MEASURES.items())
    return "; ".join(" together with ".join(sorted(names)) for names in sets)


def _score(grid: Grid, pairs: Sequence[int], parts: PartFiles | None = None) -> dict[int, Scored]:
    """Figures of some pairs, each stored in `parts` immediately."""
    progress = Progress("report", len(pairs), "pairs")
    scored = {}
    for pair in pairs:
        scored[pair] = pair_metrics.score(grid, pair)
        if parts:
            pair_metrics.save(parts, grid_store.pair_name(grid.pairs[pair]), scored[pair])
        progress.advance()
    progress.close()
    return scored


def _problems(grid: Grid, scored: Mapping[int, Scored]) -> tuple[dict[str, int], list[str]]:
    """Numbers of missing chunks by pair and measure, and messages about broken chunks; also logged."""
    missing: dict[str, int] = {}
    for pair in scored.values():
        for chunk in pair.missing:
            what = chunk.rsplit(" state ", 1)[0]
            missing[what] = missing.get(what, 0) + 1
    failed = [text for pair in scored.values() for text in pair.broken]
    if missing:
        names = [f"{what} ({count} of {len(grid.states)} states)" for what, count in missing.items()]
        _LOG.error(
            "%s: %d chunks aren't computed yet: %s. Run the grid job to its end, then this again",
            grid.path,
            sum(missing.values()),
            first_names(names),
        )
    for text in failed:
        _LOG.error("%s: %s", grid.path, text)
    return missing, failed


def _write(config: ReportConfig, grid: Grid, scored: Sequence[Scored]) -> tuple[int, str]:
    """Number of rows of the table and path of the page, after writing both and the figures."""
    results = metrics.Results(
        pairs=grid.pairs,
        states=grid.states,
        measures=reported(grid.measures),
        n=grid.common,
        computed=np.stack([pair.computed for pair in scored]),
        values=np.stack([pair.values for pair in scored]),
    )
    for name in sorted(set(grid.measures) - set(results.measures)):
        other = MEASURES[name].backward
        _LOG.warning("%s is left out: its other direction is %s, which the grid lacks", name, other)
    table = retrieval_table.tabulate(results)
    retrieval_table.write_table(table, config.out)
    _draw(config.out, results)
    page = config.out / "report.html"
    name = os.fsencode(config.grid.name).decode("utf-8", "replace")  # in any locale
    html = report_page.render(results, grid.attributes, name=name, sentences=len(grid.sentences))
    atomic_write.write_whole(page, lambda file: file.write_text(html, "utf-8"))
    _LOG.info("best state of each pair, R@1 with its 95%% interval:\n%s", best_states(results))
    _LOG.info("report: %s", page)
    return table.num_rows, str(page)


def _draw(out: pathlib.Path, results: metrics.Results) -> None:
    """Write heatmaps of each measure at its best state, and the curves, also as SVG.

    Heatmaps of an earlier report that this one doesn't have are removed.
    """
    picture_files.save(figures.curves(results), out / "curves")
    heatmaps = set()
    for measure in results.measures:
        state = results.best_state(measure)
        if state is None:
            continue
        for clustered, order in ((False, "by_group"), (True, "clustered")):
            drawn = figures.heatmap(results, measure, state, clustered=clustered)
            heatmaps |= set(picture_files.save(drawn, out / f"heatmap_{measure}_{order}", ["png"]))
    for old in set(out.glob("heatmap_*.png")) - heatmaps:
        old.unlink(missing_ok=True)


def best_states(results: metrics.Results) -> str:
    """Text table of each pair and measure at its best state, for as many pairs as a terminal shows."""
    pairs = range(min(len(results.pairs), max(1, _LINES // max(1, len(results.measures)))))
    rows = [("pair", "measure", "state", "n", "chance", "R@1 a->b", "R@1 b->a", "mutual")]
    for pair in pairs:
        for m, measure in enumerate(results.measures):
            name = "-".join(results.pairs[pair])
            state = results.best_state_of_pair(pair, measure)
            if state is None:
                rows.append((name, measure, "-", str(results.n[pair]), "-", "-", "-", "-"))
                continue
            there, back = results.values[pair, state, m]
            chance, mutual = f"{100 / results.n[pair]:.1f}%", f"{100 * there[3]:.1f}%"
            found = (results.states[state], str(results.n[pair]), chance)
            rows.append((name, measure, *found, _interval(there), _interval(back), mutual))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if len(pairs) < len(results.pairs):
        lines.append(f"... and {len(results.pairs) - len(pairs):,} more pairs in retrieval.csv")
    return "\n".join(lines)


def _interval(values: Float[np.ndarray, " F"]) -> str:
    recall, low, high = (100 * values[metrics.FIGURES.index(f)] for f in ("recall_at_1", "ci_low", "ci_high"))
    return f"{recall:.1f}% [{low:.1f}, {high:.1f}]"


def _work(grid: Grid, pairs: int) -> dict[str, int | float]:
    chunks = pairs * len(grid.states) * len(grid.measures)
    scores = chunks * len(grid.sentences) ** 2
    draws = pairs * len(grid.states) * len(grid.measures) * 2 * bootstrap.RESAMPLES * len(grid.sentences)
    # Two comparisons per score; a multiplication and an addition per draw.
    return {"pairs": pairs, "bytes": 4 * scores, "flops": 2 * scores + 2 * draws}


def _dry_run(grid: Grid, mine: Sequence[int], todo: Sequence[int], start: float) -> ReportSummary:
    """Plan of a run, with a time estimated from its first pair; nothing is written."""
    began = time.monotonic()
    if todo:
        pair_metrics.score(grid, todo[0])
    each = time.monotonic() - began
    return ReportSummary(
        skipped=len(mine) - len(todo),
        seconds=round(time.monotonic() - start, 3),
        plan=_work(grid, len(todo)) | {"seconds": math.ceil(10 * each * len(todo)) / 10},
    )

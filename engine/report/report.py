"""The report job: reads a grid, writes the retrieval table, figures and one HTML page.

The unit of work is a language pair: its scores are read, ranked and stored as a part file under OUT/parts.
Several processes divide the pairs; one that finds all parts of the others writes the report, unless it is
written already. Chunks that the grid lacks are reported by name and left blank, and the run continues; a pair
that lacks a chunk has no part, so the process that writes the report scores it.
"""

import dataclasses
import logging
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.drawing import picture_files
from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Grid
from isogloss.engine.grid.measures import MEASURES, reported
from isogloss.engine.report import (
    figures,
    language_maps,
    report_columns,
    report_page,
    report_tables,
    self_pair_tables,
    sentence_texts,
    several_grids,
)
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.report.report_summary import ReportSummary, merged
from isogloss.engine.report.report_tables import Collected
from isogloss.engine.report.sentence_texts import SentenceTexts
from isogloss.engine.retrieval import derived, metrics, pair_metrics, ranks_store, table as retrieval_table
from isogloss.engine.retrieval.pair_metrics import Scored, Statistics
from isogloss.engine.runtime import atomic_write, disk_space, version, written_once
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.progress import Progress, seconds_since
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.runtime.text_table import text_table
from isogloss.kernels import bootstrap

_LOG = logging.getLogger(__name__)
_PAGE = "report.html"
_ORDERS = {"by_group": False, "clustered": True}  # of languages in a heatmap
_LINES = 60  # of the table on the terminal; retrieval.csv has all


@picture_files.draws
def run(config: ReportConfig) -> ReportSummary:
    """Summary of a run that scores the missing pairs, and writes the report if none is left.

    Raises:
      Refusal: there is no grid, it has no measure to report, no such font is installed, or OUT can't be
        written to.
      OSError: the report can't be written.
    """
    return _run_several(config) if len(config.grids) > 1 else _run_one(config)


def _run_one(config: ReportConfig) -> ReportSummary:
    start = time.monotonic()
    grid = _open_grid(config.grid, config.contrast_pairs)
    language_maps.given(config, grid)  # refused before anything is computed
    texts = sentence_texts.open_texts(config, grid)
    picture_files.refuse_folders(_figures(config.out, grid))
    statistics = _statistics(config)
    parts = pair_metrics.open_parts(config.out / "parts", grid, statistics)
    names = [grid_store.pair_name(pair) for pair in grid.pairs]
    mine = config.share.of(range(len(grid.pairs)))
    todo = [pair for pair in mine if not parts.kept(names[pair])]
    if config.dry_run:
        return _dry_run(config, grid, statistics, mine, todo, start)
    for folder in (config.out, parts.folder, *parts.elsewhere.values()):
        atomic_write.make_folder(folder)
    scored = _score(grid, statistics, todo, parts, before=len(mine) - len(todo))
    others = sorted(set(range(len(grid.pairs))) - set(mine))
    waiting = [pair for pair in others if parts.awaited(names[pair])]
    if waiting:
        _LOG.info("%d pairs of other shards aren't done yet; the report waits for them", len(waiting))
    else:
        scored |= _score(grid, statistics, [pair for pair in others if not parts.kept(names[pair])])
    missing, failed = _problems(grid, dict(sorted(scored.items())))
    rows, written = (0, False) if waiting else _write_once(config, grid, statistics, parts, scored, texts)
    seconds = time.monotonic() - start
    return ReportSummary(
        done=len(todo),
        skipped=len(mine) - len(todo),
        waiting=len(waiting),
        missing=missing,
        failed=failed,
        rows=rows,
        report=None if waiting else str(config.out / _PAGE),
        written=written,
        seconds=round(seconds, 3),
        pairs_per_second=round(len(todo) / seconds, 3),
        plan=_work(grid, len(todo)),
    )


def _run_several(config: ReportConfig) -> ReportSummary:
    labels = several_grids.labels(config.grids)
    of_each = {
        label: dataclasses.replace(config, grid=grid, out=config.out / label)
        for label, grid in zip(labels, config.grids, strict=True)
    }
    drawn = set(picture_files.files(config.out / several_grids.CURVES))
    for each in of_each.values():
        drawn |= _figures(each.out, _open_grid(each.grid, config.contrast_pairs))
    picture_files.refuse_folders(drawn)  # before anything is computed
    found = {label: _run_one(each) for label, each in of_each.items()}
    for label, first in found.items():
        if first.report is None and not config.dry_run:
            # The others may have ended this grid's pairs since, and left the grid before ours were there.
            last = _run_one(of_each[label])
            found[label] = dataclasses.replace(
                last, done=first.done, skipped=first.skipped, seconds=round(first.seconds + last.seconds, 3)
            )
    summary = merged(found)
    if config.dry_run or summary.report is None:
        return summary
    rows, written = several_grids.write(config.out, of_each, _statistics(config))
    return dataclasses.replace(
        summary, rows=rows, written=written, report=str(config.out / several_grids.PAGE)
    )


def _statistics(config: ReportConfig) -> Statistics:
    return Statistics(corrections=config.corrections, candidates=config.candidates, answers=config.answers)


def _open_grid(path: Place, contrast_pairs: Sequence[str]) -> Grid:
    grid = grid_store.open_grid(path)
    report_tables.contrasted(grid.only(self_pairs=False), contrast_pairs)
    if not reported(grid.ranked):
        raise Refusal(
            f"{path}: a report needs one of {_needed()}. The grid has {', '.join(grid.measures) or 'none'}. "
            "Run isogloss.jobs.grid with more --measures"
        )
    return grid


def _needed() -> str:
    """Names of measures of which a report needs one, each together with its transpose."""
    kept = {name: measure for name, measure in MEASURES.items() if measure.retrieves}
    sets = dict.fromkeys(frozenset((name, measure.backward)) for name, measure in kept.items())
    return "; ".join(" together with ".join(sorted(names)) for names in sets)


def _score(
    grid: Grid,
    statistics: Statistics,
    pairs: Sequence[int],
    parts: PartFiles | None = None,
    before: int = 0,
) -> dict[int, Scored]:
    """Figures of those pairs that have no part; each of the others is stored in `parts` immediately.

    `before` others were stored earlier.
    """
    progress = Progress("report", before + len(pairs), "pairs", before=before)
    scored = {}
    for pair in pairs:
        found = pair_metrics.score(grid, pair, statistics)
        if not (parts and pair_metrics.save(parts, grid, pair, statistics, found)):
            scored[pair] = dataclasses.replace(found, rivals=None)
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
    failed = list(dict.fromkeys(text for pair in scored.values() for text in pair.broken))
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


def _write_once(
    config: ReportConfig,
    grid: Grid,
    statistics: Statistics,
    parts: PartFiles,
    scored: Mapping[int, Scored],
    texts: SentenceTexts | None,
) -> tuple[int, bool]:
    """Number of rows of the retrieval table, and True if this process wrote it and all else.

    `scored` has the figures of pairs without a part.
    """
    names = [grid_store.pair_name(pair) for pair in grid.pairs]

    of_name = {name: scored[i] for i, name in enumerate(names) if i in scored}

    def figures_of(name: str) -> Scored:
        return of_name.get(name) or pair_metrics.load(parts, name)

    made_of = [
        [pair_metrics.digest(scored[i]) if i in scored else parts.keys[name] for i, name in enumerate(names)],
        names,
        grid.sentences,
        dict(grid.attributes),
        config.grid.name,
        config.fdr,
        list(config.contrast_pairs),
        config.distances and config.distances.read_text("utf-8"),
        texts and texts.identity(config.out),
        config.drawn_as,
    ]

    def outputs() -> int:
        return _write(config, grid, statistics, figures_of, sentence_texts.write(config, parts, texts))

    rows, written = written_once.write(config.out, "report", made_of, outputs)
    assert isinstance(rows, int)
    return rows, written


def _write(
    config: ReportConfig,
    whole: Grid,
    statistics: Statistics,
    figures_of: Callable[[str], Scored],
    answer_files: Mapping[str, str],
) -> int:
    """Number of rows of the retrieval table, after writing it and all other tables, ranks and figures.

    Self pairs have tables and a figure of their own, and are in no other.
    """
    grid = whole.only(self_pairs=False)

    def scored(pair: int) -> Scored:
        return figures_of(grid_store.pair_name(grid.pairs[pair]))

    for name in sorted(set(grid.ranked) - set(reported(grid.ranked))):
        other = MEASURES[name].backward
        _LOG.warning("%s is left out: its other direction is %s, which the grid lacks", name, other)
    collected = report_tables.collect(grid, statistics, scored, config.fdr, config.contrast_pairs)
    for name, table in collected.tables.items():
        retrieval_table.write_table(table, config.out, name)
    ranks_store.write(config.out / "ranks.zarr", grid, statistics.scorings(grid), scored)
    results = collected.results
    self_pair_tables.write(config.out, whole, statistics, figures_of, results)
    _draw(config.out, collected)
    page = config.out / _PAGE
    name = os.fsencode(config.grid.name).decode("utf-8", "replace")  # in any locale
    maps = language_maps.write(config, grid, results, collected.tables["best_states"], scored, name)
    report_columns.write(config.out)
    html = report_page.render(
        collected,
        grid.attributes,
        name=name,
        sentences=len(grid.sentences),
        maps=maps,
        answer_files=answer_files,
        texts=config.corpus is not None,
        date=version.today(),
    )
    atomic_write.write_whole(page, lambda file: file.write_text(html, "utf-8"))
    best = best_states(results.uncorrected)
    _LOG.info("best state of each pair, R@1 with its 95%% interval:\n%s", best)
    _LOG.info("report: %s", page)
    return collected.tables["retrieval"].num_rows


def _draw(out: pathlib.Path, collected: Collected) -> None:
    """Write heatmaps of each measure at its best state, and the curves, as PNG, SVG and PDF.

    Heatmaps of an earlier report that this one doesn't have are removed.
    """
    results, certain = collected.results.uncorrected, report_tables.certain(collected.tables["retrieval"])
    ends = report_tables.mean_ends(collected.results, collected.tables["means"])
    plain = [collected.results.measures.index(name) for name in results.measures]
    picture_files.save(figures.curves(results, ends[:, :, plain]), out / several_grids.CURVES)
    heatmaps = set()
    for measure in results.measures:
        state = results.best_state(measure)
        if state is None:
            continue
        for order, clustered in _ORDERS.items():
            drawn = figures.heatmap(results, measure, state, clustered=clustered, certain=certain)
            heatmaps |= set(picture_files.save(drawn, _heatmap(out, measure, order)))
    picture_files.remove(_heatmaps(out) - heatmaps)


def _figures(out: pathlib.Path, grid: Grid) -> set[pathlib.Path]:
    """Files of all figures that the report of a grid may have in OUT."""
    measures = (*reported(grid.ranked), *pair_metrics.derived_measures(grid))
    stems = [_heatmap(out, measure, order) for measure in measures for order in _ORDERS]
    stems += [
        out / name
        for name in (several_grids.CURVES, *self_pair_tables.figures(grid), *language_maps.figures(grid))
    ]
    return {path for stem in stems for path in picture_files.files(stem)}


def _heatmap(out: pathlib.Path, measure: str, order: str) -> pathlib.Path:
    return out / f"heatmap_{measure}_{order}"


def _heatmaps(out: pathlib.Path) -> set[pathlib.Path]:
    """All heatmaps that a report may have in OUT; other files whose names begin like that are the user's."""
    stems = [_heatmap(out, name, order) for name in (*MEASURES, *derived.DERIVED) for order in _ORDERS]
    return {path for stem in stems for path in picture_files.files(stem)}


def best_states(results: metrics.Results) -> str:
    """Text table of each pair and measure at its best state, for as many pairs as a terminal shows."""
    pairs = range(min(len(results.pairs), max(1, _LINES // max(1, len(results.measures)))))
    head, rows = ("pair", "measure", "state", "n", "chance", "R@1 a->b", "R@1 b->a", "mutual"), []
    for pair in pairs:
        for m, measure in enumerate(results.measures):
            name = "-".join(results.pairs[pair])
            state = results.best_state_of_pair(pair, measure)
            if state is None:
                rows.append((name, measure, "-", str(results.n[pair]), "-", "-", "-", "-"))
                continue
            there, back = results.values[pair, state, m]
            chance, mutual = f"{metrics.chance(results.n[pair]):.1%}", f"{100 * there[3]:.1f}%"
            found = (results.states[state], str(results.n[pair]), chance)
            rows.append((name, measure, *found, _interval(there), _interval(back), mutual))
    left = len(results.pairs) - len(pairs)
    return text_table(head, rows) + (f"\n... and {left:,} more pairs in retrieval.csv" if left else "")


def _interval(values: Float[np.ndarray, " F"]) -> str:
    recall, low, high = (100 * values[metrics.FIGURES.index(f)] for f in ("recall_at_1", "ci_low", "ci_high"))
    return f"{recall:.1f}% [{low:.1f}, {high:.1f}]"


def _work(grid: Grid, pairs: int) -> dict[str, int | float]:
    chunks = pairs * len(grid.states) * len(grid.measures)
    scores = chunks * len(grid.sentences) ** 2
    draws = pairs * len(grid.states) * len(grid.measures) * 2 * bootstrap.RESAMPLES * len(grid.sentences)
    # Two comparisons per score; a multiplication and an addition per draw.
    return {"pairs": pairs, "bytes": 4 * scores, "flops": 2 * scores + 2 * draws}


def _dry_run(
    config: ReportConfig,
    grid: Grid,
    statistics: Statistics,
    mine: Sequence[int],
    todo: Sequence[int],
    start: float,
) -> ReportSummary:
    """Plan of a run, with a time estimated from its first two pairs; nothing is written."""
    disk_space.require(config.out, 0, "the report", "name another --out")
    took = [0.0]
    for pair in todo[:2]:  # the first one also loads and compiles
        began = time.monotonic()
        pair_metrics.score(grid, pair, statistics)
        took.append(time.monotonic() - began)
    seconds = sum(took) + took[-1] * (len(todo) - len(took) + 1)
    there = {measure: grid.present(measure) for measure in grid.measures}
    names = {pair: grid_store.pair_name(grid.pairs[pair]) for pair in todo}
    lacking = {
        f"{names[pair]} {measure}": sum((pair, state) not in found for state in range(len(grid.states)))
        for pair in todo
        for measure, found in there.items()
    }
    return ReportSummary(
        skipped=len(mine) - len(todo),
        missing={what: count for what, count in lacking.items() if count},
        seconds=seconds_since(start),
        plan=_work(grid, len(todo)) | {"estimated_seconds": math.ceil(10 * seconds) / 10},
    )

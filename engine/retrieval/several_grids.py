"""Several grids side by side: models, or runs of one, such as with language means and without.

Each grid has a report of its own in OUT/LABEL. OUT has their tables as one, with a column `grid`, curves of
all grids, and the differences between every two grids: paired contrasts on the sentences that a language
pair has in both. Where those are fewer than the pair has, its scores are ranked anew among them, because R@1
depends on the number of candidates; this is done by the process that writes the tables, a pair at a time.
Language pairs of one grid only, or that another holds the other way round, are named and not compared.
"""

import dataclasses
import itertools
import logging
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from isogloss.engine.drawing import picture_files
from isogloss.engine.retrieval import (
    contrasts,
    grid_curves,
    grid_store,
    pair_metrics,
    table as retrieval_table,
)
from isogloss.engine.retrieval.grid_store import Grid, Pair
from isogloss.engine.retrieval.pair_metrics import Scored, Statistics
from isogloss.engine.retrieval.report_config import ReportConfig
from isogloss.engine.retrieval.scorings import Scoring
from isogloss.engine.runtime import atomic_write, json_values, table_files, version, written_once
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

_LOG = logging.getLogger(__name__)
TABLES = ("retrieval", "best_states", "means")
"""Tables of the grids' reports that OUT has as one."""
COMPARED = ("same state", "best state")
"""What a difference is of: states of one name, or each grid's best state of that pair and scoring."""
_TEXT = ("grid", "other_grid", "compared", "language_a", "language_b", "direction", "measure", "correction")
_SHARES = ("recall_at_1", "other_recall_at_1", *contrasts.VALUES)
SCHEMA = pa.schema(
    {
        **dict.fromkeys((*_TEXT, "state", "other_state"), pa.string()),
        "n": pa.int32(),
        **dict.fromkeys((*_SHARES, "q"), pa.float64()),
    }
)


def labels(grids: Sequence[Place]) -> list[str]:
    """Names of the grids without their suffix; a Refusal if two are the same."""
    found = [grid.stem for grid in grids]
    if len(set(found)) < len(found) or not all(found):
        raise Refusal(f"--grid: grids to be compared need distinct names, got {', '.join(found)}; rename one")
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reported:
    """Grid with its report: pairs of two languages, scorings, and figures as parts."""

    grid: Grid
    parts: PartFiles
    statistics: Statistics

    @property
    def scorings(self) -> tuple[Scoring, ...]:
        return self.statistics.scorings(self.grid)

    def sentences(self, pair: Pair) -> set[str]:
        """Sentences that both languages of a pair have."""
        place = self.grid.pairs.index(pair)
        if not self.grid.axes.recordings:
            scores = self.grid.read(self.grid.measures[0], place, 0)
            known = ~np.isnan(scores)
            both = np.logical_and(known.any(0), known.any(1))
            return {self.grid.sentences[i] for i in np.flatnonzero(both)}
        a, b = (self.grid.axes.recordings[code].keys() for code in pair)
        return set(a & b)

    def figures(self, pair: Pair, shared: set[str]) -> Scored:
        """Figures of a pair among some of its sentences."""
        name = grid_store.pair_name(pair)
        if shared == self.sentences(pair) and self.parts.kept(name):
            return pair_metrics.load(self.parts, name)
        axes = self.grid.axes
        held = {code: {s: axes.recordings.get(code, {}).get(s, s) for s in shared} for code in pair}
        common = tuple(len(shared) if each == pair else 0 for each in axes.pairs)
        frames = {
            code: {s: n for s, n in counts.items() if s in shared} for code, counts in axes.frames.items()
        }
        smaller = dataclasses.replace(axes, recordings=held, common=common, frames=frames)
        grid = dataclasses.replace(self.grid, axes=smaller)
        return pair_metrics.score(grid, grid.pairs.index(pair), self.statistics)


def write(out: pathlib.Path, of_each: Mapping[str, ReportConfig], statistics: Statistics) -> tuple[int, bool]:
    """Number of rows of the joined retrieval table, and True if this process wrote it and all else.

    Args:
      out: folder of all of them.
      of_each: options of each grid's report, by label.
      statistics: what is computed of each pair.
    """
    atomic_write.make_folder(out / "parts")
    marks = {
        label: json_values.json_object(each.out / "parts" / "report.json", "delete that file")["made_of"]
        for label, each in of_each.items()
    }
    fdr = next(iter(of_each.values())).fdr

    def outputs() -> int:
        joined = {name: _joined(of_each, name) for name in TABLES}
        differences = tabulate(_opened(of_each, statistics), fdr)
        for name, table in (joined | {"grid_contrasts": differences}).items():
            retrieval_table.write_table(table, out, name)
        picture_files.save(grid_curves.drawn(joined["means"]), out / "curves")
        return joined["retrieval"].num_rows

    rows, written = written_once.write(out, "grids", [version.isogloss_version(), fdr, marks], outputs)
    assert isinstance(rows, int)
    return rows, written


def _joined(of_each: Mapping[str, ReportConfig], name: str) -> pa.Table:
    """One table of the reports' tables of a name, with the column `grid`."""
    found = []
    for label, each in of_each.items():
        table = table_files.read_parquet(each.out / f"{name}.parquet")
        found.append(table.add_column(0, "grid", pa.array([label] * table.num_rows, pa.string())))
    return pa.concat_tables([table.replace_schema_metadata() for table in found])


def _opened(of_each: Mapping[str, ReportConfig], statistics: Statistics) -> dict[str, _Reported]:
    found = {}
    for label, each in of_each.items():
        whole = grid_store.open_grid(each.grid)
        parts = pair_metrics.open_parts(each.out / "parts", whole, statistics)
        found[label] = _Reported(grid=whole.only(self_pairs=False), parts=parts, statistics=statistics)
    return found


def tabulate(of_each: Mapping[str, _Reported], fdr: str) -> pa.Table:
    """Table of the differences between every two grids; q is computed over the rows of one `compared`."""
    for two in itertools.combinations(of_each.items(), 2):
        _name_uncompared(dict(two))
    rows = [
        row
        for (label, one), (other_label, other) in itertools.combinations(of_each.items(), 2)
        for pair in one.grid.pairs
        if pair in other.grid.pairs
        for row in _of_pair({"grid": label, "other_grid": other_label}, one, other, pair)
    ]
    compared, p = np.array([row["compared"] for row in rows]), np.array([row["p"] for row in rows], float)
    q = np.full(len(rows), np.nan)
    for each in COMPARED:
        of = compared == each
        q[of] = contrasts.false_discovery(p[of], fdr)
    made = [row | {"q": value} for row, value in zip(rows, q.tolist(), strict=True)]
    return pa.Table.from_pylist(made, schema=SCHEMA)


def _name_uncompared(two: Mapping[str, _Reported]) -> None:
    """Log the language pairs that one of two grids lacks, or holds the other way round."""
    (label, one), (other_label, other) = two.items()
    pairs = {label: one.grid.pairs, other_label: other.grid.pairs}
    for here, there in ((label, other_label), (other_label, label)):
        if lone := [pair for pair in pairs[here] if pair not in pairs[there]]:
            turned = [pair for pair in lone if pair[::-1] in pairs[there]]
            _LOG.warning(
                "%d language pairs of %s aren't compared: %s lacks them%s: %s",
                len(lone),
                here,
                there,
                f" ({len(turned)} it holds the other way round)" if turned else "",
                first_names([grid_store.pair_name(pair) for pair in lone]),
            )


def _of_pair(
    key: Mapping[str, str], one: _Reported, other: _Reported, pair: Pair
) -> Iterator[dict[str, str | int | float]]:
    """Rows of one language pair: the scorings of both grids, at the states of one name and at the best."""
    shared = one.sentences(pair) & other.sentences(pair)
    if not shared:
        return
    figures = [each.figures(pair, shared) for each in (one, other)]
    hits = [each.ranks == 1 for each in figures]
    for scoring in one.scorings:
        if scoring not in other.scorings:
            continue
        places = [each.scorings.index(scoring) for each in (one, other)]
        for compared, states in _states(one, other, figures, hits, places):
            here, there = (
                each[state, place] for each, state, place in zip(hits, states, places, strict=True)
            )
            values = contrasts.contrast(here, there)
            for direction, arrow in enumerate(retrieval_table.arrows([pair])):
                shares = (here[direction].mean(), there[direction].mean(), *values[direction])
                yield {
                    **key,
                    **{"compared": compared, "language_a": pair[0], "language_b": pair[1]},
                    **{"direction": arrow, "measure": scoring.measure, "correction": scoring.correction},
                    "state": one.grid.states[states[0]],
                    "other_state": other.grid.states[states[1]],
                    "n": len(shared),
                    **dict(zip(_SHARES, map(float, shares), strict=True)),
                }


def _states(
    one: _Reported,
    other: _Reported,
    figures: Sequence[Scored],
    hits: Sequence[np.ndarray],
    places: Sequence[int],
) -> Iterator[tuple[str, tuple[int, int]]]:
    """What is compared, and the indices of both states, as far as they are computed."""
    known = [each.computed[:, place] for each, place in zip(figures, places, strict=True)]
    for here, state in enumerate(one.grid.states):
        if state in other.grid.states:
            there = other.grid.states.index(state)
            if known[0][here] and known[1][there]:
                yield COMPARED[0], (here, there)
    if known[0].any() and known[1].any():
        best = [
            int(np.where(computed, each[:, place].mean((1, 2)), -1).argmax())
            for each, place, computed in zip(hits, places, known, strict=True)
        ]
        yield COMPARED[1], (best[0], best[1])

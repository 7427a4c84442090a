"""Tables and ranks of a report, collected from the figures of all pairs, pair by pair.

Each pair's ranks are loaded when they are needed and not kept, because those of 102 languages take gigabytes.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from isogloss.engine.grid import pair_names
from isogloss.engine.grid.grid_store import Grid
from isogloss.engine.retrieval import contrasts, metrics, summaries, table
from isogloss.engine.retrieval.derived import BASELINE
from isogloss.engine.retrieval.pair_metrics import Scored, Statistics
from isogloss.engine.retrieval.scorings import scoring
from isogloss.engine.runtime.refusal import Refusal

SIGNIFICANT = 0.05
"""q below which a state retrieves more than the length baseline."""

_TEXT, _SHARE = pa.string(), pa.float64()
_BEST = {
    "language_a": _TEXT,
    "language_b": _TEXT,
    "measure": _TEXT,
    "correction": _TEXT,
    "direction": _TEXT,
    "n": pa.int32(),
    "best_state": _TEXT,
    "recall_at_1": _SHARE,
    "recall_at_1_held_out": _SHARE,
    "onset": _TEXT,
    "onset_low": _TEXT,
    "onset_high": _TEXT,
}
"""Columns of the table of best states."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collected:
    """Figures of a grid and its tables.

    Attributes:
      results: all figures.
      tables: by name of the file.
      fdr: false discovery rate of every q, "bh" or "by".
      above: 1 where R@1 exceeds that of the length baseline with q below `SIGNIFICANT`, 0 where it doesn't;
        NaN where that isn't known, and of the baseline itself.
    """

    results: metrics.Results
    tables: dict[str, pa.Table]
    fdr: str
    above: Float[np.ndarray, "P S M 2"]


def contrasted(grid: Grid, named: Sequence[str]) -> list[int]:
    """Indices of the pairs that --contrast_pairs names, to be compared with each other; none if it is empty.

    Raises:
      Refusal: the grid lacks one of them, one is named twice, or they are too many or one.
    """
    found = pair_names.indices("contrast_pairs", named, grid.pairs)
    if named and not 2 <= len(found) <= contrasts.MOST_PAIRS:
        raise Refusal(
            f"--contrast_pairs: must name 2 to {contrasts.MOST_PAIRS} language pairs, got {len(found)}"
        )
    return found


def collect(
    grid: Grid,
    statistics: Statistics,
    scored: Callable[[int], Scored],
    fdr: str,
    contrast_pairs: Sequence[str] = (),
) -> Collected:
    """Figures and tables of a grid.

    Args:
      grid: its grid.
      statistics: what is computed of each pair.
      scored: figures of a pair by its index.
      fdr: false discovery rate, "bh" or "by".
      contrast_pairs: names of those that are compared with each other; if none, all, if not too many.
    """
    pairs = [_without_ranks(scored(pair)) for pair in range(len(grid.pairs))]
    results = metrics.Results(
        pairs=grid.pairs,
        states=grid.states,
        measures=tuple(each.name for each in statistics.scorings(grid)),
        n=grid.common,
        computed=np.stack([pair.computed for pair in pairs]),
        values=np.stack([pair.values for pair in pairs]),
    )
    sentences = [[grid.sentences[i] for i in pair.sentences] for pair in pairs]
    hubs = np.stack([pair.hubs for pair in pairs])
    whole = [p for p, pair in enumerate(pairs) if len(pair.sentences) and pair.computed.all()]
    # 32 bits, and joined once: of 102 languages and 34 states there are 26 million contrasts.
    inside = (np.insert(pair.compared.astype(np.int32), [1, 4], p, axis=1) for p, pair in enumerate(pairs))
    found = list(zip(inside, (pair.contrasts for pair in pairs), strict=True))
    named = contrasted(grid, contrast_pairs) or whole
    found += _between_pairs(grid, results, [p for p in whole if p in named], scored)
    compared, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    threshold = _threshold(compared, values, fdr)
    above = _above(results, compared, values, threshold)
    tables = {
        "retrieval": table.tabulate(results, hubs, sentences, fdr, statistics.candidates, above),
        "contrasts": table.tabulate_contrasts(results, compared, values.astype(np.float64), fdr),
        "best_states": _best_states(results, whole, scored, threshold),
        "inductive": table.tabulate_halves(results, np.stack([pair.halves for pair in pairs])),
        "means": _means(grid, results, whole, scored),
    }
    tables = {name: made.replace_schema_metadata({"fdr": fdr}) for name, made in tables.items()}
    return Collected(results=results, tables=tables, fdr=fdr, above=above)


MEAN_ENDS = ("sentences_low", "sentences_high", "languages_low", "languages_high")
"""Columns of the table of means that hold the ends of its intervals."""


def mean_ends(results: metrics.Results, means: pa.Table) -> Float[np.ndarray, "4 S M"]:
    """`MEAN_ENDS` by state and scoring; NaN where they aren't of all pairs, and over the languages of one."""
    ends = np.stack([means[name].to_numpy() for name in MEAN_ENDS])
    found = ends.reshape(len(MEAN_ENDS), len(results.measures), len(results.states)).swapaxes(1, 2).copy()
    pairs = int((results.n > 0).sum())
    found[:, :, :] = np.where(means["pairs"].to_numpy().max(initial=0) == pairs, found, np.nan)
    if pairs < 2:  # other languages can't be drawn from them
        found[2:] = np.nan
    return found


def certain(retrieval: pa.Table) -> float:
    """Largest p of the retrieval table whose q is below `SIGNIFICANT`; 0 if none is."""
    p, q = (retrieval[name].to_numpy() for name in ("p", "q"))
    return float(p[q < SIGNIFICANT].max(initial=0.0))


def _without_ranks(scored: Scored) -> Scored:
    # A copy, because a view would keep all ranks.
    return dataclasses.replace(scored, ranks=scored.ranks[:0].copy())


def _between_pairs(
    grid: Grid, results: metrics.Results, whole: Sequence[int], scored: Callable[[int], Scored]
) -> Iterator[tuple[Int[np.ndarray, "K 9"], Float[np.ndarray, "K 4"]]]:
    """Contrasts between pairs, at the best state of each measure: index rows as of the table, and values.

    One pair has none, and neither have too many.
    """
    # Pairs of pairs: 5,151 pairs would make 13 million contrasts for each measure.
    if not 2 <= len(whole) <= contrasts.MOST_PAIRS:
        return
    pairs = [scored(p) for p in whole]
    for (v, name), d in itertools.product(enumerate(results.measures), (0, 1)):
        state = results.best_state(name)
        # Uncorrected measures alone: each correction would have as many rows again.
        if scoring(name).correction != "none" or state is None:
            continue
        hits, known = np.zeros((2, len(whole), len(grid.sentences)), bool)
        for row, pair in enumerate(pairs):
            hits[row, pair.sentences] = pair.ranks[state, v, d] == 1
            known[row, pair.sentences] = True
        which, values = contrasts.between_pairs(hits, known)
        first, second = np.asarray(whole)[which]
        same = [np.full(len(values), each) for each in (state, v, d)]
        family = np.full(len(values), contrasts.FAMILIES.index("pair"))
        yield np.stack([family, first, *same, second, *same], axis=1).astype(np.int32), values


def _threshold(compared: Int[np.ndarray, "K 9"], values: Float[np.ndarray, "K 4"], fdr: str) -> float:
    """Largest p of a contrast with the length baseline whose q is below `SIGNIFICANT`; -1 if none is."""
    # q of this family alone: it is one question, whether a cell exceeds the baseline.
    p = values[compared[:, 0] == contrasts.FAMILIES.index("duration"), -1]
    q = contrasts.false_discovery(p, fdr)
    # -1, below every p: with 0 a p that underflows would still pass.
    return float(p[q < SIGNIFICANT].max(initial=-1.0))


def _above(
    results: metrics.Results,
    compared: Int[np.ndarray, "K 9"],
    values: Float[np.ndarray, "K 4"],
    threshold: float,
) -> Float[np.ndarray, "P S M 2"]:
    """Cells above the length baseline, as of `Collected`."""
    found = np.full((*results.computed.shape, 2), np.nan, np.float32)
    rows = compared[:, 0] == contrasts.FAMILIES.index("duration")
    difference, p = values[rows, 0], values[rows, -1]
    found[tuple(compared[rows, 1:5].T)] = (difference > 0) & (p <= threshold)
    return found


def _best_states(
    results: metrics.Results, whole: Sequence[int], scored: Callable[[int], Scored], threshold: float
) -> pa.Table:
    """Table of one row per pair, scoring and direction: the best state, and the first above the baseline."""
    names = (*results.states, "none")
    baseline = results.measures.index(BASELINE) if BASELINE in results.measures else None
    rows = []
    for p in whole:
        hits = scored(p).ranks == 1
        held_out = summaries.held_out(hits)
        arrows = table.arrows(results.pairs[p : p + 1])
        for (v, name), d in itertools.product(enumerate(results.measures), (0, 1)):
            best = results.best_state_of_pair(p, name)
            assert best is not None, "every state of this pair is computed"
            onset: Sequence[str | None] = (None, None, None)
            if baseline is not None and v != baseline:
                found = contrasts.onset(hits[:, v, d], hits[0, baseline, d], threshold)
                onset = [names[state] for state in found]
            one = scoring(name)
            judged = float(hits[best, v, d].mean()), float(held_out[v, d])
            key = (*results.pairs[p], one.measure, one.correction, arrows[d], hits.shape[-1])
            rows.append((*key, results.states[best], *judged, *onset))
    columns = zip(*rows, strict=True) if rows else [()] * len(_BEST)
    return pa.table(
        {name: pa.array(column, kind) for (name, kind), column in zip(_BEST.items(), columns, strict=True)}
    )


def _means(
    grid: Grid, results: metrics.Results, whole: Sequence[int], scored: Callable[[int], Scored]
) -> pa.Table:
    """Table of one row per scoring and state: the mean over all whole pairs, and its two intervals."""
    shape = (len(results.states), len(results.measures))
    found = np.full((5, *shape), np.nan)
    if whole:
        mean, sentences, languages = summaries.means(_hits(results, whole, scored), len(grid.sentences))
        found = np.stack([mean, *sentences, *languages])
    measure, state = (axis.ravel() for axis in np.indices(shape[::-1]))
    names = ("recall_at_1", *MEAN_ENDS)
    return pa.table(
        {
            **table.scoring_columns(results.measures, measure),
            "state": table.labels(results.states, state),
            "pairs": pa.array(np.full(state.size, len(whole)), pa.int32()),
            **{
                name: pa.array(values[state, measure], pa.float64())
                for name, values in zip(names, found, strict=True)
            },
        }
    )


def _hits(
    results: metrics.Results, whole: Sequence[int], scored: Callable[[int], Scored]
) -> Iterator[tuple[tuple[str, str], Int[np.ndarray, " n"], Bool[np.ndarray, "S V 2 n"]]]:
    for p in whole:
        pair = scored(p)
        yield results.pairs[p], pair.sentences, pair.ranks == 1

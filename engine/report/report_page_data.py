"""Data inside a report's page: figures of every scoring, q, hubs and onsets, for its scripts.

Figures are stored as counts out of n in 16 bits, deflated, a block for the scorings of each correction. q
follows from n and the number of hits, because p does; so a list for each n is enough.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float, UInt16

from isogloss.engine.corpora.languages import find, language_group
from isogloss.engine.drawing import style
from isogloss.engine.report import language_order, report_tables
from isogloss.engine.report.report_tables import Collected
from isogloss.engine.retrieval import contrasts, metrics
from isogloss.engine.retrieval.derived import BASELINE, record
from isogloss.engine.retrieval.report_terms import CORRECTIONS
from isogloss.engine.retrieval.scorings import Scoring, corrected, scoring
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal

UNKNOWN = 65535  # value of a cell that isn't computed or has n = 0
STEPS = 65534  # an MRR of 1 is stored as this number, and a held-out R@1; other figures as counts out of n
PLANES = {
    "recall_at_1": (0, 1),
    "recall_at_5": (2, 3),
    "mrr": (4, 5),
    "mutual_nn": (6, 6),  # equal in both directions
    "ci_low": (7, 8),
    "ci_high": (9, 10),
    "hub_queries": (11, 12),
    "hub": (13, 14),  # index of a sentence
    "above": (15, 16),  # 1 where R@1 exceeds that of duration alone, 0 where it doesn't
    "hub_2": (17, 18),
    "hub_queries_2": (19, 20),
    "hub_3": (21, 22),
    "hub_queries_3": (23, 24),
}
"""Planes of a block that hold a figure's two directions; from "hub_2" on only of `contrasts.MOST_PAIRS`."""
ONSETS = ("onset", "onset_low", "onset_high", "recall_at_1_held_out")
"""Planes of the block of onsets, as columns of the table of best states."""


def blocks(collected: Collected) -> dict[str, bytes]:
    """Blocks by the id of their element: one per correction, that of onsets, that of ends of means."""
    results = collected.results
    names, others = _hubs(results, collected.tables["retrieval"])
    others["above"] = collected.above
    largest = max(int(np.max(results.n, initial=0)), len(names))
    if largest >= UNKNOWN:
        raise Refusal(f"the page counts up to {UNKNOWN - 1} sentences a pair, there are {largest}")
    packed = {
        f"block-{c}": _halves(np.stack([_block(results, v, others) for v in scorings], 1))
        for c, scorings in enumerate(_stored(results))
    }
    ends = report_tables.mean_ends(results, collected.tables["means"])
    means = np.where(np.isnan(ends), UNKNOWN, np.rint(np.nan_to_num(ends) * STEPS)).astype(np.uint16)
    return packed | {
        "onsets": _onsets(results, collected.tables["best_states"]),
        "means": _halves(means),  # (end, state, scoring)
    }


def _halves(numbers: UInt16[np.ndarray, "..."]) -> bytes:
    """The low bytes of all numbers, then the high ones, which are mostly equal: so they deflate to less."""
    return np.ascontiguousarray(numbers, "<u2").view(np.uint8).reshape(-1, 2).T.tobytes()


def _stored(results: metrics.Results) -> list[list[int]]:
    """Scorings of each block: those that have its correction; not every measure has each."""
    chosen = [scoring(name) for name in results.measures]
    corrections = dict.fromkeys(each.correction for each in chosen)
    return [[v for v, each in enumerate(chosen) if each.correction == name] for name in corrections]


def _block(
    results: metrics.Results, v: int, others: Mapping[str, Float[np.ndarray, "P S V 2"]]
) -> UInt16[np.ndarray, "K S P"]:
    """Planes of a scoring."""
    own = planes(len(results.pairs))
    shape = (max(b for _, b in own.values()) + 1, len(results.states), len(results.pairs))
    packed = np.full(shape, UNKNOWN, np.uint16)
    units = {"mrr": STEPS} | dict.fromkeys(others, 1)
    for figure, places in own.items():
        cells = others[figure] if figure in others else results.figure(figure)
        values = np.moveaxis(cells[:, :, v], 1, 0)  # (state, pair, direction)
        whole = units.get(figure, results.n[None, :, None])
        counts = np.where(np.isnan(values), UNKNOWN, np.rint(np.nan_to_num(values) * whole))
        for direction, plane in enumerate(places):
            packed[plane] = counts[..., direction]
    return packed


def planes(pairs: int) -> dict[str, tuple[int, int]]:
    """Those of `PLANES` that a page of so many language pairs has."""
    many = pairs > contrasts.MOST_PAIRS
    return {name: both for name, both in PLANES.items() if not (many and name[-2:] in ("_2", "_3"))}


def _hubs(
    results: metrics.Results, table: pa.Table
) -> tuple[list[str], dict[str, Float[np.ndarray, "P S V 2"]]]:
    """Sentences that are hubs, and cells of planes: the index of each hub among them, and its queries."""
    columns = [
        name for name in planes(len(results.pairs)) if name.startswith("hub") and name in table.column_names
    ]
    named = [name for name in columns if "queries" not in name]
    coded = pa.concat_arrays([table[name].combine_chunks() for name in named]).dictionary_encode()
    values = dict(zip(named, coded.indices.to_numpy().reshape(len(named), -1), strict=True))
    values |= {name: table[name].to_numpy() for name in columns if name not in named}
    found = {name: np.full((*results.computed.shape, 2), np.nan) for name in values}
    for name, cells in values.items():
        found[name][results.computed] = cells.reshape(-1, 2)
    return coded.dictionary.to_pylist(), found


def _onsets(results: metrics.Results, best: pa.Table) -> bytes:
    """`ONSETS` (plane, scoring, pair, direction); past the last state stands none."""
    states = {name: s for s, name in enumerate((*results.states, "none"))}
    pairs = {pair: p for p, pair in enumerate(results.pairs)}
    names = {scoring(name): v for v, name in enumerate(results.measures)}
    packed = np.full((len(ONSETS), len(names), len(pairs), 2), UNKNOWN, np.uint16)
    keys = ("language_a", "language_b", "measure", "correction", "direction")
    for row in zip(*(best[name].to_pylist() for name in (*keys, *ONSETS)), strict=True):
        a, b, measure, correction, direction, *ends, held_out = row
        v, p, d = names[Scoring(measure, correction)], pairs[a, b], int(direction != f"{a}->{b}")
        packed[:3, v, p, d] = [states.get(end, UNKNOWN) for end in ends]
        packed[3, v, p, d] = UNKNOWN if np.isnan(held_out) else round(held_out * STEPS)
    return _halves(packed)


def meta(collected: Collected) -> dict[str, Json]:
    """Data beside the blocks: languages, pairs, measures, corrections, orders, q, colours, terms."""
    results = collected.results
    position = {language: i for i, language in enumerate(results.languages)}
    chosen = [scoring(name) for name in results.measures]
    measures = list(dict.fromkeys(each.measure for each in chosen if each.measure != BASELINE))
    corrections = list(dict.fromkeys(each.correction for each in chosen))
    hubs, _ = _hubs(results, collected.tables["retrieval"])
    recall = [
        [results.matrix("recall_at_1", name, state) for state in range(len(results.states))]
        for name in results.measures
    ]
    return {
        "languages": languages(results.languages),
        "pairs": [[position[a], position[b]] for a, b in results.pairs],
        "n": results.n.tolist(),
        "states": results.states,
        "depths": results.depths,
        "measures": [{"key": key, "label": record(key).label} for key in measures],
        "corrections": [
            {"key": key, "label": CORRECTIONS[key][0], "about": CORRECTIONS[key][1]} for key in corrections
        ],
        "blocks": _stored(results),
        "scorings": [[chosen.index(_corrected(m, c)) for m in measures] for c in corrections],
        "baseline": chosen.index(Scoring(BASELINE)) if Scoring(BASELINE) in chosen else -1,
        "best": [results.best_state(name) for name in results.measures],
        "byGroup": language_order.by_group(results.languages),
        "byCluster": [[language_order.by_cluster(matrix) for matrix in row] for row in recall],
        "hubs": hubs,
        "q": _discoveries(collected.tables["retrieval"]),
        "planes": planes(len(results.pairs)),
        "unknown": UNKNOWN,
        "steps": STEPS,
        "palette": style.SEQUENTIAL,
    }


def _corrected(measure: str, correction: str) -> Scoring:
    """A measure with a correction, or as it is if none applies to it."""
    return Scoring(measure, correction) if corrected(measure) else Scoring(measure)


def languages(codes: Sequence[str]) -> list[Json]:
    """Data of each language for the scripts."""
    return [
        {"code": code, "name": name, "group": language_group(code), **_kin(code)}
        for code, name in zip(codes, language_order.names(codes), strict=True)
    ]


def _kin(code: str) -> dict[str, Json]:
    language = find(code)
    return {name: getattr(language, name) if language else "" for name in ("family", "branch", "script")}


def _discoveries(table: pa.Table) -> dict[str, Json]:
    """Value of q to two digits, by n, then by the number of hits; both as text."""
    n, recall, q = (table[name].to_numpy() for name in ("n", "recall_at_1", "q"))
    hits = np.rint(np.nan_to_num(recall) * n).astype(np.int64)
    keys, first = np.unique(n.astype(np.int64) * STEPS + hits, return_index=True)
    found: dict[str, dict[str, Json]] = {}
    for key, at in zip(keys.tolist(), first.tolist(), strict=True):
        if not np.isnan(q[at]):
            found.setdefault(str(key // STEPS), {})[str(key % STEPS)] = float(f"{q[at]:.2g}")
    return dict(found)

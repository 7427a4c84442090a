"""Table of the linear_maps job: R@1 of held-out sentences, and its difference to that without a map."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from isogloss.engine.linear_maps.held_out import HeldOut, Route
from isogloss.engine.retrieval import contrasts, metrics

_FIGURES = ("recall_at_1", "recall_at_5", "mrr", "mutual_nn", "ci_low", "ci_high")
_DIFFERENCE = ("difference", "difference_low", "difference_high", "p")  # as `contrasts.VALUES`
KEYS = ("language_a", "language_b", "state", "measure", "method", "pivot_language", "mapped", "direction")
SCHEMA = pa.schema(
    {
        **dict.fromkeys(KEYS, pa.string()),
        **dict.fromkeys(("n", "folds"), pa.int32()),
        **dict.fromkeys((*_FIGURES, "chance", *_DIFFERENCE, "q", "penalty"), pa.float64()),
    }
)
OF_PARTS = pa.schema([field for field in SCHEMA if field.name != "q"])


def rows(
    pair: tuple[str, str],
    state: str,
    measures: Sequence[str],
    ways: Sequence[Route],
    n: int,
    parts: int,
    found: HeldOut | None,
) -> list[dict[str, object]]:
    """Rows of a pair at a state: by measure, route and direction; unknown figures where nothing was found."""
    known = _figures(found) if found else {}
    made = []
    for m, measure in enumerate(measures):
        for r, route in enumerate(ways):
            for d, (query, candidate) in enumerate((pair, pair[::-1])):
                row: dict[str, object] = dict.fromkeys(OF_PARTS.names, np.nan)
                row |= {"language_a": pair[0], "language_b": pair[1], "state": state, "measure": measure}
                row |= {**route._asdict(), "direction": f"{query}->{candidate}", "n": n, "folds": parts}
                if found and found.known[r]:
                    row |= {name: values[m, r, d] for name, values in known.items()}
                    row |= {"chance": parts / n, "penalty": found.penalties[r, d]}
                made.append(row)
    return made


def _figures(found: HeldOut) -> dict[str, np.ndarray]:
    """Figures (measure, route, direction) of ranks; differences are to the first route, which has none."""
    ranks = found.ranks
    of_ranks = dict(zip(metrics.FIGURES, np.moveaxis(metrics.figures(ranks), -1, 0), strict=True))
    hits = ranks == 1
    flat = [side.reshape(-1, ranks.shape[-1]) for side in np.broadcast_arrays(hits, hits[:, :1])]
    values = contrasts.contrast(*flat).reshape(*ranks.shape[:3], len(_DIFFERENCE))
    values[:, 0] = np.nan
    compared = dict(zip(_DIFFERENCE, np.moveaxis(values, -1, 0), strict=True))
    return {name: of_ranks[name] for name in _FIGURES} | compared


def with_q(table: pa.Table, fdr: str) -> pa.Table:
    """The same rows with q of p, over the rows of one measure and one route."""
    frame = table.select(["measure", "method", "pivot_language", "mapped", "p"]).to_pandas()
    q = np.full(len(frame), np.nan)
    for _, family in frame.groupby(["measure", "method", "pivot_language", "mapped"]):
        q[family.index] = contrasts.false_discovery(family["p"].to_numpy(), fdr)
    return table.append_column("q", pa.array(q, pa.float64())).select(SCHEMA.names)

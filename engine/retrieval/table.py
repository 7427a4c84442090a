"""Retrieval table: the rows of a report, as Parquet and as CSV.

One row per pair, state, measure and direction: 1.75 million of 102 languages, 34 states and 5 measures. A
failed write leaves the older table.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from isogloss.engine.retrieval import metrics
from isogloss.engine.runtime import atomic_write, table_files


def tabulate(results: metrics.Results) -> pa.Table:
    """Table of one row per pair, state, measure and direction, in that order.

    `direction` names the query language first: "en->fr" asks in English among French candidates.
    Chunks not computed have no row; a pair without common sentences has rows with n = 0.
    """
    pair, state, measure = (np.repeat(axis, 2) for axis in np.nonzero(results.computed))
    direction = np.tile([0, 1], len(pair) // 2)
    n = results.n[pair]
    a, b = ([pair[side] for pair in results.pairs] for side in (0, 1))
    arrows = [f"{x}->{y}" for a_b in results.pairs for x, y in (a_b, a_b[::-1])]
    columns: dict[str, pa.Array] = {
        "language_a": _labels(a, pair),
        "language_b": _labels(b, pair),
        "state": _labels(results.states, state),
        "measure": _labels(results.measures, measure),
        "direction": _labels(arrows, 2 * pair + direction),
        "n": pa.array(n, pa.int32()),
    }
    values = results.values[pair, state, measure, direction]
    for f, name in enumerate(metrics.FIGURES):
        if name == "ci_low":
            columns["chance"] = pa.array(1 / np.where(n > 0, n, np.nan), pa.float64())
        columns[name] = pa.array(values[:, f], pa.float64())
    return pa.table(columns)


def _labels(names: Sequence[str], index: Int[np.ndarray, " R"]) -> pa.Array:
    coded = pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(names, pa.string()))
    return coded.cast(pa.string())


def write_table(table: pa.Table, out: pathlib.Path) -> None:
    """Write retrieval.parquet and retrieval.csv: the same rows in the same order, NaN as "nan"."""
    atomic_write.write_whole(out / "retrieval.parquet", lambda file: table_files.write_parquet(table, file))
    atomic_write.write_whole(out / "retrieval.csv", lambda file: table_files.write_csv(table, file))

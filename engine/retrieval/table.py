"""Tables of a report, as Parquet and as CSV.

One row of the retrieval table per pair, state, scoring and direction: 7.7 million of 102 languages, 34
states, 8 measures and 2 corrections. A failed write leaves the older table.
"""

import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int, Int32, Shaped

from isogloss.engine.retrieval import contrasts, corrections, metrics
from isogloss.engine.retrieval.scorings import scoring
from isogloss.engine.runtime import atomic_write, table_files

Pairs = Sequence[tuple[str, str]]
_ROWS = 1 << 20  # of a piece, as many as a row group of Parquet has


def tabulate(
    results: metrics.Results,
    hubs: Int32[np.ndarray, "P S M 2 h 2"],
    sentences: Sequence[Sequence[str]],
    fdr: str,
    candidates: int,
    above: Float[np.ndarray, "P S M 2"],
) -> pa.Table:
    """Table of one row per pair, state, scoring and direction, in that order.

    `direction` names the query language first: "en->fr" asks in English among French candidates.
    Chunks not computed have no row; a pair without common sentences has rows with n = 0. q is computed over
    all rows of the table.

    Args:
      results: all figures.
      hubs: positions, among the sentences of its pair, and numbers of queries, as of `corrections.hubs`.
      sentences: ids of the sentences that both languages of each pair have.
      fdr: "bh" or "by".
      candidates: number of candidates that recall_at_1_of is for; the column's name has it.
      above: as of `report_tables.Collected`.
    """
    pair, state, measure = (np.repeat(axis, 2) for axis in np.nonzero(results.computed))
    direction = np.tile([0, 1], len(pair) // 2)
    n = results.n[pair]
    columns = {
        **_pair_columns(results.pairs, pair),
        "state": labels(results.states, state),
        **scoring_columns(results.measures, measure),
        "direction": labels(arrows(results.pairs), 2 * pair + direction),
        "n": pa.array(n, pa.int32()),
    }
    values = results.values[pair, state, measure, direction]
    for f, name in enumerate(metrics.ALL_FIGURES):
        # Chance and q stand beside the figures that they explain.
        if name == "ci_low":
            columns["chance"] = pa.array(metrics.chance(n), pa.float64())
        column = f"{name}_{candidates}" if name == "recall_at_1_of" else name
        columns[column] = pa.array(values[:, f], pa.float64())
        if name == "p":
            columns["q"] = pa.array(contrasts.false_discovery(values[:, f], fdr), pa.float64())
    columns |= _hub_columns(sentences, pair, hubs[pair, state, measure, direction])
    exceeds = above[pair, state, measure, direction]
    return pa.table(columns | {"above_duration": pa.array(exceeds == 1, pa.bool_(), mask=np.isnan(exceeds))})


def _hub_columns(
    sentences: Sequence[Sequence[str]], pair: Int[np.ndarray, " R"], hubs: Int32[np.ndarray, "R h 2"]
) -> dict[str, pa.Array]:
    """Names of the hubs of each row, and the numbers of queries of those after the first."""
    columns: dict[str, pa.Array] = {}
    for place, (at, queries) in enumerate(np.moveaxis(hubs, 0, 2)):
        names = [sentences[p][i] if i >= 0 else "" for p, i in zip(pair.tolist(), at.tolist(), strict=True)]
        columns["hub" + hub_suffix(place)] = pa.array(names, pa.string())
        if place:
            columns["hub_queries" + hub_suffix(place)] = pa.array(queries, pa.int32())
    return columns


def hub_suffix(place: int) -> str:
    """End of the names of a hub's columns: nothing of the first one, "_2" of the second."""
    return f"_{place + 1}" if place else ""


def tabulate_halves(results: metrics.Results, halves: Float[np.ndarray, "P S M 2 f 3"]) -> pa.Table:
    """Table of R@1 within halves of the sentences, by `corrections.FORMS`, each with its interval."""
    pair, state, measure, direction = np.nonzero(~np.isnan(halves[..., 0, 0]))
    # R@1 of all forms come first, as in older tables.
    names = [f"{form}{end}" for end in ("", "_low", "_high") for form in corrections.FORMS]
    values = halves[pair, state, measure, direction].swapaxes(1, 2).reshape(len(pair), -1)
    return pa.table(
        {
            **_pair_columns(results.pairs, pair),
            "state": labels(results.states, state),
            "measure": labels(results.measures, measure),
            "direction": labels(arrows(results.pairs), 2 * pair + direction),
            "candidates": pa.array(results.n[pair] / 2, pa.float64()),
            **{name: pa.array(values[:, i], pa.float64()) for i, name in enumerate(names)},
        }
    )


def tabulate_contrasts(
    results: metrics.Results,
    compared: Int[np.ndarray, "K 9"],
    values: Float[np.ndarray, "K 4"],
    fdr: str,
) -> pa.Table:
    """Table of paired differences of R@1, one row each; q is computed within each family.

    Names are coded, which takes a fifth of the memory: of 102 languages there are 26 million rows.

    Args:
      results: figures of the grid, for the names.
      compared: family, pair, state, scoring, direction, then those four of the other cell.
      values: `contrasts.VALUES`.
      fdr: "bh" or "by".
    """
    family = compared[:, 0]
    columns: dict[str, pa.Array] = {"compared_with": coded(contrasts.FAMILIES, family)}
    for prefix, (pair, state, measure, direction) in (
        ("", compared[:, 1:5].T),
        ("other_", compared[:, 5:].T),
    ):
        both = [scoring(name) for name in results.measures]
        cells = {
            "language_a": coded([a for a, _ in results.pairs], pair),
            "language_b": coded([b for _, b in results.pairs], pair),
            "state": coded(results.states, state),
            "measure": coded([each.measure for each in both], measure),
            "correction": coded([each.correction for each in both], measure),
            "direction": coded(arrows(results.pairs), 2 * pair + direction),
        }
        columns |= {prefix + name: column for name, column in cells.items()}
    columns |= {name: pa.array(values[:, i], pa.float64()) for i, name in enumerate(contrasts.VALUES)}
    q = contrasts.false_discovery(values[:, -1], fdr, family)
    return pa.table(columns | {"q": pa.array(q, pa.float64())})


def _pair_columns(pairs: Pairs, index: Int[np.ndarray, " R"]) -> dict[str, pa.Array]:
    names = ("language_a", "language_b")
    return {name: labels([pair[side] for pair in pairs], index) for side, name in enumerate(names)}


def scoring_columns(names: Sequence[str], index: Int[np.ndarray, " R"]) -> dict[str, pa.Array]:
    """Columns `measure` and `correction` of scorings by their indices."""
    both = [scoring(name) for name in names]
    return {
        "measure": labels([each.measure for each in both], index),
        "correction": labels([each.correction for each in both], index),
    }


def arrows(pairs: Pairs) -> list[str]:
    """Names of the directions of all pairs: those of pair p stand at 2 p and 2 p + 1."""
    return [f"{x}->{y}" for pair in pairs for x, y in (pair, pair[::-1])]


def labels(names: Sequence[str], index: Shaped[np.ndarray, " R"]) -> pa.Array:
    """Column of names by their indices."""
    return coded(names, index).cast(pa.string())


def coded(names: Sequence[str], index: Shaped[np.ndarray, " R"]) -> pa.DictionaryArray:
    """Column of names by their indices, not yet as strings."""
    return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(names, pa.string()))


def plain_schema(table: pa.Table) -> pa.Schema:
    """Columns as they are written: names are strings, not codes."""
    fields = [
        field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return pa.schema(fields, table.schema.metadata)


def write_table(table: pa.Table, out: pathlib.Path, name: str = "retrieval") -> None:
    """Write NAME.parquet and NAME.csv, a million rows at a time."""
    schema = plain_schema(table)

    def pieces() -> Iterator[pa.Table]:
        # At least one piece: an empty table has a header, too.
        for start in range(0, max(1, table.num_rows), _ROWS):
            yield table.slice(start, _ROWS).cast(schema)

    write_in_pieces(schema, pieces, out, name)


def write_in_pieces(
    schema: pa.Schema, pieces: Callable[[], Iterable[pa.Table]], out: pathlib.Path, name: str
) -> None:
    """Write NAME.parquet and NAME.csv as `write_table`, piece by piece; the pieces are asked for twice."""
    for kind, write in (
        ("parquet", table_files.write_parquet_in_pieces),
        ("csv", table_files.write_csv_in_pieces),
    ):
        atomic_write.write_whole(
            out / f"{name}.{kind}", lambda file, write=write: write(schema, pieces(), file)
        )

"""The similarity job: reads activation stores, writes a table of CKA, SVCCA and RSA of every language pair.

A job of its own and no part of the report: a report is made of score matrices alone, also where their store
is gone, and these figures need the states. Units, parts and memory are those of `pair_units`.
"""

import dataclasses
import pathlib
import time

import numpy as np
import pyarrow as pa

from isogloss.engine.retrieval import contrasts
from isogloss.engine.runtime import data_dictionary, table_files
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.similarity import pair_units, representations
from isogloss.engine.similarity.pair_units import PairJob, PairSummary, PairUnits, Pooled, Unit
from isogloss.engine.similarity.representations import Similarity
from isogloss.engine.similarity.similarity_config import SimilarityConfig
from isogloss.kernels import bootstrap

_COLUMNS = pathlib.Path(__file__).with_name(data_dictionary.NAME)
LENGTH = ("kept", "partialled out")
SCHEMA = pa.schema(
    {
        **dict.fromkeys(("language_a", "language_b", "state", "length"), pa.string()),
        "n": pa.int32(),
        **{
            field.name: pa.int32() if field.type is int else pa.float64()
            for field in dataclasses.fields(Similarity)
        },
        "q": pa.float64(),
    }
)
_OF_PARTS = pa.schema([field for field in SCHEMA if field.name != "q"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilaritySummary(PairSummary):
    """Result of a run; its last sentence has a warning."""

    def sentence(self, config: SimilarityConfig) -> str:
        """Place of the table and its warning, or what it waits for."""
        warning = ". High similarity isn't retrieval: read report's R@1 first" if self.table else ""
        return self.place(config) + warning


def run(config: SimilarityConfig) -> SimilaritySummary:
    """Summary of a run that computes the missing units, and writes the table if none is left.

    Raises:
      Refusal: there are fewer than two languages, or of different models, or OUT can't be written to.
      OSError: the table can't be written.
    """
    settings = (
        representations.VARIANCE,
        representations.DEGREE,
        representations.PERMUTATIONS,
        bootstrap.SEED,
    )
    job = PairJob(
        name="similarity",
        schema=_OF_PARTS,
        rows=_rows,
        outputs=lambda table: _write(config, table),
        seconds_of_a_pair=_seconds_of_a_pair,
    )
    work = pair_units.open_units(job.name, config, settings)
    return pair_units.run(job, config, work, SimilaritySummary)


def _rows(work: PairUnits, unit: Unit, pooled: Pooled) -> pa.Table:
    """Rows of one language with all languages after it."""
    state, a = unit
    rows = []
    for b in work.after(a):
        for length, (n, found) in zip(LENGTH, _pair(work, a, b, pooled), strict=True):
            key = {"language_a": a, "language_b": b, "state": state, "length": length, "n": n}
            rows.append(key | dataclasses.asdict(found))
    return pa.Table.from_pylist(rows, schema=_OF_PARTS)


def _pair(work: PairUnits, a: str, b: str, pooled: Pooled) -> list[tuple[int, Similarity]]:
    """Number of common sentences and similarity, with length and without."""
    common, rows = work.common(a, b)
    if not common:
        return [(0, Similarity())] * 2
    sides = [pooled[code][where] for code, where in zip((a, b), rows, strict=True)]
    frames = [work.members[code].frames[where] for code, where in zip((a, b), rows, strict=True)]
    # The lengths of both languages, because either may carry what both have in common.
    partialled = [representations.without_length(side, *frames) for side in sides]
    return [(len(common), representations.similarity(x, y)) for x, y in (sides, partialled)]


def _write(config: SimilarityConfig, rows: pa.Table) -> dict[str, Json]:
    whole = with_q(rows, config.fdr)
    table_files.write_both(whole, config.out / "similarity")
    data_dictionary.write(config.out, _COLUMNS)
    return {"rows": whole.num_rows}


def with_q(table: pa.Table, fdr: str) -> pa.Table:
    """The same rows with q of Mantel's p, over the rows of one `length`."""
    q = contrasts.false_discovery(table["mantel_p"].to_numpy(), fdr, np.asarray(table["length"].to_pylist()))
    return table.append_column("q", pa.array(q, pa.float64()))


def _seconds_of_a_pair(work: PairUnits) -> float:
    """Duration of one comparison of random representations of this size, as both forms of a pair take it."""
    n = max(len(member.rows) for member in work.members.values())
    width = next(iter(work.members.values())).store.features
    # Time depends on sizes alone, so random numbers do.
    x = np.random.default_rng(0).standard_normal((2, n, width))
    begin = time.monotonic()
    representations.similarity(*x)
    return 2 * (time.monotonic() - begin)

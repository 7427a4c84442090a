"""Outputs of a run: the joined tables of all units, counts for the summary, and the report.

Memory: the sentence pairs of all units and the word pairs of one unit, without the report.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from isogloss.engine.interpretation import report, tables
from isogloss.engine.interpretation.aligned_words import LanguageWords
from isogloss.engine.interpretation.inputs import InterpretInputs, PairState
from isogloss.engine.interpretation.report import Checks
from isogloss.engine.interpretation.word_pairs import Method
from isogloss.engine.runtime import atomic_write, data_dictionary, part_run, table_files
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles

_COLUMNS = pathlib.Path(__file__).with_name(data_dictionary.NAME)
_LOG = logging.getLogger(__name__)
_REASONS = 20  # distinct reasons of left-out sentence pairs that are logged
_FAR = 1e-4  # difference from the grid's score that gets a warning


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterpretOutputs:
    """Counts and paths of what a run has written, for its summary.

    Attributes:
      waiting: units that other shards have not finished; the tables are written when there are none.
      failed: reason by unit that can't be computed.
      left_out: sentence pairs that can't be compared; sentence_pairs.parquet has the reasons.
      unconverged: sentence pairs whose transport did not converge.
      largest_difference: between a sentence pair's score and the grid's; None without tables.
      tables: rows by table; empty until all shards have finished.
      without_phones: languages whose words have no phones, with the reason.
      without_meaning: languages that the sentence encoder doesn't know, with the reason.
      page: to browse word matches; None until all shards have finished, and without a unit.
    """

    waiting: int = 0
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    left_out: int = 0
    unconverged: int = 0
    largest_difference: float | None = None
    tables: Mapping[str, int] = dataclasses.field(default_factory=dict)
    without_phones: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without_meaning: Mapping[str, str] = dataclasses.field(default_factory=dict)
    page: str | None = None


def write(
    out: pathlib.Path,
    opened: InterpretInputs,
    words: Mapping[str, LanguageWords],
    parts: PartFiles,
    checks: Checks,
    settings: Mapping[str, Json],
    method: Method,
) -> InterpretOutputs:
    """Counts and paths of the joined tables, which are written if no other shard has units to do."""
    # Tables are ordered by pair, although work goes by state: readers look for a pair, through all states.
    units = [PairState(state, pair) for pair in opened.pairs for state in opened.states]
    by_name = {opened.name(unit): unit for unit in units}
    ended = part_run.standing(parts, list(by_name), "units")
    if ended.waiting:
        return InterpretOutputs(waiting=ended.waiting, failed=ended.failed)
    done = [by_name[name] for name in ended.kept]
    rows = _join_all(out, parts, ended.kept)
    sentences = [parts.table(name, tables.SENTENCE_PAIRS_PART) for name in ended.kept]
    outputs = dataclasses.replace(_summarise(sentences, method), failed=ended.failed, tables=rows)
    if not rows["word_pairs"]:
        report.remove(out, opened)
        data_dictionary.write(out, _COLUMNS, _of_matches)
        return outputs
    described = {
        "encoder": checks.encoder.name if checks.encoder else "none",
        "phones": "espeak" if checks.voices else "none",
    }
    page = report.write(out, opened, words, parts, done, checks, {**settings, **described})
    data_dictionary.write(out, _COLUMNS, _of_matches)
    voiceless = checks.voices.voiceless if checks.voices else {}
    for language, reason in voiceless.items():
        _LOG.warning("%s: its words have no phones: %s", language, reason)
    unread = checks.encoder.unread(opened.members) if checks.encoder else {}
    for language, reason in unread.items():
        _LOG.warning("%s: its words have no meaning: %s", language, reason)
    return dataclasses.replace(outputs, without_phones=voiceless, without_meaning=unread, page=str(page))


def _of_matches(table: str, column: str) -> str | None:
    """Meaning of a column that `matches` has from `word_pairs`."""
    known = data_dictionary.columns(_COLUMNS).get(("word_pairs", column)) if table == "matches" else None
    return known.meaning if known else None


def _join_all(out: pathlib.Path, parts: PartFiles, kept: Sequence[str]) -> dict[str, int]:
    """Number of rows by table, each of which joins the parts of all units."""

    def of_units(kind: str) -> Iterator[pa.Table]:
        return (parts.table(name, kind) for name in kept)

    joined = {
        "word_pairs": (tables.WORD_PAIRS, of_units(tables.WORD_PAIRS_PART)),
        "word_types": (tables.WORD_TYPES, map(tables.word_types, of_units(tables.WORD_PAIRS_PART))),
        "sentence_pairs": (tables.SENTENCE_PAIRS, of_units(tables.SENTENCE_PAIRS_PART)),
    }
    return {name: _join(out / f"{name}.parquet", *given) for name, given in joined.items()}


def _join(path: pathlib.Path, schema: pa.Schema, of_units: Iterable[pa.Table]) -> int:
    """Number of rows of a table that joins those of all units, one in memory at a time."""
    rows = 0

    def counted() -> Iterator[pa.Table]:
        nonlocal rows
        for table in of_units:
            rows += table.num_rows
            yield table

    atomic_write.write_whole(path, lambda file: table_files.write_parquet_in_pieces(schema, counted(), file))
    return rows


def _summarise(of_units: Sequence[pa.Table], method: Method) -> InterpretOutputs:
    """Counts over all sentence pairs; what a reader of the tables must know is logged as warnings."""
    columns = ["problem", "converged", "score", "precision", "recall", "grid_score", "state"]
    columns += ["truncated_a", "truncated_b"]
    every = pa.concat_tables([tables.SENTENCE_PAIRS.empty_table(), *of_units]).select(columns)
    frame = every.to_pandas()
    good, left_out = frame[frame["problem"] == ""], frame.loc[frame["problem"] != "", "problem"]
    for reason, n in left_out.value_counts().iloc[:_REASONS].items():
        _LOG.warning("%d sentence pairs aren't compared: %s", n, reason)
    if left_out.nunique() > _REASONS:
        _LOG.warning("sentence_pairs.parquet has %d more reasons", left_out.nunique() - _REASONS)
    truncated = int((good["truncated_a"] | good["truncated_b"]).sum())
    if truncated:
        _LOG.warning(
            "%d sentence pairs have a recording longer than the model's window, whose last words may have "
            "wrong times; truncated_a and truncated_b mark them",
            truncated,
        )
    unconverged = int((~good["converged"].astype(bool)).sum())
    if unconverged:
        _LOG.warning(
            "the transport of %d sentence pairs did not converge in %d iterations; a larger --epsilon "
            "than %g converges sooner",
            unconverged,
            method.iterations,
            method.epsilon,
        )
    difference = (good["score"] - good["grid_score"]).abs().to_numpy(float)
    largest = float(difference.max()) if difference.size else None
    # F1 multiplies errors of P and R by this factor, which is large where P + R is near 0.
    p, r = good["precision"].to_numpy(float), good["recall"].to_numpy(float)
    passed = np.maximum(1, (p * p + r * r) / np.maximum((p + r) ** 2, 1e-30))
    if (difference > _FAR * passed).any():
        _LOG.warning(
            "scores differ from the grid's by up to %.2g: was it made by another --implementation?", largest
        )
    return InterpretOutputs(
        left_out=len(left_out),
        unconverged=unconverged,
        largest_difference=largest,
    )

"""Columns of the tables of the lexicon job, and tables made of rows."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from isogloss.engine.lexicon.lexicon_config import POOLINGS
from isogloss.engine.lexicon.word_classes import CLASSES

_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int32()
RANDOM = "random"
"""Class of the unrelated pairs that stand beside others."""
MATCHED = tuple(f"matched_{name.replace('-', '_')}" for name in CLASSES)

WORD_PAIRS = pa.schema(
    [
        ("language_a", _TEXT),
        ("language_b", _TEXT),
        ("class", _TEXT),
        ("word_a", _TEXT),
        ("word_b", _TEXT),
        ("phones_a", _TEXT),
        ("phones_b", _TEXT),
        ("utterance_a", _TEXT),
        ("utterance_b", _TEXT),
        ("sentence_a", _TEXT),
        ("sentence_b", _TEXT),
        ("frames_a", _COUNT),
        ("frames_b", _COUNT),
        ("length_ratio", _NUMBER),
        ("distance", _NUMBER),
        *((name, _COUNT) for name in MATCHED),
    ]
)
"""Columns of each pair of words; those of similarities, `similarity_column`, come after them."""
CLASS_ROWS = pa.schema(
    [
        ("language_a", _TEXT),
        ("language_b", _TEXT),
        ("state", _TEXT),
        ("pooling", _TEXT),
        ("class", _TEXT),
        ("n", _COUNT),
        ("words_a", _COUNT),
        ("words_b", _COUNT),
        ("matched", _COUNT),
        ("unrelated", _COUNT),
        ("auc", _NUMBER),
        ("ci_low", _NUMBER),
        ("ci_high", _NUMBER),
        ("cohens_d", _NUMBER),
        ("auc_unmatched", _NUMBER),
        ("cohens_d_unmatched", _NUMBER),
        ("length", _NUMBER),
        ("length_matched", _NUMBER),
        ("length_unmatched", _NUMBER),
    ]
)
SCHEMAS = {"word_pairs": WORD_PAIRS, "classes": CLASS_ROWS}


def similarity_column(pooling: str, state: str) -> str:
    """Name of the column of `word_pairs` with the similarities of a pooling at a state."""
    return f"{pooling}_{state}"


def meaning(table: str, column: str) -> str | None:
    """Meaning of a column of similarities; None of others, which columns.tsv has."""
    pooling, _, state = column.partition("_")
    if table != "word_pairs" or pooling not in POOLINGS:
        return None
    return f"Similarity of the pair at state {state} by the pooling {pooling}; larger is closer."


def class_rows(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Table `classes` of rows."""
    return pa.table({field.name: [row[field.name] for row in rows] for field in CLASS_ROWS}, CLASS_ROWS)

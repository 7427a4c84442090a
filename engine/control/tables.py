"""Columns of the tables of the control job, and tables made of rows."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

_TEXT, _NUMBER, _COUNT, _MARK = pa.string(), pa.float64(), pa.int32(), pa.bool_()
_PAIR = [("language_a", _TEXT), ("language_b", _TEXT)]
OTHER = ("difference", "difference_low", "difference_high", "p")

SENTENCES = pa.schema(
    [
        ("sentence", _TEXT),
        ("language", _TEXT),
        ("transcription", _TEXT),
        ("raw_transcription", _TEXT),
        ("names_found", _TEXT),
        ("numbers_found", _TEXT),
        ("names", _MARK),
        ("numbers", _MARK),
    ]
)
SENTENCE_PAIRS = pa.schema(
    [
        *_PAIR,
        ("sentence", _TEXT),
        ("names", _MARK),
        ("numbers", _MARK),
        ("alike", _MARK),
        ("closest", _NUMBER),
        ("word_a", _TEXT),
        ("word_b", _TEXT),
        ("words_a", _COUNT),
        ("words_b", _COUNT),
        ("overlap", _NUMBER),
        ("overlap_precision", _NUMBER),
        ("overlap_recall", _NUMBER),
        ("advantage_ab", _NUMBER),
        ("advantage_ba", _NUMBER),
        ("meaning", _NUMBER),
        ("length", _NUMBER),
    ]
)
CONTROL = pa.schema(
    [
        *_PAIR,
        ("state", _TEXT),
        ("direction", _TEXT),
        ("scores", _TEXT),
        ("removed", _TEXT),
        ("alike", _NUMBER),
        ("form", _TEXT),
        ("queries", _COUNT),
        ("candidates", _COUNT),
        ("recall_at_1", _NUMBER),
        ("ci_low", _NUMBER),
        ("ci_high", _NUMBER),
        ("chance", _NUMBER),
        ("expected", _NUMBER),
        ("difference", _NUMBER),
        ("difference_low", _NUMBER),
        ("difference_high", _NUMBER),
        ("random_low", _NUMBER),
        ("random_high", _NUMBER),
        ("other_state", _TEXT),
        ("other_recall_at_1", _NUMBER),
        *((f"other_{name}", _NUMBER) for name in OTHER),
    ]
)
FACTORS = pa.schema(
    [
        *_PAIR,
        ("state", _TEXT),
        ("factor", _TEXT),
        ("n", _COUNT),
        ("weight", _NUMBER),
        ("error", _NUMBER),
        ("ci_low", _NUMBER),
        ("ci_high", _NUMBER),
        ("p", _NUMBER),
        ("q", _NUMBER),
        ("p_permutation", _NUMBER),
        ("slope", _NUMBER),
        ("vif", _NUMBER),
        ("r_squared", _NUMBER),
        ("other_state", _TEXT),
        ("other_weight", _NUMBER),
        *((f"other_{name}", _NUMBER) for name in OTHER),
    ]
)
AGREEMENT = pa.schema(
    [
        ("between", _TEXT),
        *_PAIR,
        ("rater_a", _TEXT),
        ("rater_b", _TEXT),
        ("n", _COUNT),
        ("marked_a", _COUNT),
        ("marked_b", _COUNT),
        ("marked_both", _COUNT),
        ("kappa", _NUMBER),
    ]
)
SCHEMAS = {
    "sentences": SENTENCES,
    "sentence_pairs": SENTENCE_PAIRS,
    "control": CONTROL,
    "factors": FACTORS,
    "agreement": AGREEMENT,
}
PARTS = ("sentence_pairs", "control", "factors", "agreement")
"""Tables of which each language pair makes a part."""
_OF_SOUND = {"alike", "closest", "word_a", "word_b", "words_a", "words_b"}
_OF_SOUND |= {"overlap", "overlap_precision", "overlap_recall", "advantage_ab", "advantage_ba"}


def made(name: str, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Table of rows; what a row lacks is null."""
    schema = SCHEMAS[name]
    return pa.table({field.name: [row.get(field.name) for row in rows] for field in schema}, schema)


def shown(
    table: pa.Table, *, sound: bool, meaning: bool, raters: bool, other: bool, permutations: bool
) -> pa.Table:
    """The table without the columns that nothing was computed for."""
    without: set[str] = set()
    if not sound:
        without |= _OF_SOUND
    if not meaning:
        without.add("meaning")
    if not raters:
        without |= {"names", "names_found"}
    if not permutations:
        without.add("p_permutation")
    if not other:
        without |= {each for each in table.column_names if each.startswith("other_")}
    return table.drop_columns([each for each in table.column_names if each in without])

"""Tables of the interpret job: word pairs, word types and sentence pairs.

A unit, one language pair at one state, has a table of word pairs and one of sentence pairs; users read the
joined tables of all units. Frames of no word have rows in the table of word pairs too, with word index -1 and
the word "", so that the shares of a sentence pair sum to its score.
"""

import dataclasses
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from isogloss.engine.interpretation.aligned_words import Words
from isogloss.engine.interpretation.word_pairs import WordPairs

SENTENCE_PAIRS_PART, WORD_PAIRS_PART = PARTS = ("sentence_pairs.parquet", "word_pairs.parquet")
"""Kinds of a unit's part files, in the order of writing."""
GAP, GAP_INDEX = "", -1  # word and word index of frames of no word
_KEYS = [(name, pa.string()) for name in ("language_a", "language_b", "state")]
_SENTENCES = [(name, pa.string()) for name in ("query", "candidate", "utterance_a", "utterance_b")]
WORD_PAIRS = pa.schema(
    [
        *_KEYS,
        *_SENTENCES,
        ("gold", pa.bool_()),  # query and candidate are the same sentence
        ("word_index_a", pa.int32()),
        ("word_index_b", pa.int32()),
        ("word_a", pa.string()),
        ("word_b", pa.string()),
        ("start_a", pa.float64()),  # seconds; this and all columns of words are NaN for frames of no word
        ("end_a", pa.float64()),
        ("start_b", pa.float64()),
        ("end_b", pa.float64()),
        ("similarity", pa.float32()),
        ("mutual", pa.bool_()),
        ("transport", pa.float32()),  # mass; sums to 1 over a sentence pair
        ("transported", pa.bool_()),
        ("share_precision", pa.float32()),
        ("share_recall", pa.float32()),
        ("share", pa.float32()),  # of SeqSim, the F1
    ]
)
SENTENCE_PAIRS = pa.schema(
    [
        *_KEYS,
        *_SENTENCES,
        ("gold", pa.bool_()),
        ("grid_score", pa.float32()),
        ("precision", pa.float64()),
        ("recall", pa.float64()),
        ("score", pa.float64()),
        ("share_precision", pa.float64()),  # sums of the word pairs' shares
        ("share_recall", pa.float64()),
        ("share", pa.float64()),
        ("share_gap", pa.float64()),  # the part of `share` of frames of no word on either side
        ("words_a", pa.int32()),
        ("words_b", pa.int32()),
        ("empty_a", pa.int32()),  # words left out, which have no frame of their own
        ("empty_b", pa.int32()),
        ("truncated_a", pa.bool_()),  # longer than the window: the last words may have wrong times
        ("truncated_b", pa.bool_()),
        ("mutual", pa.int32()),
        ("transported", pa.int32()),
        ("transport_error", pa.float64()),
        ("transport_iterations", pa.int32()),
        ("converged", pa.bool_()),
        ("problem", pa.string()),  # why it isn't compared, "" otherwise
    ]
)
WORD_TYPES = pa.schema(
    [
        *_KEYS,
        ("type_a", pa.string()),
        ("type_b", pa.string()),
        ("together", pa.int32()),  # word pairs of these types in all sentence pairs compared
        ("mutual", pa.int32()),
        ("transported", pa.int32()),
        ("similarity", pa.float64()),  # mean of those that are mutual or transported
        ("share", pa.float64()),  # sum, of all together
    ]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedSentences:
    """One sentence pair of a unit.

    Attributes:
      query: sentence of A.
      candidate: sentence of B.
      utterances: of A and of B.
      grid_score: SeqSim of the grid.
      words: of A and of B; None where an utterance has none.
      found: matches and shares; None if a side has no words.
      problem: why it isn't compared, "" otherwise.
    """

    query: str
    candidate: str
    utterances: tuple[str, str]
    grid_score: float
    words: tuple[Words | None, Words | None]
    found: WordPairs | None = None
    problem: str = ""


Keys = tuple[str, str, str]  # language_a, language_b, state


def word_pairs(keys: Keys, compared: Sequence[ComparedSentences]) -> pa.Table:
    """Table with a row for each word of A with each of B, frames of no word last."""
    rows = [(pair, pair.found, *pair.words) for pair in compared]
    known = [(p, f, a, b) for p, f, a, b in rows if f is not None and a is not None and b is not None]
    sizes = np.asarray([f.f1.size for _, f, _, _ in known], int)
    columns: dict[str, np.ndarray | pa.Array] = {}
    for name, value in zip(("language_a", "language_b", "state"), keys, strict=True):
        columns[name] = _repeated([value], np.asarray([sizes.sum()]))
    for name, take in _SENTENCE_COLUMNS.items():
        columns[name] = _repeated([take(p) for p, _, _, _ in known], sizes)
    columns["gold"] = np.repeat(np.asarray([p.query == p.candidate for p, _, _, _ in known], bool), sizes)
    blocks = [_block(f, a, b) for _, f, a, b in known]
    for name in WORD_PAIRS.names:
        if name not in columns:
            empty: list[np.ndarray] = [np.asarray([])]
            columns[name] = np.concatenate([block[name] for block in blocks] or empty)
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in WORD_PAIRS]
    return pa.Table.from_arrays(arrays, schema=WORD_PAIRS)


_SENTENCE_COLUMNS: dict[str, Callable[[ComparedSentences], str]] = {
    "query": lambda pair: pair.query,
    "candidate": lambda pair: pair.candidate,
    "utterance_a": lambda pair: pair.utterances[0],
    "utterance_b": lambda pair: pair.utterances[1],
}


def _repeated(values: Sequence[str], times: np.ndarray) -> pa.Array:
    # A dictionary array repeats an index for each row, and not a Python string.
    index = np.repeat(np.arange(len(values), dtype=np.int32), times)
    return pa.DictionaryArray.from_arrays(pa.array(index), pa.array(values, pa.string())).cast(pa.string())


def _block(found: WordPairs, a: Words, b: Words) -> dict[str, np.ndarray]:
    """Columns of one sentence pair's rows; the gap is the last word of each side."""
    # The gap is a word like others, without similarity and matches, so that shares add up to the score.
    shape = found.f1.shape
    columns = {}
    for side, words, axis in (("a", a, (slice(None), None)), ("b", b, (None, slice(None)))):
        text = np.asarray([*words.text, GAP], object)
        index = np.asarray([*words.index, GAP_INDEX], np.int32)
        seconds = np.concatenate([words.seconds, np.full((1, 2), np.nan)])
        values = {"word_index": index, "word": text, "start": seconds[:, 0], "end": seconds[:, 1]}
        for name, value in values.items():
            columns[f"{name}_{side}"] = np.broadcast_to(value[axis], shape).ravel()
    for name, value, gap in (
        ("similarity", found.similarity, np.nan),
        ("mutual", found.mutual, False),
        ("transport", found.plan, 0),
        ("transported", found.transported, False),
    ):
        columns[name] = np.pad(value, ((0, 1), (0, 1)), constant_values=gap).ravel()
    for name, value in zip(
        ("share_precision", "share_recall", "share"),
        (found.precision, found.recall, found.f1),
        strict=True,
    ):
        columns[name] = value.ravel()
    return columns


def sentence_pairs(keys: Keys, compared: Sequence[ComparedSentences], tolerance: float) -> pa.Table:
    """Table with a row for each sentence pair, compared or not; `tolerance` is that of the transport."""
    rows = []
    for pair in compared:
        row = dict(zip(("language_a", "language_b", "state"), keys, strict=True))
        row |= {name: take(pair) for name, take in _SENTENCE_COLUMNS.items()}
        row |= {"gold": pair.query == pair.candidate, "grid_score": pair.grid_score, "problem": pair.problem}
        for side, words in zip("ab", pair.words, strict=True):
            row[f"words_{side}"] = 0 if words is None else len(words)
            row[f"empty_{side}"] = 0 if words is None else words.empty
            row[f"truncated_{side}"] = words is not None and words.truncated
        rows.append(row | (_figures(pair.found, tolerance) if pair.found else {}))
    return pa.Table.from_pylist(rows, SENTENCE_PAIRS)


def _figures(found: WordPairs, tolerance: float) -> dict[str, float | int | bool]:
    # Summed in float64: thousands of float32 shares would lose the digits that the score has.
    shares = [share.astype(np.float64) for share in (found.precision, found.recall, found.f1)]
    sums = [float(share.sum()) for share in shares]
    names = ("precision", "recall", "score", "share_precision", "share_recall", "share")
    values = [*map(float, found.scores), *sums]
    return dict(zip(names, values, strict=True)) | {
        "share_gap": sums[2] - float(shares[2][:-1, :-1].sum()),
        "mutual": int(found.mutual.sum()),
        "transported": int(found.transported.sum()),
        "transport_error": found.error,
        "transport_iterations": found.iterations,
        "converged": found.error <= tolerance,
    }


def word_types(pairs: pa.Table) -> pa.Table:
    """Counts of each pair of word types in a unit's word pairs; types that never match are left out.

    A type is a word in lower case without punctuation around it, see `word_type`.
    """
    keys = [name for name, _ in _KEYS]
    columns = ["word_index_a", "word_index_b", "word_a", "word_b", "similarity", "mutual", "transported"]
    frame = pairs.select([*keys, *columns, "share"]).to_pandas()
    frame = frame[(frame["word_index_a"] != GAP_INDEX) & (frame["word_index_b"] != GAP_INDEX)]
    for side in "ab":
        types = {word: word_type(word) for word in frame[f"word_{side}"].unique()}
        frame[f"type_{side}"] = frame[f"word_{side}"].map(types)
    matched = frame["mutual"] | frame["transported"]
    frame["of_matches"] = frame["similarity"].astype("float64").where(matched)
    frame["share"] = frame["share"].astype("float64")
    grouped = frame.groupby([*keys, "type_a", "type_b"], sort=True)
    counts = grouped.agg(
        together=("mutual", "size"),
        mutual=("mutual", "sum"),
        transported=("transported", "sum"),
        similarity=("of_matches", "mean"),
        share=("share", "sum"),
    ).reset_index()
    # Every word meets every other of its sentence: of 150,000 meetings some thousands are matches.
    met = counts[(counts["mutual"] > 0) | (counts["transported"] > 0)]
    return pa.Table.from_pandas(pd.DataFrame(met), WORD_TYPES, preserve_index=False).replace_schema_metadata()


def word_type(word: str) -> str:
    """The word as a type: composed, in lower case, without punctuation or symbols at its ends.

    A word of punctuation alone is its own type.
    """
    return bare(unicodedata.normalize("NFC", word).casefold())


def bare(word: str) -> str:
    """The word without punctuation or symbols at its ends; the word itself if nothing else is left."""
    start, end = 0, len(word)
    while start < end and unicodedata.category(word[start])[0] in "PSZ":
        start += 1
    while end > start and unicodedata.category(word[end - 1])[0] in "PSZ":
        end -= 1
    return word[start:end] or word

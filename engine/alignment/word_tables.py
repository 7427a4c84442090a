"""Tables of the align job: words.parquet, one row per word, and utterances.parquet, one per utterance.

A part is the table of one unit: a row per utterance that holds its words as a list. An utterance that can't
be aligned has a row without words and with the reason.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Sequence

import pyarrow as pa

from isogloss.engine.activations.state_source import ListedUtterance
from isogloss.engine.alignment.word_timestamps import Word
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.decoding.utterance_blocks import Unit
from isogloss.engine.runtime import atomic_write, table_files
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.whisper.encoder_program import FRAME_SECONDS

_OF_WORD = (
    ("word", pa.string()),  # without spaces around it
    ("text", pa.string()),  # with its spaces; joined, these are the utterance's text
    ("first_frame", pa.int32()),
    ("last_frame", pa.int32()),  # included
    ("centre_frame", pa.int32()),
    ("start", pa.float64()),  # seconds
    ("end", pa.float64()),
    ("probability", pa.float64()),
    ("tokens", pa.list_(pa.int32())),
    ("empty", pa.bool_()),  # it has no frame of its own
)
_OF_UTTERANCE = (
    ("language", pa.string()),
    ("utterance", pa.string()),
    ("sentence", pa.string()),
)
_SHARED = ("tied", "truncated")  # columns of both tables
WORDS = pa.schema(
    [*_OF_UTTERANCE, ("word_index", pa.int32()), *_OF_WORD, *((name, pa.bool_()) for name in _SHARED)]
)
UTTERANCES = pa.schema(
    [
        *_OF_UTTERANCE,
        ("text", pa.string()),  # that was aligned; null without words
        ("language_token", pa.string()),
        ("language_token_by", pa.string()),  # language_token.Token.how
        ("language_probability", pa.float32()),  # of a detected language
        ("seconds", pa.float64()),
        ("frames", pa.int32()),
        # The recording is longer than the window: with --text=reference its last words may have wrong times.
        ("truncated", pa.bool_()),
        ("cut", pa.bool_()),  # a decoded text that reached the most tokens for its duration
        ("tied", pa.bool_()),  # another warping path has equal cost
        ("words", pa.int32()),
        ("empty_words", pa.int32()),
        ("problem", pa.string()),
        ("without_states", pa.bool_()),  # a broken recording, or one that isn't extracted yet
        ("left_out", pa.bool_()),  # by --long=skip, so nothing failed
    ]
)
_PART = pa.schema([*UTTERANCES, ("word_list", pa.list_(pa.struct(_OF_WORD)))])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aligned:
    """Words of one utterance, or the reason why there are none.

    Attributes:
      utterance: as listed.
      token: language token of the prompt.
      language_probability: of a detected language.
      text: that was aligned; None without words.
      words: of the text; none if it can't be aligned.
      tied: whether another warping path has equal cost.
      cut: whether a limit ended the decoded text.
      problem: why there are no words, "" otherwise.
      without_states: whether the problem is that there are no states.
      left_out: whether an option left the utterance out.
    """

    utterance: ListedUtterance
    token: Token
    language_probability: float | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()
    tied: bool = False
    cut: bool = False
    problem: str = ""
    without_states: bool = False
    left_out: bool = False


def tabulate(aligned: Sequence[Aligned], language: str) -> pa.Table:
    """Table of a unit, a row per utterance."""
    return pa.Table.from_pylist([_row(one, language) for one in aligned], _PART)


def _row(one: Aligned, language: str) -> dict[str, object]:
    own = ("language_probability", "text", "tied", "cut", "problem", "without_states", "left_out")
    return {
        **{name: getattr(one, name) for name in own},
        "language": language,
        "utterance": one.utterance.name,
        "sentence": one.utterance.sentence,
        "language_token": one.token.language,
        "language_token_by": one.token.how,
        "seconds": one.utterance.seconds,
        "frames": one.utterance.frames,
        "truncated": one.utterance.truncated,
        "words": len(one.words),
        "empty_words": sum(word.empty for word in one.words),
        "word_list": [_word(word) for word in one.words],
    }


def _word(word: Word) -> dict[str, object]:
    """Columns of a word; one without frames of its own ends where it starts."""
    after = word.first_frame if word.empty else word.last_frame + 1
    return {
        "word": word.text.strip(),
        "text": word.text,
        "first_frame": word.first_frame,
        "last_frame": word.last_frame,
        "centre_frame": word.centre_frame,
        "start": round(word.first_frame * FRAME_SECONDS, 2),
        "end": round(after * FRAME_SECONDS, 2),
        "probability": word.probability,
        "tokens": list(word.tokens),
        "empty": word.empty,
    }


def words(part: pa.Table) -> pa.Table:
    """Rows of words.parquet from a part."""
    names = (*(name for name, _ in _OF_UTTERANCE), *_SHARED)
    rows = [
        {**{name: one[name] for name in names}, "word_index": index, **word}
        for one in part.to_pylist()
        for index, word in enumerate(one["word_list"])
    ]
    return pa.Table.from_pylist(rows, WORDS)


def write(out: pathlib.Path, units: Sequence[Unit], parts: PartFiles) -> None:
    """Write all tables of some units, in order of language; one language is in memory at a time."""

    def wholes() -> Iterator[pa.Table]:
        for _, own in itertools.groupby(units, key=lambda unit: unit.language):
            yield pa.concat_tables([parts.table(unit.name) for unit in own])

    def of_words(file: pathlib.Path) -> None:
        table_files.write_parquet_in_pieces(WORDS, map(words, wholes()), file)

    atomic_write.write_whole(out / "words.parquet", of_words)
    listed = pa.concat_tables([whole.drop_columns("word_list") for whole in wholes()])
    for kind, writer in (("parquet", table_files.write_parquet), ("csv", table_files.write_csv)):
        atomic_write.write_whole(out / f"utterances.{kind}", lambda file, writer=writer: writer(listed, file))


def rows(part: pa.Table) -> list[dict[str, object]]:
    """Utterances of a part without their words."""
    return part.drop_columns("word_list").to_pylist()

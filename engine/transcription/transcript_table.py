"""Rows of transcripts.parquet: one per utterance, state and form of exit.

A part is the table of one unit, a block of utterances of one language; transcripts.parquet is all parts in
order. An utterance that can't be transcribed has rows without text and with the reason.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from isogloss.engine.activations.state_source import ListedUtterance
from isogloss.engine.decoding.early_exit import Exit
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.transcription import edit_counts
from isogloss.engine.transcription.edit_counts import Normaliser

SCHEMA = pa.schema(
    [
        ("language", pa.string()),
        ("utterance", pa.string()),
        ("sentence", pa.string()),
        ("state", pa.string()),
        ("exit_norm", pa.bool_()),
        ("task", pa.string()),
        ("text", pa.string()),  # null if there is a problem
        ("tokens", pa.list_(pa.int32())),
        ("mean_log_probability", pa.float64()),  # of a token, the end included
        ("language_token", pa.string()),
        ("language_token_by", pa.string()),  # language_token.Token.how
        ("language_probability", pa.float32()),  # of a detected language
        ("cut", pa.bool_()),  # at the most tokens for its duration
        ("empty", pa.bool_()),
        ("truncated", pa.bool_()),  # the recording is longer than the window
        ("seconds", pa.float64()),
        ("frames", pa.int32()),
        ("visible", pa.int32()),  # frames that cross-attention saw
        ("reference", pa.string()),  # "" if there is no usable one
        ("scored", pa.bool_()),
        *((name, pa.int32()) for name in edit_counts.COUNTS),
        ("problem", pa.string()),
        ("left_out", pa.bool_()),  # by --long=skip, so nothing failed
    ]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transcript:
    """Text of one utterance at one exit, or the reason why there is none.

    Attributes:
      utterance: as listed.
      exit: of the encoder.
      reference: "" if there is no usable one.
      token: language token of the prompt.
      language_probability: of a detected language.
      visible: frames that cross-attention saw.
      text: None if there is a problem.
      tokens: of the text.
      mean_log_probability: of a token, the end included; NaN without text.
      cut: whether the limit ended the text.
      problem: why there is no text, "" otherwise.
      left_out: whether an option left the utterance out.
    """

    utterance: ListedUtterance
    exit: Exit
    reference: str
    token: Token
    language_probability: float | None = None
    visible: int = 0
    text: str | None = None
    tokens: tuple[int, ...] = ()
    mean_log_probability: float = float("nan")
    cut: bool = False
    problem: str = ""
    left_out: bool = False

    @property
    def scored(self) -> bool:
        """True if the text counts in error rates."""
        return self.text is not None and bool(self.reference)


def tabulate(transcripts: Sequence[Transcript], language: str, task: str, normal: Normaliser) -> pa.Table:
    """Table of a unit's rows, in their order."""
    scored = np.asarray([row.scored for row in transcripts], bool)
    texts = [row.text or "" for row in transcripts if row.scored]
    counts = edit_counts.counts([row.reference for row in transcripts if row.scored], texts, normal)
    columns: dict[str, object] = {
        "language": [language] * len(transcripts),
        "utterance": [row.utterance.name for row in transcripts],
        "sentence": [row.utterance.sentence for row in transcripts],
        "state": [row.exit.state for row in transcripts],
        "exit_norm": [row.exit.exit_norm for row in transcripts],
        "task": [task] * len(transcripts),
        "language_token": [row.token.language for row in transcripts],
        "language_token_by": [row.token.how for row in transcripts],
        "empty": [row.text is not None and not row.text for row in transcripts],
        "truncated": [row.utterance.truncated for row in transcripts],
        "seconds": [row.utterance.seconds for row in transcripts],
        "frames": [row.utterance.frames for row in transcripts],
    }
    own = {field.name for field in dataclasses.fields(Transcript)} & set(SCHEMA.names) - columns.keys()
    columns |= {name: [getattr(row, name) for row in transcripts] for name in own}
    columns["scored"] = scored.tolist()
    for name, values in counts.items():
        spread = np.zeros(len(transcripts), np.int64)
        spread[scored] = values
        columns[name] = np.ma.MaskedArray(spread, ~scored).tolist()
    arrays = [pa.array(columns[field.name], field.type, from_pandas=False) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def without_states(part: pa.Table) -> set[str]:
    """Names of a part's utterances that had no states, without those left out on request."""
    rows = part.select(["utterance", "problem", "left_out", "visible"]).to_pylist()
    return {row["utterance"] for row in rows if row["problem"] and not (row["left_out"] or row["visible"])}


def truncated(part: pa.Table) -> int:
    """Number of a part's utterances that have a text and are longer than the window."""
    rows = part.select(["utterance", "truncated", "problem"]).to_pylist()
    return len({row["utterance"] for row in rows if row["truncated"] and not row["problem"]})

"""Words of a language's utterances and their frames, from the align job's words.parquet.

The file is compared with the activation store: it must have the same utterances, frames that exist, and words
that don't overlap. Words without a frame of their own are counted and left out; utterances without frames in
the store are left out. Memory: a hundred bytes a word.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int32

from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.runtime import table_files
from isogloss.engine.runtime.refusal import Refusal

FILE = "words.parquet"
COLUMNS = (
    "language",
    "utterance",
    "sentence",
    "word_index",
    "word",
    "first_frame",
    "last_frame",
    "centre_frame",
    "start",
    "end",
    "empty",
    "truncated",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Words:
    """Words of one utterance that have frames, in order.

    Attributes:
      index: of each among all words of the utterance.
      text: of each.
      frames: first and last of each, both included.
      centre: the centre frame of each.
      seconds: start and end of each.
      empty: number of words left out, which have no frame of their own.
      truncated: whether the recording is longer than the window; its last words may have wrong times.
    """

    index: tuple[int, ...]
    text: tuple[str, ...]
    frames: Int32[np.ndarray, "V 2"]
    centre: Int32[np.ndarray, " V"]
    seconds: Float[np.ndarray, "V 2"]
    empty: int
    truncated: bool

    def __len__(self) -> int:
        """Number of words that can be compared."""
        return len(self.text)

    def of_frames(self, frames: int, gap: int) -> Int32[np.ndarray, " N"]:
        """Index of each frame's word; `gap` for frames of no word."""
        found = np.full(frames, gap, np.int32)
        for word, (first, last) in enumerate(self.frames):
            found[first : last + 1] = word
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageWords:
    """Words of one language.

    Attributes:
      utterances: by name, without those that couldn't be aligned or have no frames.
      problems: reason why an utterance couldn't be aligned, by name; empty without utterances.parquet.
      digest: of all these.
    """

    utterances: Mapping[str, Words]
    problems: Mapping[str, str]
    digest: str


def read(folder: pathlib.Path, stores: Mapping[str, LanguageStore]) -> dict[str, LanguageWords]:
    """Words of the languages of `stores`, from the align job's folder.

    Raises:
      Refusal: there is no words.parquet, or it isn't of the align job, or of other utterances.
    """
    path = folder / FILE
    if not path.is_file():
        raise Refusal(f"{path}: there are no words; run isogloss.jobs.align, or name its --out by --words")
    try:
        found = table_files.read_parquet(path, COLUMNS)
    except Refusal as error:
        raise Refusal(f"not words of this align job: {error}. Run align again on that folder") from error
    table = found.to_pandas()
    languages = dict(iter(table.groupby("language", sort=True)))
    problems = _problems(folder / "utterances.parquet")
    absent = sorted(set(stores) - {str(code) for code in languages} - set(problems))
    if absent:
        there = ", ".join(map(str, languages)) or "none"
        raise Refusal(f"{path}: has no words of {', '.join(absent)}; it has {there}. Run align for them")
    return {
        code: _language_words(path, languages.get(code, table.iloc[:0]), store, problems.get(code, {}))
        for code, store in stores.items()
    }


def _problems(path: pathlib.Path) -> dict[str, dict[str, str]]:
    """Reasons why utterances have no words, by language and name."""
    found: dict[str, dict[str, str]] = {}
    if path.is_file():
        table = table_files.read_parquet(path, ["language", "utterance", "problem"])
        for language, utterance, problem in zip(*(c.to_pylist() for c in table.columns), strict=True):
            if problem:
                found.setdefault(language, {})[utterance] = problem
    return found


def _language_words(
    path: pathlib.Path, table: pd.DataFrame, store: LanguageStore, problems: Mapping[str, str]
) -> LanguageWords:
    sentences = store.coordinate("sentence")
    known = {name: (sentences[row], int(store.frames[row])) for row, name in enumerate(store.names)}
    found = {}
    for name, rows in table.groupby("utterance", sort=False):
        utterance = str(name)
        sentence = set(rows["sentence"])
        if utterance not in known or sentence != {known[utterance][0]}:
            raise Refusal(
                f"{path}: words of other utterances than {store.path}: {store.language} {utterance!r} of "
                f"sentence {', '.join(map(repr, sentence))} isn't there. Run align on that store"
            )
        frames = known[utterance][1]
        if frames:  # 0 for a recording that was skipped or couldn't be read
            found[utterance] = _words(f"{path}: {store.language} {utterance}", rows, frames)
    # Of the content, not of the file: Parquet's bytes change with the version of its writer.
    described = json.dumps([problems, *(table[name].tolist() for name in COLUMNS)], sort_keys=True)
    digest = hashlib.sha256(described.encode()).hexdigest()
    return LanguageWords(utterances=found, problems=problems, digest=digest)


def _words(where: str, rows: pd.DataFrame, frames: int) -> Words:
    rows = rows.sort_values("word_index", kind="stable")
    kept = rows.loc[~np.asarray(rows["empty"], bool)]
    intervals = np.stack([np.asarray(kept[name], np.int32) for name in ("first_frame", "last_frame")], axis=1)
    centre = np.asarray(kept["centre_frame"], np.int32)
    first, last = intervals.T
    if (first < 0).any() or (last < first).any() or (last >= frames).any():
        raise Refusal(f"{where}: a word's frames must lie in [0, {frames}), those of the store")
    if (first[1:] <= last[:-1]).any():  # a frame's share of the score goes to one word
        raise Refusal(f"{where}: words must follow each other without sharing a frame")
    if (centre < first).any() or (centre > last).any():
        raise Refusal(f"{where}: a word's centre_frame must be one of its frames")
    return Words(
        index=tuple(map(int, kept["word_index"])),
        text=tuple(map(str, kept["word"])),
        frames=intervals,
        centre=centre,
        seconds=np.stack([np.asarray(kept[name], np.float64) for name in ("start", "end")], axis=1),
        empty=len(rows) - len(kept),
        truncated=bool(rows["truncated"].any()),
    )

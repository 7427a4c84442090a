"""Axes of a grid as its arrays have them, in the order in which pairs and sentences were added.

A grid that has grown is read as a new one would be: pairs in alphabetical order, sentences in their natural
order and without those that no language has any more. The table of recordings tells what each language's
scores were made of, by name, so that a grid never passes for one of other recordings.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from isogloss.engine.runtime import name_lists
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.zarr_group import Coordinate

Pair = tuple[str, str]
Recordings = Mapping[str, str]
"""Fingerprint of the recording that stands for each sentence in a language."""
Frames = Mapping[str, int]
"""Number of frames of that recording, by sentence."""
_SECOND = "@2"


def second(code: str) -> str:
    """Name, in pairs, of the second recordings of a language's sentences."""
    return f"{code}{_SECOND}"


def of_one_language(pair: Pair) -> bool:
    """True for a self pair: a language with itself, or with second recordings of its sentences."""
    return pair[1] in (pair[0], second(pair[0]))


def pair_name(pair: Pair) -> str:
    """Label of a pair on the pair axis."""
    return "-".join(pair)


def natural(sentence: str) -> tuple[bool, int, str]:
    """Sort key that orders numbers by value and before words, as FLEURS's ids are numbers."""
    return (False, int(sentence), sentence) if sentence.isdecimal() else (True, 0, sentence)


def changes(before: Recordings, now: Recordings) -> str:
    """Names of the sentences that one language has more, fewer or in another recording; "" if none differ."""
    return name_lists.changes(
        [sentence for sentence in now if sentence not in before],
        [sentence for sentence in before if sentence not in now],
        [sentence for sentence in now if before.get(sentence, now[sentence]) != now[sentence]],
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridAxes:
    """Labels of a grid's arrays.

    Attributes:
      pairs: language pairs, each unordered pair once.
      states: names of encoder states.
      sentences: labels of the query and of the candidate axis.
      recordings: recordings by language; empty in grids of earlier formats, which don't know them.
      common: number of sentences that both languages of each pair have.
      frames: numbers of frames by language; empty in grids of earlier formats.
    """

    pairs: tuple[Pair, ...]
    states: tuple[str, ...]
    sentences: tuple[str, ...]
    recordings: Mapping[str, Recordings]
    common: tuple[int, ...]
    frames: Mapping[str, Frames] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def pair_rows(self) -> tuple[int, ...]:
        """Indices of the pairs, in alphabetical order."""
        return tuple(sorted(range(len(self.pairs)), key=self.pairs.__getitem__))

    @functools.cached_property
    def sentence_rows(self) -> Int[np.ndarray, " Q"]:
        """Indices of the sentences that a language has, in natural order."""
        every = range(len(self.sentences))
        used = {sentence for recordings in self.recordings.values() for sentence in recordings}
        # Arrays never shrink: a sentence that no language has any more keeps its row.
        kept = [row for row in every if not self.recordings or self.sentences[row] in used]
        ordered = sorted(kept, key=lambda row: natural(self.sentences[row]))
        return np.asarray(ordered, int)

    @functools.cached_property
    def _reach(self) -> dict[str, int]:
        places = {sentence: place for place, sentence in enumerate(self.sentences)}
        return {
            # At least 1, so that a language without sentences still has a tile, of NaN.
            code: max((places[sentence] + 1 for sentence in recordings), default=1)
            for code, recordings in self.recordings.items()
        }

    def extent(self, pair: int, tile: int) -> tuple[int, int]:
        """Numbers of square tiles in which the queries and the candidates of a pair lie.

        There are several only in a grid whose axis of sentences has grown, because a tile is as large as that
        axis was at first.
        """
        size = len(self.sentences)
        queries, candidates = (-(-self._reach.get(code, size) // tile) for code in self.pairs[pair])
        return queries, candidates

    def coordinates(self) -> list[Coordinate]:
        """Coordinates of the group."""
        codes = sorted({code for pair in self.pairs for code in pair})
        labels: dict[str, tuple[str, Sequence[str] | np.ndarray, dict[str, Json]]] = {
            "pair": ("pair", [pair_name(pair) for pair in self.pairs], {}),
            "language_a": ("pair", [a for a, _ in self.pairs], {}),
            "language_b": ("pair", [b for _, b in self.pairs], {}),
            "n_common": (
                "pair",
                np.asarray(self.common, np.int32),
                {"long_name": "sentences that both languages have"},
            ),
            "state": ("state", self.states, {}),
            "sentence": ("sentence", self.sentences, {}),
            "query": ("query", self.sentences, {"long_name": "query, a sentence of language_a"}),
            "candidate": ("candidate", self.sentences, {"long_name": "candidate, a sentence of language_b"}),
        }
        made = [Coordinate(name=n, axis=a, values=v, attributes=its) for n, (a, v, its) in labels.items()]
        if self.recordings or self.frames:
            made.append(Coordinate(name="language", axis="language", values=codes))
        if self.recordings:
            table = [[self.recordings[code].get(s, "") for s in self.sentences] for code in codes]
            made.append(
                Coordinate(
                    name="recording",
                    axis=("language", "sentence"),
                    values=np.asarray(table, str),
                    attributes={"long_name": "fingerprint of the recording's file, empty if there is none"},
                )
            )
        if self.frames:
            counts = [[self.frames.get(code, {}).get(s, 0) for s in self.sentences] for code in codes]
            made.append(
                Coordinate(
                    name="frames",
                    axis=("language", "sentence"),
                    values=np.asarray(counts, np.int32),
                    attributes={"long_name": "frames of the recording, 0 if there is none", "units": "1"},
                )
            )
        return made


def of_labels(labels: Mapping[str, np.ndarray]) -> GridAxes:
    """Axes of a grid from the values of its coordinates."""
    sentences = tuple(labels["sentence"])
    table = dict(zip(labels["language"], labels["recording"], strict=True)) if "recording" in labels else {}
    return GridAxes(
        pairs=tuple(zip(labels["language_a"], labels["language_b"], strict=True)),
        states=tuple(labels["state"]),
        sentences=sentences,
        recordings={
            code: {sentence: held for sentence, held in zip(sentences, row, strict=True) if held}
            for code, row in table.items()
        },
        common=tuple(map(int, labels["n_common"])),
        frames={
            code: {sentence: int(count) for sentence, count in zip(sentences, row, strict=True) if count}
            for code, row in zip(labels["language"], labels["frames"], strict=True)
        }
        if "frames" in labels
        else {},
    )

"""Interface of a source of encoder states for the decoder, and its records.

States are float32 on the host, one utterance after the other; nothing is computed here.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import named_states

FINAL = "final"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListedUtterance:
    """Utterance of a source.

    Attributes:
      row: index among the utterances of its language.
      name: unique within the language.
      sentence: id shared by languages.
      transcription: "" if unknown.
      seconds: length of the whole recording; NaN if it can't be read.
      frames: number of its own frames of 20 ms, at most the window's; 0 if it is unusable.
      truncated: True if it is longer than the window.
    """

    row: int
    name: str
    sentence: str
    transcription: str
    seconds: float
    frames: int
    truncated: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoded:
    """States of one utterance, ready for the decoder.

    Attributes:
      row: index of the utterance in its language.
      states: S the source's `states`, N the frames of the window; NaN from frame `visible` on.
      visible: number of frames that cross-attention may see.
    """

    row: int
    states: Float32[np.ndarray, "S N D"]
    visible: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unusable:
    """Utterance without states.

    Attributes:
      row: index of the utterance in its language.
      reason: text for people, with the name of the file.
      asked_for: True if --long=skip leaves it out, which isn't a failure.
    """

    row: int
    reason: str
    asked_for: bool = False


@runtime_checkable
class StateSource(Protocol):
    """Utterances and their states."""

    @property
    def states(self) -> tuple[str, ...]:
        """Requested states, in the order of the encoder."""
        ...

    @property
    def apply_norm(self) -> tuple[bool, ...]:
        """True for each state to which the encoder's final LayerNorm must still be applied.

        This is "final" of a store that holds the last block's output instead.
        """
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages, in the corpus's order."""
        ...

    @property
    def corpora(self) -> tuple[str, ...]:
        """Descriptions of the corpora of all languages, sorted."""
        ...

    @property
    def whole_window(self) -> bool:
        """True if the decoder sees the whole window, False if only the utterance's own frames."""
        ...

    @property
    def estimated(self) -> Mapping[str, int]:
        """Number of lengths that are estimated, by language; of those listed so far, in a dry run."""
        ...

    @property
    def step_rows(self) -> int:
        """Utterances whose states are computed together on all devices; 1 if they are only read."""
        ...

    def sentences(self, language: str) -> list[str]:
        """Sentence of each utterance of a language, sorted; looks at no recording."""
        ...

    def utterances(self, language: str) -> tuple[ListedUtterance, ...]:
        """All utterances of a language; row i is the i-th."""
        ...

    def without_states(self, rows: Mapping[str, Sequence[int]]) -> list[tuple[str, "Unusable"]]:
        """Language and reason of each of these rows, by language, that `encoded` would find unusable.

        For dry runs, as far as it is known without the encoder.
        """
        ...

    def encoded(self, language: str, rows: Sequence[int]) -> Iterator[Encoded | Unusable]:
        """States of some utterances, in the order of `rows`, each read or computed when it is needed.

        Two threads may ask at the same time.
        """
        ...

    def identity(self, language: str) -> dict[str, Json]:
        """Everything except the checkpoint's weights that decides the states of a language."""
        ...

    def known_identity(self, language: str) -> dict[str, Json]:
        """Part of `identity` that is known before any recording is opened."""
        ...


def check_states(states: Sequence[str], layers: int) -> None:
    """Refuse states that can't be a decoder's input.

    Args:
      states: names, "1" .. str(layers) or "final".
      layers: blocks of the encoder.
    """
    known = (*map(str, range(1, layers + 1)), FINAL)
    unknown = [state for state in states if state not in known]
    if unknown or not states or len(set(states)) < len(states):
        raise Refusal(
            f"states that may enter the decoder are {', '.join(known)}, each once (0 hasn't passed a block); "
            f"got {','.join(states) or 'none'}"
        )


def in_order(states: Sequence[str], layers: int) -> tuple[str, ...]:
    """`states` in the order of the encoder."""
    return tuple(name for name in named_states.state_names(layers) if name in states)

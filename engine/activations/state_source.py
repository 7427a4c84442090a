"""What a decoder is asked about: utterances, their states, and what a source of them can do.

States are float32 on the host, one utterance after the other; nothing is computed here.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import encoder

FINAL = "final"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListedUtterance:
    """One utterance that a decoder may be asked about.

    Attributes:
      row: its place among the utterances of its language.
      name: unique within the language.
      sentence: shared by languages.
      transcription: "" if unknown.
      seconds: length of the recording, beyond the window too; NaN where it can't be read.
      frames: 20 ms each, of its own, at most the window's; 0 where it has none to give.
      truncated: whether it is longer than the window.
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
      row: of the utterance in its language.
      states: S as the source's `states`, N the window's frames; NaN from frame `visible` on.
      visible: frames that cross-attention may see.
    """

    row: int
    states: Float32[np.ndarray, "S N D"]
    visible: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unusable:
    """An utterance that has no states.

    Attributes:
      row: of the utterance in its language.
      reason: for people, with the name of its file.
      asked_for: left out by --long=skip, so nothing failed.
    """

    row: int
    reason: str
    asked_for: bool = False


@runtime_checkable
class StateSource(Protocol):
    """Utterances and their states."""

    @property
    def states(self) -> tuple[str, ...]:
        """Those asked for, in the order of the encoder."""
        ...

    @property
    def apply_norm(self) -> tuple[bool, ...]:
        """For each state, whether the encoder's final LayerNorm must still make it what was asked for.

        True only for "final" out of a store that holds the last block's output instead.
        """
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes, in the corpus's order."""
        ...

    @property
    def whole_window(self) -> bool:
        """Whether the decoder sees the whole window, or the utterance's own frames alone."""
        ...

    def utterances(self, language: str) -> tuple[ListedUtterance, ...]:
        """All utterances of a language; row i is the i-th."""
        ...

    def encoded(self, language: str, rows: Sequence[int]) -> Iterator[Encoded | Unusable]:
        """States of some utterances, in the order of `rows`, each read or computed when it's asked for."""
        ...

    def identity(self, language: str) -> dict[str, Json]:
        """All, beside the checkpoint's weights, that decides the states of a language."""
        ...


def check_states(states: Sequence[str], layers: int) -> None:
    """Refuse states that a decoder can't be given; Refusal.

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
    return tuple(name for name in encoder.state_names(layers) if name in states)

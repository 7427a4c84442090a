"""Source whose decoder sees the first frames of the window alone, as a decoder that was trained so.

Of a recording that is longer the rest is cut off, as any source cuts off what is beyond the model's window.
States are copied, so that the frames behind don't stay in memory.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from isogloss.engine.activations.state_source import Encoded, ListedUtterance, StateSource, Unusable
from isogloss.engine.runtime.json_values import Json


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstFrames:
    """Source of the first `window` frames of another, see `state_source.StateSource`.

    Attributes:
      source: the other one.
      window: frames that the decoder sees at most, speech and silence.
    """

    source: StateSource
    window: int

    @property
    def states(self) -> tuple[str, ...]:
        """Requested states, in the order of the encoder."""
        return self.source.states

    @property
    def apply_norm(self) -> tuple[bool, ...]:
        """True for each state that still needs the final LayerNorm."""
        return self.source.apply_norm

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages, in order."""
        return self.source.languages

    @property
    def corpora(self) -> tuple[str, ...]:
        """Descriptions of the corpora, sorted."""
        return self.source.corpora

    @property
    def whole_window(self) -> bool:
        """True if the decoder sees all frames of this window."""
        return self.source.whole_window

    @property
    def estimated(self) -> Mapping[str, int]:
        """Number of lengths that are estimated, by language."""
        return self.source.estimated

    @property
    def step_rows(self) -> int:
        """Utterances whose states are computed together on all devices."""
        return self.source.step_rows

    def sentences(self, language: str) -> list[str]:
        """Sentence of each utterance of a language, sorted."""
        return self.source.sentences(language)

    def utterances(self, language: str) -> tuple[ListedUtterance, ...]:
        """All utterances of a language, with the frames and the marks that they have in this window."""
        return tuple(
            dataclasses.replace(
                one, frames=min(one.frames, self.window), truncated=one.truncated or one.frames > self.window
            )
            for one in self.source.utterances(language)
        )

    def without_states(self, rows: Mapping[str, Sequence[int]]) -> list[tuple[str, Unusable]]:
        """Language and reason of each of these rows that is known to be unusable."""
        return self.source.without_states(rows)

    def encoded(self, language: str, rows: Sequence[int]) -> Iterator[Encoded | Unusable]:
        """States of some utterances up to the end of this window, in the order of `rows`."""
        for made in self.source.encoded(language, rows):
            if isinstance(made, Unusable):
                yield made
            else:
                # A copy, because a view would keep the whole window in memory.
                seen = made.states[:, : self.window].copy()
                yield dataclasses.replace(made, states=seen, visible=min(made.visible, self.window))

    def identity(self, language: str) -> dict[str, Json]:
        """Everything except the checkpoint's weights that decides the states of a language."""
        return {**self.source.identity(language), "window": self.window}

    def known_identity(self, language: str) -> dict[str, Json]:
        """Part of `identity` that is known before any recording is opened."""
        return {**self.source.known_identity(language), "window": self.window}

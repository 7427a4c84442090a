"""Blocks of utterances: the units of work of decoder jobs, computed together but stored one by one."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from isogloss.engine.activations.state_source import ListedUtterance, StateSource
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.runtime import json_values

BLOCK = 16  # utterances of a unit
Made = TypeVar("Made")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UtteranceBlock:
    """Some utterances of a language.

    Attributes:
      language: code as the corpus writes it.
      number: of the block, from 0.
      utterances: in the order of rows.
    """

    language: str
    number: int
    utterances: tuple[ListedUtterance, ...]

    @property
    def name(self) -> str:
        """Name of the unit, and of its part."""
        return f"{self.language}.{self.number:05}"

    def key(self, source: StateSource, token: Token, **more: object) -> str:
        """Fingerprint of all that the unit's part depends on; `more` is what the job adds."""
        described = {
            "states": source.identity(self.language),
            "token": dataclasses.asdict(token),
            "utterances": [dataclasses.asdict(utterance) for utterance in self.utterances],
        }
        return json_values.fingerprint(described | more)


def blocks(source: StateSource) -> list[UtteranceBlock]:
    """All units of a source: blocks of BLOCK utterances, language by language."""
    return [
        UtteranceBlock(language=language, number=start // BLOCK, utterances=listed[start : start + BLOCK])
        for language in source.languages
        for listed in [source.utterances(language)]
        for start in range(0, len(listed), BLOCK)
    ]


def language_of(name: str) -> str:
    """Language of the unit of this name."""
    return name.rpartition(".")[0]


def utterance_count(units: Sequence[UtteranceBlock]) -> int:
    """Number of their utterances."""
    return sum(len(unit.utterances) for unit in units)


def made_together(
    units: Sequence[UtteranceBlock], rows: int, make: Callable[[UtteranceBlock], Sequence[Made]]
) -> Iterator[tuple[UtteranceBlock, Sequence[Made]]]:
    """Each unit with its results; several units are made at once, until their `rows` fill the devices.

    `make` returns the results of a unit's utterances in order, the same number for each.
    """
    # Never of several languages: a unit has one language, and its token is in the prompt of every row.
    for _, same in itertools.groupby(units, key=lambda unit: unit.language):
        of_language, size = list(same), max(1, -(-rows // BLOCK))
        for start in range(0, len(of_language), size):
            some = of_language[start : start + size]
            every = tuple(utterance for unit in some for utterance in unit.utterances)
            made, at = make(dataclasses.replace(some[0], utterances=every)), 0
            for unit in some:
                count = len(unit.utterances) * len(made) // len(every)  # of every utterance equally many
                yield unit, made[at : at + count]
                at += count

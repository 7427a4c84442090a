"""Blocks of utterances: the units of work of decoder jobs, computed together but stored one by one.

Units are named by the numbers of utterances alone, so that processes divide them before any looks at a
recording; a process fills in the utterances of its own share's languages.
"""

import dataclasses
import itertools
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import TypeVar

from isogloss.engine.activations.state_source import ListedUtterance, StateSource
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.runtime import json_values
from isogloss.engine.runtime.ahead import computed_ahead

BLOCK = 16  # utterances of a unit
Made = TypeVar("Made")
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """Unit of work.

    Attributes:
      language: code as the corpus writes it.
      number: of the block within its language, from 0.
    """

    language: str
    number: int

    @property
    def name(self) -> str:
        """Name of the unit, and of its part."""
        return f"{self.language}.{self.number:05}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class UtteranceBlock(Unit):
    """Unit with its utterances, in the order of rows."""

    utterances: tuple[ListedUtterance, ...]

    def key(self, source: StateSource, token: Token, **more: object) -> str:
        """Fingerprint of all that the unit's part depends on; `more` is what the job adds."""
        described = {
            "states": source.identity(self.language),
            "token": dataclasses.asdict(token),
            "utterances": [dataclasses.asdict(utterance) for utterance in self.utterances],
        }
        return json_values.fingerprint(described | more)


def units(source: StateSource, sentences: frozenset[str] | None = None) -> list[Unit]:
    """All units of a source: of BLOCK utterances of these sentences, language by language."""
    return [
        Unit(language=language, number=number)
        for language in source.languages
        for number in range(-(-len(sentences_taken(source, language, sentences)) // BLOCK))
    ]


def sentences_taken(source: StateSource, language: str, sentences: frozenset[str] | None) -> list[str]:
    """Sentence of each utterance of a language that is among `sentences`, or of all; sorted."""
    return [one for one in source.sentences(language) if sentences is None or one in sentences]


def blocks(
    source: StateSource, language: str, sentences: frozenset[str] | None = None
) -> list[UtteranceBlock]:
    """The units of a language with their utterances; looks at all of its recordings."""
    listed = _of(source.utterances(language), sentences)
    return [
        UtteranceBlock(language=language, number=start // BLOCK, utterances=listed[start : start + BLOCK])
        for start in range(0, len(listed), BLOCK)
    ]


def _of(listed: tuple[ListedUtterance, ...], sentences: frozenset[str] | None) -> tuple[ListedUtterance, ...]:
    return listed if sentences is None else tuple(one for one in listed if one.sentence in sentences)


def language_of(name: str) -> str:
    """Language of the unit of this name."""
    return name.rpartition(".")[0]


def utterance_count(units: Sequence[UtteranceBlock]) -> int:
    """Number of their utterances."""
    return sum(len(unit.utterances) for unit in units)


def made_together(
    units: Sequence[UtteranceBlock],
    rows: int,
    make: Callable[[UtteranceBlock, Callable[[], None]], Sequence[Made]],
    advance: Callable[[], None],
) -> Iterator[tuple[UtteranceBlock, Sequence[Made]]]:
    """Each unit with its results, in order; several are made together, until their `rows` fill the devices.

    Two threads make them, so that the host's part of one is done while the devices compute the other.
    A failure of one ends the other; a second failure, if the other has one of its own, is logged.

    Args:
      units: neighbours of one language may be made together.
      rows: utterances that fill the devices.
      make: function of a unit that returns the results of its utterances in order, the same number for each;
        both threads call it. It calls its second argument as the states of each utterance arrive.
      advance: called for each utterance whose states arrive.
    """
    together = _together(units, rows)
    ended = threading.Event()
    failed: list[tuple[str, Exception]] = []

    def arrived() -> None:
        if ended.is_set():
            raise CancelledError("what another unit failed of has ended this one, too")
        advance()

    attempted = _noting(lambda unit: make(unit, arrived), failed)
    ahead = computed_ahead(map(_joined, together), attempted, threads=2, ahead=2)
    try:
        for some, (every, future) in zip(together, ahead, strict=True):
            made, at = future.result(), 0
            for unit in some:
                count = len(unit.utterances) * len(made) // len(every.utterances)  # of each equally many
                yield unit, made[at : at + count]
                at += count
    finally:
        raised = sys.exception()
        ended.set()
        ahead.close()
        for name, error in failed:
            if error is not raised:
                _LOG.error("%s failed, too", name, exc_info=error)


def _joined(units: Sequence[UtteranceBlock]) -> UtteranceBlock:
    """The first of some units with the utterances of all."""
    return dataclasses.replace(units[0], utterances=tuple(u for unit in units for u in unit.utterances))


def _noting(
    make: Callable[[UtteranceBlock], Sequence[Made]], failed: list[tuple[str, Exception]]
) -> Callable[[UtteranceBlock], Sequence[Made]]:
    """The same function; name and exception of a unit that fails, not of one that is ended, join `failed`."""

    def attempt(unit: UtteranceBlock) -> Sequence[Made]:
        try:
            return make(unit)
        except CancelledError:
            raise
        except Exception as error:
            failed.append((unit.name, error))
            raise

    return attempt


def _together(units: Sequence[UtteranceBlock], rows: int) -> list[list[UtteranceBlock]]:
    """Units that are made together: of one language, whose token is in the prompt of every row."""
    size = max(1, -(-rows // BLOCK))
    languages = (list(same) for _, same in itertools.groupby(units, key=lambda unit: unit.language))
    return [same[start : start + size] for same in languages for start in range(0, len(same), size)]

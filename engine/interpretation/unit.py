"""One language pair at one state: its sentence pairs, and the matches of their words.

Pure but for reading states. A sentence pair whose utterance has no words is kept with the reason.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.activations import language_states
from isogloss.engine.activations.language_states import DamagedError, GridLanguage, LanguageStates
from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Pair
from isogloss.engine.interpretation import inputs, sentence_choice, word_pairs
from isogloss.engine.interpretation.aligned_words import LanguageWords, Words
from isogloss.engine.interpretation.inputs import InterpretInputs, PairState
from isogloss.engine.interpretation.sentence_choice import SentencePair
from isogloss.engine.interpretation.tables import ComparedSentences
from isogloss.engine.interpretation.word_pairs import Method, PairSide
from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.refusal import Refusal, UnreadableError

States = Mapping[str, Float[np.ndarray, "_ D"]]  # by utterance


class Reader:
    """States of a language by utterance; the two languages read last are kept."""

    def __init__(self, opened: InterpretInputs) -> None:
        """Read from the stores of `opened`, centred where its grid is."""
        self._opened = opened
        self._centred = bool(opened.grid.attributes.get("remove_language_mean", False))
        self._held: dict[tuple[str, int], States] = {}

    def states(self, unit: PairState) -> tuple[States, States]:
        """States of both languages of a unit.

        Raises:
          DamagedError: a shard can't be read.
        """
        keys = [(code, unit.state) for code in unit.pair]
        # Units come sorted by state and pair: the next one often shares a language with this one.
        self._held = {key: held for key, held in self._held.items() if key in keys}
        for key in keys:
            if key not in self._held:
                code, state = key
                which = self._opened.members[code]
                name = self._opened.grid.states[state]
                loaded = language_states.load(which, name, remove_language_mean=self._centred)
                self._held[key] = by_utterance(which, loaded)
        return self._held[keys[0]], self._held[keys[1]]


def by_utterance(which: GridLanguage, loaded: LanguageStates) -> States:
    """Frames in use by utterance, as views into the groups."""
    found = {}
    for group in loaded.groups:
        for where, frames, states in zip(group.where, group.frames, group.states, strict=True):
            found[which.store.names[which.rows[where]]] = states[:frames]
    return found


def compare(
    opened: InterpretInputs,
    unit: PairState,
    reader: Reader,
    words: Mapping[str, LanguageWords],
    *,
    sentence_pairs: str,
    method: Method,
) -> list[ComparedSentences]:
    """Sentence pairs of a unit, in the order of the queries.

    Raises:
      DamagedError: a shard or the chunk of scores can't be used.
    """
    chosen = _choose(opened, unit, sentence_pairs)
    states = reader.states(unit)
    recorded = [_utterances(opened.members[code]) for code in unit.pair]
    pairs, sides = [], []
    for pair in chosen:
        names = [opened.grid.sentences[place] for place in (pair.query, pair.candidate)]
        utterances = [recorded[side][name] for side, name in enumerate(names)]
        texts = [words[code].utterances.get(name) for code, name in zip(unit.pair, utterances, strict=True)]
        problem = "; ".join(_problems(unit.pair, utterances, words))
        pairs.append(
            ComparedSentences(
                query=names[0],
                candidate=names[1],
                utterances=(utterances[0], utterances[1]),
                grid_score=pair.score,
                words=(texts[0], texts[1]),
                problem=problem,
            )
        )
        # Only pairs with words on both sides reach the kernels; their results are put back in this order.
        sides += [] if problem else [_sides(states, utterances, texts)]
    found = iter(word_pairs.compare(sides, method))
    return [pair if pair.problem else dataclasses.replace(pair, found=next(found)) for pair in pairs]


def _sides(
    states: tuple[States, States], utterances: Sequence[str], texts: Sequence[Words | None]
) -> tuple[PairSide, PairSide]:
    a, b = (
        PairSide(states=of_all[name], words=words)
        for of_all, name, words in zip(states, utterances, texts, strict=True)
        if words is not None
    )
    return a, b


def _choose(opened: InterpretInputs, unit: PairState, how: str) -> list[SentencePair]:
    """Sentence pairs out of the grid."""
    what = f"{opened.grid.path}: {inputs.MEASURE} of {opened.name(unit)}"
    try:
        scores = opened.scores(unit)
    except UnreadableError as error:
        reason = disk_faults.with_remedy(error, grid_store.REMAKE)
        raise DamagedError(f"{what}: {reason}") from error
    common = set.intersection(*(set(opened.members[code].sentences) for code in unit.pair))
    if common and np.isnan(scores).all():
        raise DamagedError(f"{what} isn't computed yet; run the grid job to its end")
    try:
        return sentence_choice.choose(scores, how)
    except Refusal as error:
        raise DamagedError(f"{what}: {error}{grid_store.REMAKE}") from error


def _utterances(which: GridLanguage) -> dict[str, str]:
    """Utterance of each sentence that the grid compares."""
    return {
        sentence: which.store.names[row] for sentence, row in zip(which.sentences, which.rows, strict=True)
    }


def _problems(pair: Pair, utterances: Sequence[str], words: Mapping[str, LanguageWords]) -> Iterator[str]:
    """Reasons why a sentence pair can't be compared."""
    for language, utterance in zip(pair, utterances, strict=True):
        known = words[language]
        if utterance not in known.utterances:
            reason = known.problems.get(utterance, "they aren't in words.parquet")
            yield f"{language} {utterance} has no words: {reason}"
        elif not len(known.utterances[utterance]):
            yield f"no word of {language} {utterance} has a frame of its own"

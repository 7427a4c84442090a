"""Words of a store: its recordings of one word each, with phones, and which of two languages mean the same.

All bad input is refused here, before any state is read. The first recording of each sentence counts, as in
a grid. Two recordings mean the same if their words share a sentence id anywhere in the store: "minutes"
recorded under two ids means what either id means.
"""

import dataclasses
import logging
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int32

from isogloss.engine.activations.language_states import GridLanguage
from isogloss.engine.lexicon.translations import Translations
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.texts.phones import Phonemes, Phones
from isogloss.engine.texts.spoken_words import single_word

FEWEST = 5
"""Words of a language, below which it is refused."""
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LexiconWords:
    """Recorded words of one language.

    Attributes:
      member: their recordings.
      texts: word of each recording, as it is spoken.
      phones: its phones.
      sentences_left_out: number of recordings that aren't of one word.
      unread: words that have no phones.
    """

    member: GridLanguage
    texts: tuple[str, ...]
    phones: tuple[Phonemes, ...]
    sentences_left_out: int
    unread: tuple[str, ...]

    @property
    def frames(self) -> Int32[np.ndarray, " U"]:
        """Number of frames of each recording."""
        return self.member.frames

    def utterances(self) -> list[str]:
        """Name of each recording."""
        names = self.member.store.names
        return [names[row] for row in self.member.rows]


def recorded_words(members: Mapping[str, GridLanguage], voices: Phones) -> dict[str, LexiconWords]:
    """Words of each language.

    Raises:
      Refusal: a language has no voice, no transcriptions, or too few recordings of one word.
    """
    found = {code: _of(member, voices) for code, member in members.items()}
    if voices.voiceless:
        reasons = "; ".join(f"{code}: {why}" for code, why in voices.voiceless.items())
        raise Refusal(
            f"Without phones words can't be compared by sound. {reasons}. Leave them out by --languages"
        )
    for code, words in found.items():
        total = len(members[code].rows)
        # Checked after phones, because a word that has none can't take part.
        if len(words.texts) < FEWEST:
            raise Refusal(
                f"{members[code].store.path}: {len(words.texts)} of {total} recordings are of one word that "
                f"has phones, at least {FEWEST} are needed. This job compares single words: extract a corpus "
                f"whose transcriptions are words, or leave {code} out by --languages"
            )
        if words.unread:
            _LOG.warning("%s: no phones, left out: %s", code, first_names(words.unread))
        if words.sentences_left_out:
            _LOG.info("%s: %d recordings aren't of one word, left out", code, words.sentences_left_out)
    return found


def _of(member: GridLanguage, voices: Phones) -> LexiconWords:
    given = member.store.coordinate("transcription")[list(member.rows)]
    texts = [single_word(str(text)) for text in given]
    read = voices.of(member.language, [text for text in texts if text])
    kept = [i for i, text in enumerate(texts) if text and read[text]]
    return LexiconWords(
        member=dataclasses.replace(
            member,
            rows=tuple(member.rows[i] for i in kept),
            sentences=tuple(member.sentences[i] for i in kept),
        ),
        texts=tuple(texts[i] for i in kept),
        phones=tuple(phones for i in kept if (phones := read[texts[i]])),
        sentences_left_out=texts.count(""),
        unread=tuple(sorted({text for text in texts if text and not read[text]})),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meanings:
    """Meanings of all words of a with all of b.

    Attributes:
      same: whether they mean the same.
      known: whether both words have a known meaning, so that other pairs mean something else.
    """

    same: Bool[np.ndarray, "U V"]
    known: Bool[np.ndarray, "U V"]


def meanings(a: LexiconWords, b: LexiconWords, translations: Translations | None) -> Meanings:
    """Meanings by sentence ids; by translations if there are any, where a word that they lack is unknown."""
    if translations is None:
        concepts = [_by_sentence(side) for side in (a, b)]
    else:
        listed = sorted(translations.between(a.member.language, b.member.language))
        concepts = [_by_word(words, [entry[side] for entry in listed]) for side, words in enumerate((a, b))]
    # By places of each concept, not by comparing all pairs of sets.
    same = np.zeros((len(a.texts), len(b.texts)), bool)
    places = _places(concepts[1])
    for i, held in enumerate(concepts[0]):
        for concept in held:
            same[i, places.get(concept, [])] = True
    known = [np.asarray([bool(held) for held in side], bool) for side in concepts]
    return Meanings(same=same, known=known[0][:, None] & known[1])


def _by_sentence(words: LexiconWords) -> list[set[str]]:
    """Sentence ids of each recording: those of all recordings of its word."""
    ids: dict[str, set[str]] = {}
    for text, sentence in zip(words.texts, words.member.sentences, strict=True):
        ids.setdefault(text, set()).add(sentence)
    return [ids[text] for text in words.texts]


def _by_word(words: LexiconWords, listed: Sequence[str]) -> list[set[int]]:
    """Entries of a list of translations that have each recording's word."""
    places = _places([{text} for text in listed])
    return [set(places.get(text, [])) for text in words.texts]


def _places(held: Sequence[set]) -> dict[Hashable, list[int]]:
    """Indices of the sets that hold each thing."""
    found: dict[Hashable, list[int]] = {}
    for i, things in enumerate(held):
        for thing in things:
            found.setdefault(thing, []).append(i)
    return found


def length_ratio(a: LexiconWords, b: LexiconWords) -> Float[np.ndarray, "U V"]:
    """log(frames of a / frames of b) of all pairs of recordings."""
    x, y = (np.log(side.frames.astype(np.float64)) for side in (a, b))
    return x[:, None] - y

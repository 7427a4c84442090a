"""Scores and factors of one language pair, on the sentences that all of its matrices have."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from isogloss.engine.control import overlap
from isogloss.engine.control.inputs import ControlInputs
from isogloss.engine.control.overlap import Overlap, SoundSide
from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Grid, Pair, pair_name
from isogloss.engine.retrieval import metrics
from isogloss.engine.retrieval.derived import BASELINE, DERIVED, Given, record
from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.refusal import Refusal, UnreadableError
from isogloss.engine.texts.meaning import SentenceEncoder
from isogloss.engine.texts.phones import Phonemes, Phones
from isogloss.engine.texts.spoken_words import spoken_words

Matrix = Float[np.ndarray, "n n"]

SOUND, MEANING, LENGTH = FACTORS = ("sound", "meaning", "length")


class UnusableError(Exception):
    """A pair whose scores are missing or damaged; the message says which."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairData:
    """Matrices of one pair: queries of a in rows, candidates of b in columns, the same n sentences.

    Attributes:
      sentences: ids.
      scores: by state; larger is closer.
      other_scores: of the other encoder by its state; empty without one.
      factors: by name, those that are known.
      sound: overlap with the closest words; None without phones.
      closest: closest words of each sentence and its translation; "" if there are none.
      words: number of words of each sentence with phones, in a and in b; None without phones.
    """

    sentences: tuple[str, ...]
    scores: Mapping[int, Matrix]
    other_scores: Mapping[int, Matrix]
    factors: Mapping[str, Matrix]
    sound: Overlap | None
    closest: Sequence[tuple[str, str]]
    words: Int[np.ndarray, "2 n"] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Readers:
    """Readers of texts, for sound and for meaning; None leaves a factor out.

    Attributes:
      voices: of phones.
      encoder: of meaning.
      content_phones: least number of phones of words that may be alike.
    """

    voices: Phones | None
    encoder: SentenceEncoder | None
    content_phones: int


def load(inputs: ControlInputs, pair: Pair, measure: str, readers: Readers) -> PairData:
    """Matrices of a pair.

    Raises:
      UnusableError: scores are missing or damaged.
    """
    grid, against = inputs.grid, inputs.against
    scores, common = _read(grid, pair, measure, inputs.states)
    other, both = {}, common
    if against is not None:
        states = tuple(dict.fromkeys(map(inputs.other_state, inputs.states)))
        other, there = _read(against, pair, measure, states)
        # Both encoders are compared on the same sentences, or their R@1 would differ by chance alone.
        held = set(np.asarray(against.sentences)[there])
        both = common & np.isin(grid.sentences, list(held))
        other = {state: _aligned(each, against, grid, both) for state, each in other.items()}
    sentences = tuple(np.asarray(grid.sentences)[both])
    factors = {}
    sound, closest, words = _sound(inputs, pair, sentences, readers)
    if sound is not None:
        factors[SOUND] = sound.scores
    if (meaning := _meaning(inputs, pair, sentences, readers)) is not None:
        factors[MEANING] = meaning
    if grid.has_frames:
        place, turned = grid.find(pair)
        frames = grid.frames(place)[:, both]
        # The grid may hold the pair the other way round; queries are always of the first language.
        n, m = frames[::-1] if turned else frames
        factors[LENGTH] = DERIVED[BASELINE].derive(Given(arrays={}, n=n, m=m))
    return PairData(
        sentences=sentences,
        scores={state: metrics.between(each, both) for state, each in scores.items()},
        other_scores=other,
        factors=factors,
        sound=sound,
        closest=closest,
        words=words,
    )


def _read(
    grid: Grid, pair: Pair, measure: str, states: Sequence[int]
) -> tuple[dict[int, Float[np.ndarray, "Q Q"]], Bool[np.ndarray, " Q"]]:
    """Scores by state, larger is closer, and the sentences that both languages have."""
    place, turned = grid.find(pair)
    found, common = {}, np.zeros(len(grid.sentences), bool)
    for state in states:
        name = f"{grid.path}: {pair_name(pair)} {measure} state {grid.states[state]}"
        try:
            scores = np.asarray(grid.read(measure, place, state), np.float64)
        except UnreadableError as error:
            reason = disk_faults.with_remedy(error, grid_store.REMAKE)
            raise UnusableError(f"{name}: {reason}") from error
        # Chunks that aren't there read as NaN.
        if np.isnan(scores).all():
            raise UnusableError(f"{name} isn't computed yet; run the grid job to its end")
        try:
            common = metrics.common_sentences(scores, int(grid.common[place]))
        except Refusal as error:
            raise UnusableError(f"{name}: {error}") from error
        scores = scores.T if turned else scores
        found[state] = -scores if record(measure).cost else scores
    return found, common


def _aligned(
    scores: Float[np.ndarray, "R R"], source: Grid, target: Grid, common: Bool[np.ndarray, " Q"]
) -> Matrix:
    """Scores of another grid on the sentences of `target` that `common` marks."""
    place = {sentence: i for i, sentence in enumerate(source.sentences)}
    rows = [place[sentence] for sentence in np.asarray(target.sentences)[common]]
    return scores[np.ix_(rows, rows)]


def _sound(
    inputs: ControlInputs, pair: Pair, sentences: Sequence[str], readers: Readers
) -> tuple[Overlap | None, list[tuple[str, str]], Int[np.ndarray, "2 n"] | None]:
    """Overlap, the closest words and the numbers of words; None if a language has no phones."""
    nothing = [("", "")] * len(sentences)
    if readers.voices is None:
        return None, nothing, None
    read = [_side(inputs, language, sentences, readers.voices) for language in pair]
    if not all(side.types for side, _ in read):
        return None, nothing, None
    (a, names_a), (b, names_b) = read
    found = overlap.overlap(a, b, readers.content_phones)
    closest = [(names_a[x], names_b[y]) if x >= 0 else ("", "") for x, y in found.words]
    return found, closest, np.asarray([[len(each) for each in side.words] for side in (a, b)])


def _side(
    inputs: ControlInputs, language: str, sentences: Sequence[str], voices: Phones
) -> tuple[SoundSide, list[str]]:
    """Sentences as word types with phones, and these words."""
    words = [spoken_words(inputs.texts[language][sentence][0], language) for sentence in sentences]
    read: Mapping[str, Phonemes | None] = voices.of(language, itertools.chain(*words))
    types = {word: phones for word, phones in sorted(read.items()) if phones}
    place = {word: i for i, word in enumerate(types)}
    index = [np.asarray([place[word] for word in each if word in place], int) for each in words]
    return SoundSide(types=list(types.values()), words=index), list(types)


def _meaning(inputs: ControlInputs, pair: Pair, sentences: Sequence[str], readers: Readers) -> Matrix | None:
    """Cosines of the sentences' raw texts; None if the encoder doesn't know a language."""
    if readers.encoder is None or readers.encoder.unread(pair):
        return None
    # Sentence encoders were trained on texts with capitals and punctuation.
    texts = [[inputs.texts[language][sentence][1] for sentence in sentences] for language in pair]
    vectors = readers.encoder.of(itertools.chain(*texts))
    a, b = (np.stack([vectors[text] for text in side]) for side in texts)
    cosines = a @ b.T
    return None if np.isnan(cosines).any() else cosines

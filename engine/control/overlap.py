"""Overlap of two sentences in sound: a twin of SeqSim on the phones of their words.

For words w of a and w' of b, s(w, w') = 1 - phone edit distance / phones of the longer word. As SeqSim has
a precision and a recall over frames, overlap has them over phones:
`O_P = sum_w |w| max_w' s(w, w') / sum_w |w|`, O_R with the sides exchanged, O their harmonic mean; |w| is the
number of phones. It grows with the number of
words, as SeqSim grows with the number of frames. Each two word types are compared once: 350 sentences a side
with 3,000 word types a side take 1 s on a core, and 72 MB.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from isogloss.engine.texts import phones
from isogloss.engine.texts.phones import Phonemes
from isogloss.kernels.seqsim import f1

_ROWS = 256  # word types whose similarities are gathered at a time
_DIGITS = 12  # kept of an overlap, so that equal texts have equal ones however a product is summed


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundSide:
    """Sentences of one language as word types.

    Attributes:
      types: phones of each word type, at least one.
      words: indices of the word types of each sentence, in its order.
    """

    types: Sequence[Phonemes]
    words: Sequence[Int[np.ndarray, " _"]]

    def weights(self) -> Float[np.ndarray, "n T"]:
        """Share of each sentence's phones that a word type has; a sentence without phones has zeros."""
        length = np.asarray([len(each) for each in self.types], float)
        table = np.zeros((len(self.words), len(self.types)))
        for row, words in zip(table, self.words, strict=True):
            # A word that occurs twice counts twice, which an indexed += would lose.
            np.add.at(row, words, length[words])
        total = table.sum(1, keepdims=True)
        return np.divide(table, total, out=table, where=total > 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overlap:
    """Overlap of all sentences of a with all of b, and the closest words of each translation.

    Attributes:
      scores: O; 0 where one of the two has no phones.
      precision: O_P, how much of a's sentence sounds like b's.
      recall: O_R, how much of b's sentence sounds like a's.
      closest: largest s of two words of a sentence and its translation that both have enough phones; 0 if
        there are none.
      words: these two words, as word types of a and of b; -1 if there are none.
    """

    scores: Float[np.ndarray, "n n"]
    precision: Float[np.ndarray, "n n"]
    recall: Float[np.ndarray, "n n"]
    closest: Float[np.ndarray, " n"]
    words: Int[np.ndarray, "n 2"]


def overlap(a: SoundSide, b: SoundSide, content_phones: int) -> Overlap:
    """Overlap of the same n sentences in two languages.

    Args:
      a: queries.
      b: candidates, in the order of the queries.
      content_phones: least number of phones of words that may be the closest ones.
    """
    similarity = 1 - phones.all_distances(a.types, b.types)
    precision = np.round(a.weights() @ _best(similarity, b.words), _DIGITS)
    recall = np.round(b.weights() @ _best(similarity.T, a.words), _DIGITS).T
    closest, words = _closest(similarity, a, b, content_phones)
    return Overlap(
        scores=np.asarray(f1(precision, recall)),
        precision=precision,
        recall=recall,
        closest=closest,
        words=words,
    )


def advantage(scores: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "2 n"]:
    """`a_i = O_ii - max_(j != i) O_ij` of the rows as queries [0] and of the columns [1].

    Where it is not above 0, sound alone can't have found the answer. NaN for a single sentence, which has no
    other to be mistaken for.
    """
    if len(scores) == 1:
        return np.full((2, 1), np.nan)
    # A sentence is never its own rival.
    others = np.where(np.eye(len(scores), dtype=bool), -np.inf, scores)
    gold = np.diagonal(scores)
    return np.stack([gold - others.max(1), gold - others.max(0)])


def _best(
    similarity: Float[np.ndarray, "T U"], words: Sequence[Int[np.ndarray, " _"]]
) -> Float[np.ndarray, "T n"]:
    """Largest similarity of each word type with the words of each sentence; 0 if it has none."""
    found = np.zeros((len(similarity), len(words)))
    known = [i for i, each in enumerate(words) if len(each)]
    if not known:
        return found
    lengths = [len(words[i]) for i in known]
    columns, starts = np.concatenate([words[i] for i in known]), np.cumsum([0, *lengths[:-1]])
    for first in range(0, len(similarity), _ROWS):
        rows = slice(first, first + _ROWS)
        # Sentences without words are left out, because reduceat would take the next sentence's word for them.
        found[rows, known] = np.maximum.reduceat(similarity[rows][:, columns], starts, axis=1)
    return found


def _closest(
    similarity: Float[np.ndarray, "T U"], a: SoundSide, b: SoundSide, content_phones: int
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, "n 2"]]:
    """Largest similarity of two content words of each sentence and its translation, and the two words."""
    enough = [
        np.asarray([len(each) >= content_phones for each in side.types], bool).reshape(-1) for side in (a, b)
    ]
    values, words = np.zeros(len(a.words)), np.full((len(a.words), 2), -1)
    for i, pair in enumerate(zip(a.words, b.words, strict=True)):
        x, y = (np.asarray(each)[held[each]] for each, held in zip(pair, enough, strict=True))
        if len(x) and len(y):
            of_sentence = similarity[np.ix_(x, y)]
            row, column = divmod(int(of_sentence.argmax()), len(y))
            values[i], words[i] = of_sentence[row, column], (x[row], y[column])
    return values, words

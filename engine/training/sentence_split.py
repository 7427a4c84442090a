"""Training and held-out sentences that share no 4-gram.

Sentences that share one, in the text or in the transcription, are of one cluster, also by way of a third;
whole clusters are held out. Prompts and read speech repeat formulas, and a sentence half of which was learnt
isn't a test. 4-grams are of words, of characters in languages written without spaces; a shorter text is one
gram of its own.
"""

import dataclasses
import random
from collections.abc import Iterable, Mapping, Sequence

from isogloss.engine.corpora.languages import without_spaces

GRAM = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """Sentences by part.

    Attributes:
      cluster: number of each sentence's cluster.
      dev: sentences that are held out.
      overlap: for n = 1 to 4, the share of the held-out n-grams that training has too; NaN without any.
    """

    cluster: Mapping[str, int]
    dev: frozenset[str]
    overlap: tuple[float, ...]


def grams(text: str, language: str, n: int = GRAM) -> set[tuple[str, ...]]:
    """n-grams of a text in lower case, without punctuation at the edges of words."""
    words = text.casefold().split()
    if without_spaces(language):
        words = [sign for word in words for sign in word if sign.isalnum()]
    words = [bare for word in words if (bare := word.strip(".,;:!?¡¿\"'()[]«»“”…-"))]
    # A text shorter than n is one gram, or equal short texts would share none.
    n = min(n, len(words))
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} if n else set()


def split(texts: Mapping[str, Iterable[tuple[str, str]]], share: float, seed: int) -> Split:
    """Split of sentences, of which about `share` are held out.

    Clusters are taken in an order that follows from the seed, each if it still fits: the share is never
    exceeded, and where one cluster holds nearly all sentences it isn't reached.

    Args:
      texts: (language, text) of everything that is known of each sentence.
      share: of the sentences, from 0 to below 1.
      seed: of the order.
    """
    every = {sentence: list(known) for sentence, known in texts.items()}
    cluster = _clusters({s: _all_grams(known, GRAM) for s, known in every.items()})
    members: dict[int, list[str]] = {}
    for sentence, number in cluster.items():
        members.setdefault(number, []).append(sentence)
    # Sorted first, so that the order depends on the seed and not on that of the store.
    order, room, dev = sorted(members), round(share * len(every)), set[str]()
    random.Random(seed).shuffle(order)
    for number in order:
        if len(dev) + len(members[number]) <= room:
            dev |= set(members[number])
    overlap = tuple(_overlap(every, dev, n) for n in range(1, GRAM + 1))
    return Split(cluster=cluster, dev=frozenset(dev), overlap=overlap)


def sharing(
    texts: Mapping[str, Iterable[tuple[str, str]]], others: Mapping[str, Iterable[tuple[str, str]]]
) -> list[str]:
    """Sentences of `others` that share a 4-gram with one of `texts`, both as in `split`."""
    known = {gram for own in texts.values() for gram in _all_grams(list(own), GRAM)}
    return [sentence for sentence, own in others.items() if known & _all_grams(list(own), GRAM)]


def _all_grams(known: Sequence[tuple[str, str]], n: int) -> set[tuple[str, tuple[str, ...]]]:
    return {(language, gram) for language, text in known for gram in grams(text, language, n)}


def _clusters(found: Mapping[str, set[tuple[str, tuple[str, ...]]]]) -> dict[str, int]:
    """Number of each sentence's cluster, from 0 in the order of sentences."""
    parent = {sentence: sentence for sentence in found}

    def root(sentence: str) -> str:
        while parent[sentence] != sentence:
            # Paths are halved on the way, so that chains stay short.
            parent[sentence] = parent[parent[sentence]]
            sentence = parent[sentence]
        return sentence

    first: dict[tuple[str, tuple[str, ...]], str] = {}
    for sentence, own in found.items():
        for gram in own:
            # Joined to the first sentence with this gram: comparing all pairs would take n^2.
            parent[root(sentence)] = root(first.setdefault(gram, sentence))
    numbers: dict[str, int] = {}
    return {sentence: numbers.setdefault(root(sentence), len(numbers)) for sentence in found}


def _overlap(every: Mapping[str, Sequence[tuple[str, str]]], dev: set[str], n: int) -> float:
    """Share of the held-out n-grams that occur in training."""
    held, seen = set(), set()
    for sentence, known in every.items():
        (held if sentence in dev else seen).update(_all_grams(known, n))
    return len(held & seen) / len(held) if held else float("nan")

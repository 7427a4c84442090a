"""Tables of one language pair: its pairs of words, and how far each class is apart from unrelated pairs.

Nearly all the time is the bootstrap: 2000 resamples by the unrelated pairs beside a class, for each state,
pooling and class. Memory: a few matrices of all words by all words.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from isogloss.engine.lexicon import separation, tables, word_classes, words
from isogloss.engine.lexicon.similarities import similarities
from isogloss.engine.lexicon.translations import Translations
from isogloss.engine.lexicon.word_classes import CLASSES, ClassPairs
from isogloss.engine.lexicon.words import LexiconWords
from isogloss.engine.texts import phones
from isogloss.kernels import bootstrap


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that the tables of every pair depend on, beside its words.

    Attributes:
      states: names.
      poolings: some of POOLINGS.
      near: largest phone edit distance of words that sound alike.
      matches: unrelated pairs beside each pair of words.
      implementation: of the frame kernels.
    """

    states: tuple[str, ...]
    poolings: tuple[str, ...]
    near: float
    matches: int
    implementation: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Related:
    """Pairs of words of two languages by class.

    Attributes:
      a: words of the first language.
      b: words of the second.
      distance: phone edit distance over the longer word.
      ratio: log(frames of a / frames of b).
      by_class: pairs of each of CLASSES with unrelated ones beside.
      unrelated: all unrelated pairs.
    """

    a: LexiconWords
    b: LexiconWords
    distance: Float[np.ndarray, "U V"]
    ratio: Float[np.ndarray, "U V"]
    by_class: tuple[ClassPairs, ...]
    unrelated: Int[np.ndarray, "K 2"]


def compute(
    a: LexiconWords, b: LexiconWords, translations: Translations | None, settings: Settings
) -> tuple[pa.Table, pa.Table]:
    """Tables `word_pairs` and `classes` of two languages.

    Raises:
      DamagedError: a file of a store can't be read.
    """
    # Classes don't depend on states, so they are made once for all of them.
    related = _relate(a, b, translations, settings)
    shown = _shown(related)
    columns, rows = {}, []
    for state in settings.states:
        found = similarities(a, b, state, settings.poolings, settings.implementation)
        for pooling, scores in found.items():
            columns[tables.similarity_column(pooling, state)] = pa.array(scores[*shown.T], pa.float64())
            key = {"language_a": a.member.language, "language_b": b.member.language}
            key |= {"state": state, "pooling": pooling}
            rows += [key | row for row in _class_rows(related, scores)]
    table = _word_pairs(related, shown)
    for name in sorted(columns, key=_by_pooling(settings)):
        table = table.append_column(name, columns[name])
    return table, tables.class_rows(rows)


def _by_pooling(settings: Settings):  # noqa: ANN202 (a key for sorted)
    names = [tables.similarity_column(p, s) for p in settings.poolings for s in settings.states]
    return names.index


def _relate(
    a: LexiconWords, b: LexiconWords, translations: Translations | None, settings: Settings
) -> _Related:
    distance = phones.all_distances(a.phones, b.phones)
    meanings = words.meanings(a, b, translations)
    classes = word_classes.classify(distance, meanings.same, meanings.known, settings.near)
    ratio = words.length_ratio(a, b)
    return _Related(
        a=a,
        b=b,
        distance=distance,
        ratio=ratio,
        by_class=word_classes.beside_unrelated(classes, ratio, settings.matches, bootstrap.SEED),
        unrelated=np.argwhere(classes == word_classes.UNRELATED),
    )


def _class_rows(related: _Related, scores: Float[np.ndarray, "U V"]) -> list[dict[str, object]]:
    """Rows of all classes at one state, by one pooling."""
    sizes = scores.shape
    # All unrelated pairs beside the matched ones show what matching by length changes.
    every = scores[*related.unrelated.T]
    once = np.ones(len(every), int)
    rows = []
    for name, held in zip(CLASSES, related.by_class, strict=True):
        mine, matched = scores[*held.pairs.T], scores[*held.matched.T]
        ones = np.ones((1, len(mine)))
        low, high = separation.interval(mine, matched, held.pairs, held.matched, held.times, sizes)
        rows.append(
            {
                "class": name,
                "n": len(mine),
                "words_a": len(np.unique(held.pairs[:, 0])),
                "words_b": len(np.unique(held.pairs[:, 1])),
                "matched": len(matched),
                "unrelated": len(every),
                "auc": float(separation.auc(mine, matched, ones, held.times[None].astype(float))[0]),
                "ci_low": low,
                "ci_high": high,
                "cohens_d": separation.cohens_d(mine, matched, held.times),
                "auc_unmatched": float(separation.auc(mine, every, ones, once[None].astype(float))[0]),
                "cohens_d_unmatched": separation.cohens_d(mine, every, once),
                "length": _mean_length(related, held.pairs, np.ones(len(mine))),
                "length_matched": _mean_length(related, held.matched, held.times),
                "length_unmatched": _mean_length(related, related.unrelated, once),
            }
        )
    return rows


def _mean_length(related: _Related, pairs: Int[np.ndarray, "n 2"], times: np.ndarray) -> float:
    """Mean of |log(frames of a / frames of b)|; NaN of no pairs."""
    return float(np.average(np.abs(related.ratio[*pairs.T]), weights=times)) if len(pairs) else np.nan


def _shown(related: _Related) -> Int[np.ndarray, "R 2"]:
    """Pairs of words that have a row: those of the classes, then unrelated ones beside any of them."""
    # Not all unrelated pairs: they are nearly all pairs there are.
    beside = [held.matched for held in related.by_class]
    return np.concatenate(
        [*(held.pairs for held in related.by_class), np.unique(np.concatenate(beside), axis=0)]
    )


def _word_pairs(related: _Related, shown: Int[np.ndarray, "R 2"]) -> pa.Table:
    """Rows of the pairs of words, without similarities."""
    of_class = [name for name, held in zip(CLASSES, related.by_class, strict=True) for _ in held.pairs]
    sides: dict[str, Sequence[object]] = {}
    for name, side, at in (("a", related.a, shown[:, 0]), ("b", related.b, shown[:, 1])):
        read = [" ".join(each) for each in side.phones]
        labels: Mapping[str, Sequence[object]] = {
            "word": side.texts,
            "phones": read,
            "utterance": side.utterances(),
            "sentence": side.member.sentences,
            "frames": side.frames.tolist(),
        }
        sides |= {f"{column}_{name}": [values[i] for i in at] for column, values in labels.items()}
        sides[f"language_{name}"] = [side.member.language] * len(shown)
    columns = sides | {
        "class": of_class + [tables.RANDOM] * (len(shown) - len(of_class)),
        "length_ratio": related.ratio[*shown.T],
        "distance": related.distance[*shown.T],
    }
    for name, held in zip(tables.MATCHED, related.by_class, strict=True):
        times = dict(zip(map(tuple, held.matched.tolist()), held.times.tolist(), strict=True))
        columns[name] = [times.get(tuple(pair), 0) for pair in shown.tolist()]
    return pa.table({field.name: columns[field.name] for field in tables.WORD_PAIRS}, tables.WORD_PAIRS)

"""Ranks of held-out sentences, with maps that were learnt on the other sentences of a pair of languages.

Held-out sentences are queries and candidates, nothing else is: among all sentences those that a map was
learnt on would be found most easily, and would crowd out the others, so a map would look worse than none.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from isogloss.engine.grid.scorers import scorer
from isogloss.engine.linear_maps import fitting
from isogloss.engine.linear_maps.fitting import MAPS, LinearMap
from isogloss.engine.linear_maps.folds import folds, shuffled
from isogloss.engine.retrieval import metrics
from isogloss.engine.retrieval.derived import BASELINE, DERIVED, Given

METHODS = (*MAPS, BASELINE)
"""Ways of retrieval; the last one knows nothing but how long each utterance is."""


class Route(NamedTuple):
    """Way from the states of two languages to states that are compared.

    Attributes:
      method: one of `METHODS`.
      pivot_language: language whose space the map leads to; "" if it is the candidates' own.
      mapped: "none", "query" or "both": the languages that are mapped. Others are centred.
    """

    method: str
    pivot_language: str
    mapped: str

    @property
    def symmetric(self) -> bool:
        """True if queries and candidates are treated alike, so that both directions have equal scores."""
        return self.mapped != "query"


def routes(a: str, b: str, pivot: str | None) -> list[Route]:
    """Routes of a pair of languages; the first one learns nothing but means, the last one nothing at all."""
    ways = [("", "query")]
    if pivot and pivot not in (a, b):
        ways += [(pivot, "both"), (pivot, "query")]
    mapped = [Route(kind, *way) for kind in MAPS[1:] for way in ways]
    return [Route(MAPS[0], "", "none"), *mapped, Route(BASELINE, "", "none")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageSide:
    """One state of a language.

    Attributes:
      code: of the language.
      places: position of each sentence.
      means: mean state of each sentence.
      lengths: number of frames of each sentence.
      frames: states of each sentence's frames; empty if no measure compares them.
    """

    code: str
    places: Mapping[str, int]
    means: Float[np.ndarray, "U D"]
    lengths: Int[np.ndarray, " U"]
    frames: Sequence[Float[np.ndarray, "_ D"]] = ()

    def of(self, sentences: Sequence[str]) -> Float[np.ndarray, "n D"]:
        """Mean states of sentences."""
        return self.means[self._at(sentences)]

    def length(self, sentences: Sequence[str]) -> Int[np.ndarray, " n"]:
        """Numbers of frames of sentences."""
        return self.lengths[self._at(sentences)]

    def _at(self, sentences: Sequence[str]) -> list[int]:
        return [self.places[each] for each in sentences]


class Learner:
    """Maps between languages, learnt on the sentences that aren't held out, each of them once."""

    def __init__(self, held: Sequence[str], parts: int) -> None:
        """Nothing is learnt yet.

        Args:
          held: sentences that no map may know.
          parts: number of folds.
        """
        self._held, self._parts = frozenset(held), parts
        self._maps: dict[tuple[str, str, str], LinearMap] = {}

    def learnt(self, source: LanguageSide, target: LanguageSide) -> list[str]:
        """Sentences that a map between two languages is learnt on: what both have."""
        return [s for s in source.places if s in target.places and s not in self._held]

    def map(self, kind: str, source: LanguageSide, target: LanguageSide) -> LinearMap:
        """Map from the source to the target."""
        key = (kind, source.code, target.code)
        if key not in self._maps:
            # Shuffled, so that the folds which choose a penalty aren't runs of neighbouring sentences.
            train = shuffled(self.learnt(source, target))
            self._maps[key] = fitting.fit(kind, source.of(train), target.of(train), self._parts)
        return self._maps[key]

    def maps(
        self, route: Route, query: LanguageSide, candidate: LanguageSide, pivot: LanguageSide | None
    ) -> tuple[LinearMap, LinearMap]:
        """Maps of the queries and of the candidates."""
        target = candidate
        if route.pivot_language:
            assert pivot is not None, "a route over a pivot has one"
            target = pivot
        # A side that isn't mapped loses its mean as well, or cosines would compare the languages' offsets.
        centred = self.map("centred", candidate, query)
        other = self.map(route.method, candidate, target) if route.mapped == "both" else centred
        return self.map(route.method, query, target), other


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Results of one pair of languages at one state.

    Axes: M measures, R routes, 2 directions (a->b, then b->a), n sentences that both languages have.

    Attributes:
      ranks: of the right answers among the held-out sentences of their fold; 1 is the best.
      known: False for routes whose maps would be learnt on too few sentences; their ranks say nothing.
      penalties: of ridge regression, geometric means over the folds; NaN of other maps.
    """

    ranks: Int[np.ndarray, "M R 2 n"]
    known: Bool[np.ndarray, " R"]
    penalties: Float[np.ndarray, "R 2"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """Settings that all pairs of a run have in common.

    Attributes:
      measures: "meanpool", "seqsim" or both.
      parts: number of folds.
      implementation: of the kernel that compares frames.
    """

    measures: tuple[str, ...]
    parts: int
    implementation: str

    @property
    def fewest(self) -> int:
        """Sentences, below which nothing is computed: two in each fold, or there would be no wrong answer."""
        return 2 * self.parts

    @property
    def fewest_learnt(self) -> int:
        """Sentences, below which no map is learnt: what `fewest` leaves when a fold is held out."""
        return self.fewest - 2


def evaluate(
    a: LanguageSide, b: LanguageSide, pivot: LanguageSide | None, common: Sequence[str], setting: Setting
) -> HeldOut:
    """Ranks of every common sentence in the fold where it is held out.

    Args:
      a: one language.
      b: another.
      pivot: language that pairs without it are mapped to, if there is one.
      common: sentences that a and b share, at least `setting.fewest`.
      setting: measures and folds.
    """
    ways = routes(a.code, b.code, pivot.code if pivot else None)
    found = [_fold(a, b, pivot, held, ways, setting) for held in folds(common, setting.parts)]
    ranks, known, penalties = zip(*found, strict=True)
    # Penalties are tried on a logarithmic scale, so their mean is taken on it.
    logs = np.log(np.stack(penalties))
    return HeldOut(
        ranks=np.concatenate(ranks, axis=-1),
        known=np.logical_and.reduce(known),
        penalties=np.exp(logs.mean(0)),
    )


def _fold(
    a: LanguageSide,
    b: LanguageSide,
    pivot: LanguageSide | None,
    held: Sequence[str],
    ways: Sequence[Route],
    setting: Setting,
) -> tuple[Int[np.ndarray, "M R 2 n"], Bool[np.ndarray, " R"], Float[np.ndarray, "R 2"]]:
    learner = Learner(held, setting.parts)
    # 1 where a route isn't known: `known` hides it, and later steps need a valid rank.
    ranks = np.ones((len(setting.measures), len(ways), 2, len(held)), np.int32)
    known = np.ones(len(ways), bool)
    penalties = np.full((len(ways), 2), np.nan)
    for r, route in enumerate(ways):
        if route.method == BASELINE:
            lengths = Given(arrays={}, n=a.length(held), m=b.length(held))
            # The baseline knows lengths alone, so it is the same for every measure.
            ranks[:, r] = metrics.ranks(DERIVED[BASELINE].derive(lengths))
            continue
        if pivot and route.pivot_language:
            # Of both languages, also where one alone is mapped: routes over a pivot are of equal pairs.
            fewest = min(len(learner.learnt(side, pivot)) for side in (a, b))
            known[r] = fewest >= setting.fewest_learnt
            if not known[r]:
                continue
        for direction, (query, candidate) in enumerate(((a, b), (b, a))):
            pair = learner.maps(route, query, candidate, pivot)
            penalties[r, direction] = pair[0].penalty
            # The scores of the second direction are the transpose: `ranks` has given both from the first.
            if route.symmetric and direction:
                continue
            for m, measure in enumerate(setting.measures):
                found = metrics.ranks(_scores(measure, pair, query, candidate, held, setting))
                if route.symmetric:
                    ranks[m, r] = found
                else:
                    ranks[m, r, direction] = found[0]
    return ranks, known, penalties


def _scores(
    measure: str,
    maps: tuple[LinearMap, LinearMap],
    query: LanguageSide,
    candidate: LanguageSide,
    held: Sequence[str],
    setting: Setting,
) -> Float[np.ndarray, "n n"]:
    """Scores of the held-out sentences, row = query, column = candidate."""
    sides = tuple(zip(maps, (query, candidate), strict=True))
    if measure == "meanpool":
        return fitting.cosines(*(each.apply(side.of(held)) for each, side in sides))
    by = scorer(("seqsim",), setting.implementation)
    # In single precision, as the kernel takes frames; maps have removed the means already.
    x, y = (by.place(list(_mapped_frames(each.single, side, held))) for each, side in sides)
    return by.start(x, y)()["seqsim"]


def _mapped_frames(
    by: LinearMap, side: LanguageSide, held: Sequence[str]
) -> Iterator[Float[np.ndarray, "_ D"]]:
    for sentence in held:
        yield by.apply(side.frames[side.places[sentence]])

"""The grid job's own way on these devices: languages are placed once, then all their pairs are compared.

4 languages of utterances as long as FLEURS's, compared at one state by SeqSim's two sides, DTW and mean
pooling, on all devices of this host. Frames are about as far from their language's mean as that is from zero,
so that a mean which isn't taken out, or badly, shows. Scores of the shortest and the longest are held against
float64.
"""

import functools
import itertools
from collections.abc import Generator, Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Float, Float32

from isogloss.engine.bench import data, oracle
from isogloss.engine.bench.findings import Finding, Stopwatch
from isogloss.engine.grid import grid_work
from isogloss.engine.grid.grid_work import Scores
from isogloss.engine.grid.measures import MEASURES
from isogloss.engine.grid.scorers import Scorer, device_sets, scorer
from isogloss.engine.runtime import ahead
from isogloss.kernels import reference

_Found = tuple[int, tuple[int, int], Scores]  # a scorer's number, two languages, and their scores
_STAGE = "grid job"
_NAMES = ("precision", "recall", "dtw", "meanpool")
_BOUND = 1e-5  # of a score, and of a cost over the cost
_CHECKED = (0, 1, -1)  # utterances of a language by length: the two shortest and the longest


def grid(dtype: str, *, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """Pairs a second, uploads included, and errors of each measure among the shortest and the longest.

    Errors are those of one pair by each scorer: by each device, where these take pairs of their own.
    """
    count, features = (3, 16) if quick else (96, 1280)
    random = data.rng(24)
    lengths = np.sort(data.fleurs_frames(count, random)) // (10 if quick else 1)
    languages = [data.around_a_mean(lengths, features, random, dtype) for _ in range(4)]
    every = list(itertools.combinations(range(4), 2))
    # Pairs come again where there are more devices than pairs, so that each has one.
    couples = list(itertools.islice(itertools.cycle(every), max(len(every), jax.local_device_count())))
    sets = device_sets(len(couples), _NAMES, "xla")
    title = f"{count} utterances of {lengths[0]} to {lengths[-1]} frames, {features} features"
    for removed, kind in ((False, ""), (True, ", language mean removed")):
        watch.begin()
        scorers = [scorer(_NAMES, "xla", remove_mean=removed, devices=devices) for devices in sets]
        if not removed:
            [seconds] = watch.seconds(functools.partial(_scores, scorers, couples, languages))
            speed = len(couples) / seconds
            yield Finding(stage=_STAGE, name=f"{title}, all devices", found=speed, unit="pairs/s")
        found: dict[int, tuple[tuple[int, int], Scores]] = {}
        for number, couple, scores in _scores(scorers, couples, languages):
            found.setdefault(number, (couple, scores))
        sides = [reference.remove_language_mean(side) if removed else side for side in languages]
        for number, ((a, b), scores) in sorted(found.items()):
            where = f", device {number}" if len(sets) > 1 else ""
            for name in _NAMES:
                error = _error(scores[name], sides[a], sides[b], name)
                yield Finding(stage=_STAGE, name=f"error, {name}{kind}{where}", found=error, bound=_BOUND)


def _scores(
    scorers: Sequence[Scorer], couples: Sequence[tuple[int, int]], languages: Sequence[list[np.ndarray]]
) -> list[_Found]:
    """Scores of pairs of languages, each with its scorer's number; these divide the pairs as in the job."""

    def of_share(number: int, share: Sequence[tuple[int, int]]) -> Generator[_Found, None, None]:
        placed = {k: scorers[number].place(languages[k]) for k in sorted(set(itertools.chain(*share)))}
        started = [scorers[number].start(placed[a], placed[b]) for a, b in share]
        for couple, wait in zip(share, started, strict=True):
            yield number, couple, wait()

    shares = grid_work.shares(couples, len(scorers))
    return list(ahead.as_they_come([of_share(*each) for each in enumerate(shares)]))


def _error(
    scores: Float32[np.ndarray, "U V"], x: Sequence[np.ndarray], y: Sequence[np.ndarray], name: str
) -> float:
    """Largest error of the utterances checked, of a cost over the cost."""
    exact = np.asarray([[_exact(x[u], y[v], name) for v in _CHECKED] for u in _CHECKED])
    off = np.abs(scores[np.ix_(_CHECKED, _CHECKED)] - exact)
    return float((off / exact if MEASURES[name].cost else off).max())


def _exact(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"], name: str) -> float:
    """Score of two utterances, float64."""
    if name == "meanpool":
        means = (side.mean(axis=0, keepdims=True, dtype=float) for side in (x, y))
        return float(oracle.cosines(*means)[0, 0])
    return (
        oracle.dtw_cost(1 - oracle.cosines(x, y)) if name == "dtw" else oracle.seqsim(x, y)[name == "recall"]
    )

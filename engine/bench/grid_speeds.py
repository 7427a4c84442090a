"""The grid job's own way on this device: languages are placed once, then all their pairs are compared.

4 languages of utterances as long as FLEURS's, compared at one state by SeqSim's two sides, DTW and mean
pooling, on all devices of this host. Frames are about as far from their language's mean as that is from zero,
so that a mean which isn't taken out, or badly, shows. Scores of the shortest and the longest are held against
float64.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.bench import data, oracle
from isogloss.engine.bench.findings import Finding, Stopwatch
from isogloss.engine.grid import grid_work
from isogloss.engine.grid.measures import MEASURES
from isogloss.engine.grid.scorers import Scorer, scorer, sharing
from isogloss.kernels import reference

_STAGE = "grid job"
_NAMES = ("precision", "recall", "dtw", "meanpool")
_BOUND = 1e-5  # of a score, and of a cost over the cost
_CHECKED = (0, 1, -1)  # utterances of a language by length: the two shortest and the longest


def grid(dtype: str, *, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """Pairs a second, uploads included, and errors of each measure among the shortest and the longest."""
    count, features = (3, 16) if quick else (96, 1280)
    random = data.rng(24)
    lengths = np.sort(data.fleurs_frames(count, random)) // (10 if quick else 1)
    couples = list(itertools.combinations(range(4), 2))
    languages = [data.around_a_mean(lengths, features, random, dtype) for _ in range(4)]

    def pairs(scorers: Sequence[Scorer]) -> list[dict[str, Float[np.ndarray, "U V"]]]:
        started = []
        for scores, share in zip(scorers, grid_work.shares(couples, len(scorers)), strict=True):
            placed = {k: scores.place(languages[k]) for k in sorted(set(itertools.chain(*share)))}
            started += [scores.start(placed[a], placed[b]) for a, b in share]
        return [wait() for wait in started]

    title = f"{count} utterances of {lengths[0]} to {lengths[-1]} frames, {features} features"
    for removed, kind in ((False, ""), (True, ", language mean removed")):
        watch.begin()
        given = sharing(len(couples), _NAMES, "xla")
        scorers = [scorer(_NAMES, "xla", remove_mean=removed, own_devices=own) for own in given]
        if not removed:
            [seconds] = watch.seconds(functools.partial(pairs, scorers))
            yield Finding(stage=_STAGE, name=f"{title}, all devices", found=6 / seconds, unit="pairs/s")
        x, y = (reference.remove_language_mean(side) if removed else side for side in languages[:2])
        found = pairs(scorers)[0]
        for name in _NAMES:
            exact = np.asarray([[_exact(x[u], y[v], name) for v in _CHECKED] for u in _CHECKED])
            off = np.abs(found[name][np.ix_(_CHECKED, _CHECKED)] - exact)
            error = (off / exact if MEASURES[name].cost else off).max()
            yield Finding(stage=_STAGE, name=f"error, {name}{kind}", found=float(error), bound=_BOUND)


def _exact(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"], name: str) -> float:
    """Score of two utterances, float64."""
    if name == "meanpool":
        means = (side.mean(axis=0, keepdims=True, dtype=float) for side in (x, y))
        return float(oracle.cosines(*means)[0, 0])
    return (
        oracle.dtw_cost(1 - oracle.cosines(x, y)) if name == "dtw" else oracle.seqsim(x, y)[name == "recall"]
    )

"""Score matrices of two languages at one state, from the kernels that the measures name.

Measures that `frame_scores` computes share one call for each pair of groups of utterances, because they share
its cosines, which are nearly all the work.
"""

import contextlib
import functools
import gc
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Float32

from isogloss.engine.activations import language_states
from isogloss.engine.activations.language_states import LanguageStates
from isogloss.engine.grid.measures import MEASURES
from isogloss.engine.grid.shortlist import SHORTLISTING, Shortlisting
from isogloss.kernels import frame_scores


class HostScores:
    """Scores of pairs of languages by this machine's cores; `DeviceScores` has the same calls."""

    AHEAD: int = 0  # units that start before a result is asked for

    def __init__(
        self, measures: Sequence[str], implementation: str, *, dtw_normalise: str, remove_mean: bool
    ) -> None:
        """Nothing is compiled yet; see `score`."""
        self._options = (tuple(measures), implementation, dtw_normalise)
        self._remove_mean = remove_mean

    def prepare(self, *, shortlists: bool) -> None:
        """Compile the kernels of frames, or load them; without it the first pair does.

        Args:
          shortlists: whether transport is computed of shortlists, apart from the other measures.
        """
        measures, implementation, dtw_normalise = self._options
        shared = {name for name in measures if MEASURES[name].by_frame and not MEASURES[name].kernel}
        later = shared.intersection(frame_scores.TRANSPORT) if shortlists else set()
        with _without_collection():
            for together in filter(None, (shared - later, later)):
                frame_scores.compile_for_cpu(together, implementation, dtw_normalise)

    def place(
        self,
        utterances: Sequence[Float[np.ndarray, "_ D"]],
        mean_of: Sequence[Float[np.ndarray, "_ D"]] | None = None,
    ) -> LanguageStates:
        """One state of a language as kernels take it; `mean_of`: whose mean to remove, if not theirs."""
        mean = language_states.mean_frame(mean_of) if mean_of else None
        return language_states.arrange(utterances, remove_mean=self._remove_mean, mean=mean)

    def start(
        self, x: LanguageStates, y: LanguageStates, among: Shortlisting | None = None
    ) -> Callable[[], dict[str, Float32[np.ndarray, "U V"]]]:
        """Function that computes the scores of two languages; of shortlists, if given, transport."""
        return functools.partial(score, x, y, *self._options, among=among)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """No garbage is collected: while Numba compiles, that takes a fifth of the time and finds little."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def score(
    x: LanguageStates,
    y: LanguageStates,
    measures: Sequence[str],
    implementation: str,
    dtw_normalise: str = "none",
    among: Shortlisting | None = None,
) -> dict[str, Float32[np.ndarray, "U V"]]:
    """Scores of all utterances of two languages at one state, by measure.

    Args:
      x: states of the queries' language.
      y: states of the candidates' language.
      measures: names among MEASURES.
      implementation: implementation of `frame_scores`.
      dtw_normalise: divisor of its DTW costs.
      among: shortlists, by this machine's cores; transport of other pairs stays NaN. None computes all.
    """
    # What no kernel fills is unknown. Zeros would pass for scores.
    scores = {name: np.full((len(x.pooled), len(y.pooled)), np.nan, np.float32) for name in measures}
    chosen = [MEASURES[name] for name in measures]
    options = {"implementation": implementation, "dtw_normalise": dtw_normalise}
    later = frame_scores.TRANSPORT if among else ()
    shared = [measure.name for measure in chosen if not measure.kernel and measure.name not in later]
    alone = [measure for measure in chosen if measure.kernel and measure.by_frame]
    for a, b in itertools.product(x.groups, y.groups) if shared or alone else ():
        block, frames = np.ix_(a.where, b.where), (a.states, a.frames, b.states, b.frames)
        if shared:
            found = frame_scores.frame_scores(*frames, measures=shared, **options)
            for name, matrix in found.items():
                scores[name][block] = matrix
        for measure in alone:
            scores[measure.name][block] = measure.function()(*frames)
    for measure in chosen:
        if not measure.by_frame:
            scores[measure.name][:] = measure.function()(x.pooled, y.pooled)
    if among:
        listed = among.chosen(scores[SHORTLISTING])
        for a, b in itertools.product(x.groups, y.groups):
            block, frames = np.ix_(a.where, b.where), (a.states, a.frames, b.states, b.frames)
            for name, matrix in frame_scores.transport_among(*frames, listed[block]).items():
                scores[name][block] = matrix
    return scores

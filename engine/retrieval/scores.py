"""Score matrices of two languages at one state, from the kernels that the measures name.

Measures that `frame_scores` computes share one call for each pair of groups of utterances, because they share
its cosines, which are nearly all the work.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from isogloss.engine.activations.language_states import LanguageStates
from isogloss.engine.retrieval.measures import MEASURES
from isogloss.kernels import frame_scores


def score(
    x: LanguageStates,
    y: LanguageStates,
    measures: Sequence[str],
    implementation: str,
    dtw_normalise: str = "none",
) -> dict[str, Float32[np.ndarray, "U V"]]:
    """Scores of all utterances of two languages at one state, by measure.

    Args:
      x: states of the queries' language.
      y: states of the candidates' language.
      measures: names among MEASURES.
      implementation: implementation of `frame_scores`.
      dtw_normalise: divisor of its DTW costs.
    """
    # What no kernel fills is unknown. Zeros would pass for scores.
    scores = {name: np.full((len(x.pooled), len(y.pooled)), np.nan, np.float32) for name in measures}
    chosen = [MEASURES[name] for name in measures]
    options = {"implementation": implementation, "dtw_normalise": dtw_normalise}
    shared = [measure.name for measure in chosen if not measure.kernel]
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
    return scores

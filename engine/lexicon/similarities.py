"""Similarities of all words of two languages at one state, by pooling, from the kernels of the grid."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.activations import language_states
from isogloss.engine.activations.language_states import LanguageStates
from isogloss.engine.grid.host_scores import score
from isogloss.engine.lexicon.lexicon_config import CENTRE, MEAN, MIDDLE, SEQSIM
from isogloss.engine.lexicon.words import LexiconWords


def similarities(
    a: LexiconWords, b: LexiconWords, state: str, poolings: Sequence[str], implementation: str
) -> dict[str, Float[np.ndarray, "U V"]]:
    """Similarity of all words of a with all of b, by pooling; larger is closer.

    A language's mean is that of its words' mean frames, or of their middle frames.

    Args:
      a: words of the first language.
      b: words of the second.
      state: name of the state.
      poolings: some of POOLINGS.
      implementation: of the frame kernels.

    Raises:
      DamagedError: a file of the store can't be read.
    """
    frames = [language_states.read(side.member, state) for side in (a, b)]
    known: dict[str, list[LanguageStates]] = {}
    found = {}
    for pooling in poolings:
        form = MEAN if pooling == SEQSIM else pooling
        if form not in known:
            known[form] = [_arranged(side, form) for side in frames]
        measure = SEQSIM if pooling == SEQSIM else "meanpool"
        scores = score(*known[form], (measure,), implementation)[measure]
        found[pooling] = scores.astype(np.float64)
    return found


def _arranged(words: Sequence[Float[np.ndarray, "_ D"]], form: str) -> LanguageStates:
    if form == MIDDLE:  # frame (start + end) // 2, as in the code of Choi et al.
        words = [frames[len(frames) // 2 :][:1] for frames in words]
    return language_states.arrange(words, remove_mean=form in (CENTRE, MIDDLE))

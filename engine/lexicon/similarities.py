"""Similarities of all words of two languages at one state, by pooling, from the kernels of the grid."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.activations import language_states
from isogloss.engine.activations.language_states import LanguageStates
from isogloss.engine.lexicon.lexicon_config import CENTRE, SEQSIM
from isogloss.engine.lexicon.words import LexiconWords
from isogloss.engine.retrieval.scores import score


def similarities(
    a: LexiconWords, b: LexiconWords, state: str, poolings: Sequence[str], implementation: str
) -> dict[str, Float[np.ndarray, "U V"]]:
    """Similarity of all words of a with all of b, by pooling; larger is closer.

    A language's mean is that of its words' mean frames.

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
    known: dict[bool, list[LanguageStates]] = {}
    found = {}
    for pooling in poolings:
        centred = pooling == CENTRE
        if centred not in known:
            known[centred] = [language_states.arrange(side, remove_mean=centred) for side in frames]
        measure = SEQSIM if pooling == SEQSIM else "meanpool"
        scores = score(*known[centred], (measure,), implementation)[measure]
        found[pooling] = scores.astype(np.float64)
    return found

"""Similarities of all words of two languages at one state, by pooling, from the kernels of the grid."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.activations import language_states
from isogloss.engine.grid.scorers import scorer
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
    scores = {}
    for form in dict.fromkeys(map(_form, poolings)):
        measures = tuple(_measure(pooling) for pooling in poolings if _form(pooling) == form)
        by = scorer(measures, implementation, remove_mean=form in (CENTRE, MIDDLE))
        scores[form] = by.start(*(by.place(_taken(side, form)) for side in frames))()
    return {pooling: scores[_form(pooling)][_measure(pooling)].astype(np.float64) for pooling in poolings}


def _form(pooling: str) -> str:
    """Pooling whose frames it compares: SeqSim those of the mean, so that both are placed once."""
    return MEAN if pooling == SEQSIM else pooling


def _measure(pooling: str) -> str:
    return SEQSIM if pooling == SEQSIM else "meanpool"


def _taken(words: list[Float[np.ndarray, "_ D"]], form: str) -> list[Float[np.ndarray, "_ D"]]:
    """Frames that a form takes: all, or frame (start + end) // 2, as in the code of Choi et al."""
    return [frames[len(frames) // 2 :][:1] for frames in words] if form == MIDDLE else words

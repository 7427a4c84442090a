"""Matches and shares of the words of sentence pairs, computed in padded batches of few shapes.

Numbers of frames and words are padded to one of a few sizes, so that a corpus compiles about a dozen
programs, 3 s each on a CPU; about half of the work is padding. Accelerators take batches in turns. Batches
depend on the sentence pairs alone, so the bits of a unit's results are the same in every run. Memory of a
device: the frames of a batch in float32, 50 MB for base, and the cosines of one sentence pair.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32

from isogloss.engine.interpretation.aligned_words import Words
from isogloss.engine.runtime import devices
from isogloss.engine.whisper.encoder_program import WINDOW_FRAMES
from isogloss.kernels import attribution, transport, word_match

BATCH = 8
_FRAMES = (128, 256, 384, 512, 768, 1024, WINDOW_FRAMES)  # padded lengths
_WORDS = (16, 32, 64, 128, 256, 512)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """Method of matching words.

    Attributes:
      word_vector: "centre", a word's centre frame, or "mean", the mean of its frames.
      epsilon: of the transport, in units of 1 - cosine.
      threshold: two words are linked if they exchange at least this fraction of min(mass_a, mass_b).
      tolerance: of the transport's marginals.
      iterations: largest number for the transport.
    """

    word_vector: str
    epsilon: float
    threshold: float
    tolerance: float = 1e-4
    iterations: int = 2000


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairSide:
    """One utterance of a sentence pair."""

    states: Float[np.ndarray, "N D"]
    words: Words


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordPairs:
    """Matches and shares of one sentence pair's words; shares end with frames of no word.

    Attributes:
      similarity: cosines of words.
      mutual: mutual best matches.
      plan: transported mass, sums to 1.
      transported: word pairs linked by transport.
      precision: shares of P.
      recall: shares of R.
      f1: shares of F1.
      scores: P, R and F1.
      error: of the transport's marginals.
      iterations: that it took.
    """

    similarity: Float32[np.ndarray, "V W"]
    mutual: Bool[np.ndarray, "V W"]
    plan: Float32[np.ndarray, "V W"]
    transported: Bool[np.ndarray, "V W"]
    precision: Float32[np.ndarray, "V1 W1"]
    recall: Float32[np.ndarray, "V1 W1"]
    f1: Float32[np.ndarray, "V1 W1"]
    scores: Float32[np.ndarray, " 3"]
    error: float
    iterations: int


def compare(pairs: Sequence[tuple[PairSide, PairSide]], method: Method) -> list[WordPairs]:
    """Matches and shares of every sentence pair; both sides have at least one word."""

    def of_batch(batch: tuple[tuple[int, int], list[int]]) -> list[WordPairs]:
        (frames, words), which = batch
        chosen = [pairs[k] for k in which]
        # Another number of rows would compile another program, and no kernel takes utterances of no frames.
        filled = chosen + chosen[-1:] * (BATCH - len(chosen))
        return list(itertools.islice(_run(filled, frames, words, method), len(which)))

    batches = list(_batches(pairs))
    computed = devices.dealt(batches, of_batch)
    found = {
        k: one
        for (_, which), some in zip(batches, computed, strict=True)
        for k, one in zip(which, some, strict=True)
    }
    return [found[k] for k in range(len(pairs))]


def _batches(pairs: Sequence[tuple[PairSide, PairSide]]) -> Iterator[tuple[tuple[int, int], list[int]]]:
    """(padded frames, padded words) with the indices of at most BATCH sentence pairs."""
    shapes = [
        (
            _rung(_FRAMES, max(len(side.states) for side in pair)),
            _rung(_WORDS, max(len(side.words) for side in pair)),
        )
        for pair in pairs
    ]
    for shape in sorted(set(shapes)):
        of_shape = (k for k, other in enumerate(shapes) if other == shape)
        while which := list(itertools.islice(of_shape, BATCH)):
            yield shape, which


def _rung(ladder: Sequence[int], least: int) -> int:
    return next((rung for rung in ladder if rung >= least), least)


def _run(
    pairs: Sequence[tuple[PairSide, PairSide]], frames: int, words: int, method: Method
) -> Iterator[WordPairs]:
    ours, theirs = (_Padded([pair[k] for pair in pairs], frames, words, method) for k in (0, 1))
    v, w = ours.words, theirs.words
    matches = word_match.match(*ours.vectors(), *theirs.vectors())
    plans = transport.transport(
        1 - matches.similarity,
        *ours.supply(),
        *theirs.supply(),
        epsilon=method.epsilon,
        tolerance=method.tolerance,
        iterations=method.iterations,
    )
    links = transport.links(plans.plan, *ours.supply(), *theirs.supply(), np.float32(method.threshold))
    shares = attribution.attribution(*ours.carriers(), *theirs.carriers(), words=(words, words))
    similarity, mutual = map(np.asarray, matches)
    plan, error, iterations = map(np.asarray, plans)
    linked, shared = np.asarray(links), [np.asarray(share) for share in shares]
    for k in range(len(pairs)):
        # Shares of frames of no word stand at index `words`, the last, behind padding.
        real = np.ix_([k], range(v[k]), range(w[k]))
        with_gap = np.ix_([k], [*range(v[k]), -1], [*range(w[k]), -1])
        precision, recall, f1 = (share[with_gap][0] for share in shared[:3])
        yield WordPairs(
            similarity=similarity[real][0],
            mutual=mutual[real][0],
            plan=plan[real][0],
            transported=linked[real][0],
            precision=precision,
            recall=recall,
            f1=f1,
            scores=shared[3][k],
            error=float(error[k]),
            iterations=int(iterations[k]),
        )


class _Padded:
    """One side of a batch, as the kernels take it."""

    def __init__(self, sides: Sequence[PairSide], frames: int, words: int, method: Method) -> None:
        width, dtype = sides[0].states.shape[1], sides[0].states.dtype
        self.states = np.zeros((len(sides), frames, width), dtype)
        self.frames = np.asarray([len(side.states) for side in sides], np.int32)
        self.words = np.asarray([len(side.words) for side in sides], np.int32)
        self.intervals = np.zeros((len(sides), words, 2), np.int32)
        self.masses = np.ones((len(sides), words), np.float32)
        self.of_frames = np.full((len(sides), frames), words, np.int32)
        for row, side in enumerate(sides):
            n, v, own = len(side.states), len(side.words), side.words
            self.states[row, :n] = side.states
            # The kernel takes means of intervals; that of one frame is the frame.
            centre = np.stack([own.centre, own.centre], axis=1)
            self.intervals[row, :v] = centre if method.word_vector == "centre" else own.frames
            self.masses[row, :v] = own.frames[:, 1] - own.frames[:, 0] + 1
            self.of_frames[row, :n] = own.of_frames(n, words)

    def vectors(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Arguments of the kernel that compares the vectors of words."""
        return self.states, self.intervals, self.words

    def supply(self) -> tuple[np.ndarray, np.ndarray]:
        """Arguments of transport: a word's mass is its number of frames, as its weight in SeqSim is."""
        return self.masses, self.words

    def carriers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Arguments of the kernel that gives each frame's share of the score to the frame's word."""
        return self.states, self.frames, self.of_frames

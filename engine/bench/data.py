"""Data of the benchmarks: lengths distributed like FLEURS's, random frames, NaN as padding.

FLEURS recordings last 4 to 30 s with a mean of 13 s. Samples of a Beta(1.8, 3.4) over that range are
stratified, one length from each of n equal slices of probability, so that even a few have that mean. Seeds
are fixed.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int, Int32
from scipy import special

SHORTEST, LONGEST = 4.0, 30.0  # seconds
FRAMES_PER_SECOND = 50  # of Whisper; its own module needs Flax, which a machine to be accepted may lack
_BETA = (1.8, 3.4)  # mean 9/26 of the range: 13 s


def rng(seed: int = 0) -> np.random.Generator:
    """Source of a case's numbers."""
    return np.random.default_rng(seed)


def fleurs_frames(count: int, random: np.random.Generator) -> Int32[np.ndarray, " U"]:
    """Numbers of frames of `count` utterances, in random order."""
    # One length of each slice of probability: 16 independent draws would often miss the mean by a second.
    probability = (random.permutation(count) + random.random(count)) / count
    seconds = SHORTEST + (LONGEST - SHORTEST) * special.betaincinv(*_BETA, probability)
    return np.ceil(seconds * FRAMES_PER_SECOND).astype(np.int32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Utterances as a kernel takes them.

    Attributes:
      states: standard normal frames, NaN beyond the frames in use.
      frames: in use, of each.
    """

    states: Float[np.ndarray, "U N D"]
    frames: Int32[np.ndarray, " U"]


def batch(frames: Int[np.ndarray, " U"], features: int, random: np.random.Generator) -> Batch:
    """Utterances of given lengths."""
    shape = (len(frames), int(frames.max()), features)
    states = random.standard_normal(shape, np.float32)
    for u, length in enumerate(frames):
        states[u, length:] = np.nan  # a kernel that reads padding fails its check
    return Batch(states=states, frames=frames.astype(np.int32))


def around_a_mean(
    frames: Sequence[int] | Int[np.ndarray, " U"],
    features: int,
    random: np.random.Generator,
    dtype: npt.DTypeLike,
) -> list[Float[np.ndarray, "_ D"]]:
    """Utterances of given lengths, about a mean as far from zero as frames are from it."""
    mean = random.standard_normal(features, np.float32)
    return [(mean + random.standard_normal((int(n), features), np.float32)).astype(dtype) for n in frames]


def distances(
    n: Int[np.ndarray, " U"], m: Int[np.ndarray, " V"], random: np.random.Generator
) -> Float[np.ndarray, "U V N M"]:
    """Uniform distances of every utterance of A with every one of B, NaN beyond the frames in use."""
    shape = (len(n), len(m), int(n.max()), int(m.max()))
    found = random.random(shape, np.float32)
    for u, length in enumerate(n):
        found[u, :, length:] = np.nan
    for v, length in enumerate(m):
        found[:, v, :, length:] = np.nan
    return found

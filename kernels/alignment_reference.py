"""Definitions of the alignment kernels, as NumPy loops in float64.

Nothing here imports JAX or a kernel, so a shared bug cannot hide. Slow by intent. Arrays come unpadded, one
utterance at a time; the kernels take padded batches of the same.

Source: openai/whisper, timing.py, find_alignment and median_filter.
"""

import numpy as np
from jaxtyping import Float


def softmax(scores: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """exp(score) over the sum of all."""
    weights = np.array([np.exp(float(score) - float(max(scores))) for score in scores])
    return weights / sum(weights)


def standardise(weights: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Less the mean, over the population's standard deviation; zeros where they are all equal."""
    if min(weights) == max(weights):  # a mean may be off by its rounding, which would be blown up
        return np.zeros(len(weights))
    mean = sum(weights) / len(weights)
    deviation = (sum((w - mean) ** 2 for w in weights) / len(weights)) ** 0.5
    return np.array([(w - mean) / deviation for w in weights])


def median_filter(values: Float[np.ndarray, " N"], width: int) -> Float[np.ndarray, " N"]:
    """Median of each value and its width - 1 nearest, reflected at the ends.

    The end itself isn't repeated: before x[0] comes x[1]. A series no longer than width // 2 stays as it is,
    because there is nothing to reflect.
    """
    reach, last = width // 2, len(values) - 1
    if len(values) <= reach:
        return values
    near = [[abs(n + o) for o in range(-reach, reach + 1)] for n in range(len(values))]
    return np.array([sorted(values[m if m <= last else 2 * last - m] for m in ms)[reach] for ms in near])


def attention_matrix(scores: Float[np.ndarray, "A T N"], width: int) -> Float[np.ndarray, "T N"]:
    """Mean over heads of the attention that each token pays to each frame, sharpened and smoothed."""
    heads, tokens, frames = scores.shape
    total = np.zeros((tokens, frames))
    for head in scores:
        weights = np.array([softmax(row) for row in head])
        for n in range(frames):
            weights[:, n] = standardise(weights[:, n])
        total += np.array([median_filter(row, width) for row in weights])
    return total / heads


def first_frames(path: list[tuple[int, int]]) -> list[int]:
    """Frame at which a warping path (row, frame) first meets each row."""
    first: dict[int, int] = {}
    for row, frame in path:
        first.setdefault(row, frame)
    return [first[row] for row in range(len(first))]

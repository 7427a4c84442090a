"""From cross-attention scores to the frame at which each token begins; `alignment_reference` defines it.

Softmax over the frames in use, standardised over tokens, a median filter along frames, the mean over heads;
`dtw.dtw_path` of the negative. Heads go one after the other, so memory is the scores once and a head's worth
of work. Padding may hold anything, NaN included. All runs under jit, on any device.

Source: openai/whisper, timing.py, find_alignment, whose dynamic time warping is wrong on ties; ours isn't.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from isogloss.kernels import dtw

WIDTH = 7  # frames of the median filter
_REACH = WIDTH // 2
# Exchanges that bring the median of seven to place 3. A network that orders every input of zeros and ones
# orders every input, and a test tries them all.
_EXCHANGES = (
    *((0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6)),
    *((2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4)),
)


@jax.jit
def median_filter(values: Float[Array, "B T N"], frames: Int[Array, " B"]) -> Float[Array, "B T N"]:
    """Median of each value and the three on either side, reflected at both ends of the frames in use.

    Values beyond those frames are undefined. A row of at most three frames stays as it is.
    """
    if values.shape[2] <= _REACH:
        return values
    # The front is reflected at a place known when compiling; the end differs by row, so what lies beyond it
    # is set value by value. The end itself isn't repeated.
    inside = values.shape[2] - 1
    before = values[:, :, _REACH:0:-1]
    padded = jnp.concatenate([before, values, jnp.zeros_like(before)], axis=2)
    place = jnp.arange(padded.shape[2])[None, :] - _REACH
    for beyond in range(1, _REACH + 1):
        mirrored = jnp.clip(frames - 1 - beyond, 0, inside)[:, None, None]
        value = jnp.take_along_axis(values, mirrored, axis=2)
        padded = jnp.where((place == frames[:, None] - 1 + beyond)[:, None, :], value, padded)
    # The seven neighbours of every place as seven arrays: exchanges then are minima and maxima of arrays.
    near = [padded[:, :, offset : offset + inside + 1] for offset in range(WIDTH)]
    for low, high in _EXCHANGES:
        near[low], near[high] = jnp.minimum(near[low], near[high]), jnp.maximum(near[low], near[high])
    return jnp.where((frames > _REACH)[:, None, None], near[_REACH], values)


@jax.jit
def attention_matrix(
    scores: Float[np.ndarray | Array, "B A T N"],
    tokens: Int[np.ndarray | Array, " B"],
    frames: Int[np.ndarray | Array, " B"],
) -> Float[Array, "B T N"]:
    """Attention of each token to each frame: mean over heads of standardised, smoothed attention.

    Args:
      scores: of A heads before the softmax, scaled; any float type, computed in float32.
      tokens: rows in use, 1 <= tokens <= T; they are what the standardisation runs over.
      frames: columns in use, 1 <= frames <= N.

    Returns:
      Zeros where all tokens attend equally; NaN beyond tokens and frames, and everywhere in a row of the
      batch whose lengths are out of range or whose scores in use aren't finite.
    """
    batch, heads, rows, columns = scores.shape
    row, column = jnp.arange(rows)[None, :, None], jnp.arange(columns)[None, None, :]
    used = (row < tokens[:, None, None]) & (column < frames[:, None, None])
    # At least 1 even for impossible lengths, whose result is NaN below, so that nothing divides by 0.
    count = jnp.maximum(tokens, 1).astype(jnp.float32)[:, None, None]

    def add(
        carry: tuple[Float[Array, "B T N"], Bool[Array, " B"]], head: Float[Array, "B T N"]
    ) -> tuple[tuple[Float[Array, "B T N"], Bool[Array, " B"]], None]:
        total, sound = carry
        sound &= (jnp.isfinite(head) | ~used).all(axis=(1, 2))  # a maximum may lose a NaN
        # Standardising ignores a frame's scale, so it is taken out before anything can underflow.
        shares = jax.nn.log_softmax(jnp.where(used, head.astype(jnp.float32), -jnp.inf), axis=2)
        most = jnp.where(used, shares, -jnp.inf).max(axis=1, keepdims=True)
        weights = jnp.where(used, jnp.exp(shares - most), 0.0)
        off = jnp.where(used, weights - weights.sum(axis=1, keepdims=True) / count, 0.0)
        deviation = jnp.sqrt(jnp.square(off).sum(axis=1, keepdims=True) / count)
        # No deviation: one token, or all attend alike. Then `off` is 0 already.
        standard = off / jnp.where(deviation > 0, deviation, 1.0)
        return (total + median_filter(standard, frames), sound), None

    start = jnp.zeros((batch, rows, columns), jnp.float32), jnp.ones(batch, bool)
    (total, sound), _ = jax.lax.scan(add, start, jnp.asarray(scores).swapaxes(0, 1))
    sound &= (tokens >= 1) & (tokens <= rows) & (frames >= 1) & (frames <= columns)
    return jnp.where(used & sound[:, None, None], total / heads, jnp.nan)


@functools.partial(jax.jit, static_argnames="skip")
def first_frames(
    matrix: Float[np.ndarray | Array, "B T N"],
    tokens: Int[np.ndarray | Array, " B"],
    frames: Int[np.ndarray | Array, " B"],
    *,
    skip: int = 0,
) -> tuple[Int[Array, "B R"], Bool[Array, " B"]]:
    """(first, tied): the frame at which the best path meets each token, and whether another is as good.

    Args:
      matrix: from `attention_matrix`.
      tokens: rows in use.
      frames: columns in use.
      skip: rows at the front that the path leaves out, a prompt's; R = T - skip.

    Returns:
      first: rows skip .. tokens - 1 of the matrix, -1 beyond, and everywhere if there is no path: a matrix
        in use that isn't finite, lengths out of range, no row left.
      tied: whether two or more paths have the smallest float32 sum; then which of them is taken is a rule
        (diagonal, up, left) and not a finding.
    """
    cost = -jnp.asarray(matrix)[:, skip:].astype(jnp.float32)
    rows = tokens - skip
    path, length, tied = dtw.dtw_path(cost, rows, frames)
    batch, steps, _ = path.shape
    beyond = cost.shape[2]  # larger than any frame, so that a minimum replaces it
    row = jnp.where(jnp.arange(steps)[None, :] < length[:, None], path[:, :, 0], cost.shape[1])
    first = jnp.full((batch, cost.shape[1]), beyond, jnp.int32)
    # The padding of a path goes to a row that isn't there, which "drop" ignores.
    first = first.at[jnp.arange(batch)[:, None], row].min(path[:, :, 1].astype(jnp.int32), mode="drop")
    return jnp.where(first == beyond, -1, first), tied

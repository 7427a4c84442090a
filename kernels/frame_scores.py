"""The scores that compare frames, of all pairs of two batches: the one entry of the grid.

One cosine tile serves the row maxima (precision), the column maxima (recall) and DTW, whose distance is
1 - cosine. Implementations are chosen by name: "numba" on a CPU, "xla" elsewhere. "numba_int8" rounds frames
to eight bits: less exact, faster where the machine multiplies bytes at once (AVX-512 VNNI; without it slower
than "numba"), and without DTW. On a CPU a pair has the same bits whatever else is in the batch.
"""

import functools
from collections.abc import Collection, Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from isogloss.kernels import dtw, seqsim

IMPLEMENTATIONS = ("xla", "numba", "numba_int8")
MEASURES = ("seqsim", "precision", "recall", "dtw")


def default_implementation(platform: str) -> str:
    """Name of the implementation for a JAX platform ("cpu", "gpu", "tpu")."""
    return "numba" if platform == "cpu" else "xla"


def frame_scores(
    x: Float[np.ndarray | Array, "U N D"],
    n: Int[np.ndarray, " U"],
    y: Float[np.ndarray | Array, "V M E"],
    m: Int[np.ndarray, " V"],
    *,
    measures: Collection[str],
    implementation: str,
    dtw_normalise: str = "none",
) -> dict[str, Float[np.ndarray, "U V"]]:
    """Scores of every utterance of A with every one of B, float32, by measure.

    Args:
      x: frames of A, any scale, any float type; padding may hold anything, NaN included.
      n: frames in use, 1 <= n <= N.
      y: frames of B, like x; E is D, or it is refused.
      m: frames in use, 1 <= m <= M.
      measures: of "precision", "recall", "seqsim" (their F1) and "dtw" (a cost: smaller is nearer).
      implementation: one of IMPLEMENTATIONS.
      dtw_normalise: what a DTW cost is divided by, see `dtw.dtw_cost`.

    Returns:
      The measures asked for. NaN where an utterance has a frame in use that is not finite.

    Raises:
      ValueError: an unknown measure, implementation or normalisation, a length out of range, unequal
        features, DTW from rounded frames.
    """
    _check(x, n, y, m, measures, implementation)
    dtw.check_normalise(dtw_normalise)
    maxima = not {"seqsim", "precision", "recall"}.isdisjoint(measures)
    per_cell = dtw_normalise == "path_length"
    found = _computed(
        implementation, x, n, y, m, maxima=maxima, with_dtw="dtw" in measures, per_cell=per_cell
    )
    precision, recall, cost = (np.asarray(scores) for scores in found)
    if dtw_normalise == "length_sum":
        cost = cost / (n[:, None] + m[None, :]).astype(np.float32)
    scores = {"precision": precision, "recall": recall, "dtw": cost}
    if "seqsim" in measures:
        scores["seqsim"] = np.asarray(seqsim.f1(precision, recall))
    return {measure: scores[measure] for measure in measures}


def _computed(
    implementation: str,
    x: Float[np.ndarray | Array, "U N D"],
    n: Int[np.ndarray, " U"],
    y: Float[np.ndarray | Array, "V M D"],
    m: Int[np.ndarray, " V"],
    **wanted: bool,
) -> Iterable[Float[np.ndarray | Array, "U V"]]:
    """Precision, recall and cost."""
    if implementation == "xla":
        return _xla_scores(x, n, y, m, **wanted)
    from isogloss.kernels.cpu import frame_scores, packing  # noqa: PLC0415 Numba takes long to import

    form = packing.BYTES if implementation == "numba_int8" else packing.FLOATS
    return frame_scores.frame_scores(np.asarray(x), n, np.asarray(y), m, **wanted, form=form)


@functools.partial(jax.jit, static_argnames=("maxima", "with_dtw", "per_cell"))
def _xla_scores(
    x: Float[Array, "U N D"],
    n: Int[Array, " U"],
    y: Float[Array, "V M D"],
    m: Int[Array, " V"],
    *,
    maxima: bool,
    with_dtw: bool,
    per_cell: bool,
) -> tuple[Float[Array, "U V"], Float[Array, "U V"], Float[Array, "U V"]]:
    score = functools.partial(_slab_scores, maxima, with_dtw, per_cell)
    return seqsim.for_each_slab(score, x, n, y, m)


def _slab_scores(
    maxima: bool,
    with_dtw: bool,
    per_cell: bool,
    c: Float[Array, "N V M"],
    n: Int[Array, ""],
    m: Int[Array, " V"],
) -> tuple[Float[Array, " V"], Float[Array, " V"], Float[Array, " V"]]:
    nothing = jnp.full(m.shape, jnp.nan, jnp.float32)
    precision, recall = seqsim.maxima(c, n, m) if maxima else (nothing, nothing)
    rows = jnp.broadcast_to(n, m.shape)
    cost = dtw.lanes_cost(1 - c, rows, m, per_cell=per_cell) if with_dtw else nothing
    return precision, recall, cost


def _check(
    x: Float[np.ndarray | Array, "U N D"],
    n: Int[np.ndarray, " U"],
    y: Float[np.ndarray | Array, "V M E"],
    m: Int[np.ndarray, " V"],
    measures: Collection[str],
    implementation: str,
) -> None:
    """Refuse what would only fail, or mislead, once compiled."""
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation must be one of {IMPLEMENTATIONS}, got {implementation!r}")
    if unknown := sorted(set(measures) - set(MEASURES)):
        raise ValueError(f"measures must be among {MEASURES}, got {unknown}")
    if implementation == "numba_int8" and "dtw" in measures:
        raise ValueError(
            "numba_int8 has no dtw, because a path adds up the errors of its cells. Remedy: another one"
        )
    if not measures:
        raise ValueError(f"name at least one measure of {MEASURES}")
    if x.shape[2] != y.shape[2]:
        raise ValueError(f"A has {x.shape[2]} features and B {y.shape[2]}: not of one model")
    for name, lengths, frames in (("n", n, x.shape[1]), ("m", m, y.shape[1])):
        for u, length in enumerate(lengths.tolist()):
            if not 1 <= length <= frames:
                rule = f"frames in use must lie in [1, {frames}], the padded length"
                raise ValueError(f"{rule}; {name}[{u}] is {length}")

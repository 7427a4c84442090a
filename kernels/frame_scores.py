"""The scores that compare frames, of all pairs of two batches: the one entry of the grid.

One cosine tile serves the row maxima (precision), the column maxima (recall) and DTW, whose
distance is 1 - cosine. Implementations are chosen by name: "numba" on a CPU, "xla" elsewhere,
where "pallas" is there to be asked for on a GPU. "numba_int8" and "xla_int8" round frames to
eight bits: less exact, faster where the machine multiplies bytes at once (on a CPU, AVX-512 VNNI;
without it slower than "numba"), and they know no DTW.
A pair's scores on a CPU are the same bits whatever else is in the batch.
"""

import functools
from collections.abc import Collection

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from isogloss.kernels import dtw, seqsim, seqsim_int8

IMPLEMENTATIONS = ("xla", "numba", "pallas", "xla_int8", "numba_int8")
MEASURES = ("seqsim", "precision", "recall", "dtw")


def default_implementation(platform: str) -> str:
    """Name of the implementation for a JAX platform ("cpu", "gpu", "tpu").

    Not "pallas" on a GPU as long as nobody has seen it run there.
    """
    return "numba" if platform == "cpu" else "xla"


def frame_scores(
    x: Float[np.ndarray | Array, "U N D"],
    n: Int[np.ndarray, " U"],
    y: Float[np.ndarray | Array, "V M E"],
    m: Int[np.ndarray, " V"],
    *,
    measures: Collection[str],
    implementation: str,
    interpret: bool = False,
) -> dict[str, Float[np.ndarray, "U V"]]:
    """Scores of every utterance of A with every one of B, float32, by measure.

    Args:
      x: frames of A, any scale, any float type; padding may hold anything, NaN included.
      n: frames in use, 1 <= n <= N.
      y: frames of B, like x; E is D, or it is refused.
      m: frames in use, 1 <= m <= M.
      measures: of "precision", "recall", "seqsim" (their F1) and "dtw" (a cost: smaller is nearer).
      implementation: one of IMPLEMENTATIONS.
      interpret: run "pallas" without a GPU, slowly, as tests do.

    Returns:
      The measures asked for. NaN where an utterance has a frame in use that is not finite.

    Raises:
      ValueError: an unknown measure or implementation, a length out of range, unequal features,
        "pallas" without a GPU, DTW from rounded frames.
    """
    _check(x, n, y, m, measures, implementation)
    maxima = not {"seqsim", "precision", "recall"}.isdisjoint(measures)
    wanted = {"maxima": maxima, "dtw": "dtw" in measures}
    if implementation.startswith("numba"):
        from isogloss.kernels.cpu import frame_scores as frame_scores_numba, packing  # noqa: PLC0415 takes long to import

        form = packing.BYTES if implementation == "numba_int8" else packing.FLOATS
        found = frame_scores_numba.frame_scores(np.asarray(x), n, np.asarray(y), m, **wanted, form=form)
    elif implementation == "pallas":
        from isogloss.kernels import dtw_pallas, frame_scores_pallas  # noqa: PLC0415 a second to import

        chosen = {"blocks": dtw_pallas.blocks_here(interpret=interpret), "interpret": interpret}
        found = frame_scores_pallas.frame_scores(x, n, y, m, **wanted, **chosen)
    elif implementation == "xla_int8":
        found = (*seqsim_int8.seqsim(x, n, y, m), np.float32(np.nan))
    else:
        found = _xla_scores(x, n, y, m, **wanted)
    precision, recall, cost = (np.asarray(scores) for scores in found)
    scores = {"precision": precision, "recall": recall, "dtw": cost}
    if "seqsim" in measures:
        scores["seqsim"] = _f1(precision, recall)
    return {measure: scores[measure] for measure in measures}


@functools.partial(jax.jit, static_argnames=("maxima", "dtw"))
def _xla_scores(
    x: Float[Array, "U N D"],
    n: Int[Array, " U"],
    y: Float[Array, "V M D"],
    m: Int[Array, " V"],
    *,
    maxima: bool,
    dtw: bool,
) -> tuple[Float[Array, "U V"], Float[Array, "U V"], Float[Array, "U V"]]:
    return seqsim.for_each_slab(functools.partial(_slab_scores, maxima, dtw), x, n, y, m)


def _slab_scores(
    maxima: bool, with_dtw: bool, c: Float[Array, "N V M"], n: Int[Array, ""], m: Int[Array, " V"]
) -> tuple[Float[Array, " V"], Float[Array, " V"], Float[Array, " V"]]:
    nothing = jnp.full(m.shape, jnp.nan, jnp.float32)
    precision, recall = seqsim.maxima(c, n, m) if maxima else (nothing, nothing)
    rows = jnp.broadcast_to(n, m.shape)
    return precision, recall, dtw.lanes_cost(1 - c, rows, m) if with_dtw else nothing


def _f1(precision: Float[np.ndarray, "U V"], recall: Float[np.ndarray, "U V"]) -> Float[np.ndarray, "U V"]:
    """`seqsim.f1` on the host."""
    total = precision + recall
    return np.where(total == 0, 0, 2 * precision * recall / np.where(total == 0, 1, total))


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
    if implementation.endswith("int8") and "dtw" in measures:
        raise ValueError(
            f"{implementation} knows no dtw: a path adds up the errors of its cells. Remedy: another one"
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

"""The scores that compare frames, of all pairs of two batches: the one entry of the grid.

One cosine tile serves the row maxima (precision), the column maxima (recall), DTW and transport, whose
distance is 1 - cosine. Implementations are chosen by name: "numba" on a CPU, "xla" elsewhere. Both are as
exact as float32. "numba_int8" rounds frames to eight bits: less exact, faster where the machine multiplies
bytes at once (AVX-512 VNNI; without it slower than "numba"), and for maxima only. "xla_bfloat16" rounds
frames to bfloat16, which saves products where frames are float32, or where the device is a TPU. A pair has
the same bits whatever else is in a batch of equal padded lengths; by "numba" at any padded lengths, by "xla"
at these alone. So in a grid of "xla", whose groups are padded to their longest utterance, last bits may
follow the utterances that share a group.
"""

import functools
from collections.abc import Collection, Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int

from isogloss.kernels import dtw, operands, pair_table, seqsim
from isogloss.kernels.operands import Operand

IMPLEMENTATIONS = ("xla", "xla_bfloat16", "numba", "numba_int8")
MEASURES = ("seqsim", "precision", "recall", "dtw", "transport", "transport_error")
OF_DISTANCES = MEASURES[3:]
TRANSPORT = MEASURES[4:]


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
      measures: of "precision", "recall", "seqsim" (their F1), "dtw" and "transport" (costs: smaller is
        nearer), and "transport_error", how far the latter's iterations are from their end.
      implementation: one of IMPLEMENTATIONS.
      dtw_normalise: what a DTW cost is divided by, see `dtw.dtw_cost`.

    Returns:
      The measures asked for. NaN where an utterance has a frame in use that is not finite.

    Raises:
      ValueError: an unknown measure, implementation or normalisation, a length out of range, unequal
        features, DTW or transport from rounded frames.
    """
    _check(x, n, y, m, measures, implementation)
    dtw.check_normalise(dtw_normalise)
    # Normalisation by the length of the path needs the kernel's count of cells; other forms divide after it.
    found = _computed(implementation, x, n, y, m, **_wanted(measures, dtw_normalise))
    scores = _by_measure([np.asarray(array) for array in found], n, m, measures, dtw_normalise)
    return {measure: np.asarray(matrix) for measure, matrix in scores.items()}


def compile_for_cpu(measures: Collection[str], implementation: str, dtw_normalise: str) -> None:
    """Compile what `frame_scores` by "numba" or "numba_int8" needs of Numba, or load it where it is kept.

    Arguments as of `frame_scores`. In a fresh process that takes seconds, mostly Python's.
    """
    # Compiled code depends on types and on what is wanted, not on sizes: one frame of one feature does.
    one, length = np.ones((1, 1, 1), np.float32), np.ones(1, np.int32)
    _computed(implementation, one, length, one, length, **_wanted(measures, dtw_normalise))


@functools.partial(jax.jit, static_argnames=("measures", "dtw_normalise", "scan_bytes"))
def operand_scores(
    x: Operand,
    y: Operand,
    *,
    measures: tuple[str, ...],
    dtw_normalise: str = "none",
    scan_bytes: int = pair_table.SCAN_BYTES,
) -> dict[str, Float32[Array, "U V"]]:
    """`frame_scores` in XLA of batches that are on a device already, as operands; nothing is fetched.

    Args:
      x: utterances of A, of the same form as y.
      y: utterances of B.
      measures: as in `frame_scores`.
      dtw_normalise: as there.
      scan_bytes: memory of the distances of one scan of DTW.
    """
    found = pair_table.scores(x, y, **_wanted(measures, dtw_normalise), scan_bytes=scan_bytes)
    scores = _by_measure(found, x.used, y.used, measures, dtw_normalise)
    return {measure: jnp.asarray(matrix) for measure, matrix in scores.items()}


def transport_among(
    x: Float[np.ndarray, "U N D"],
    n: Int[np.ndarray, " U"],
    y: Float[np.ndarray, "V M D"],
    m: Int[np.ndarray, " V"],
    among: Bool[np.ndarray, "U V"],
) -> dict[str, Float[np.ndarray, "U V"]]:
    """TRANSPORT of the pairs in `among`, by "numba"; NaN for the others. Arguments as of `frame_scores`."""
    _check(x, n, y, m, TRANSPORT, "numba")
    from isogloss.kernels.cpu import frame_scores, packing  # noqa: PLC0415 Numba takes long to import

    wanted = {"maxima": False, "with_dtw": False, "per_cell": False, "with_transport": True}
    found = frame_scores.frame_scores(x, n, y, m, **wanted, form=packing.FLOATS, among=among)
    return dict(zip(TRANSPORT, found[3:], strict=True))


def chosen_transport(
    x: Operand, y: Operand, u: Int[Array, " P"], v: Int[Array, " P"]
) -> dict[str, Float32[Array, " P"]]:
    """TRANSPORT in XLA of chosen pairs: of utterance u of A with utterance v of B."""
    return dict(zip(TRANSPORT, pair_table.chosen_transport(x, y, u, v), strict=True))


def _wanted(measures: Collection[str], dtw_normalise: str) -> dict[str, bool]:
    maxima = not {"seqsim", "precision", "recall"}.isdisjoint(measures)
    return {
        "maxima": maxima,
        "with_dtw": "dtw" in measures,
        "per_cell": dtw_normalise == "path_length",
        "with_transport": not set(TRANSPORT).isdisjoint(measures),
    }


def _by_measure(
    found: Iterable[Float[np.ndarray | Array, "U V"]],
    n: Int[np.ndarray | Array, " U"],
    m: Int[np.ndarray | Array, " V"],
    measures: Collection[str],
    dtw_normalise: str,
) -> dict[str, Float[np.ndarray | Array, "U V"]]:
    precision, recall, cost, *transported = found
    if dtw_normalise == "length_sum":
        # Lengths become float32 first, or NumPy would promote the cost to float64 and JAX wouldn't.
        cost = cost / (n[:, None] + m[None, :]).astype(np.float32)
    scores = {"precision": precision, "recall": recall, "dtw": cost}
    scores |= zip(TRANSPORT, transported, strict=True)
    if "seqsim" in measures:
        scores["seqsim"] = seqsim.f1(precision, recall)
    return {measure: scores[measure] for measure in measures}


def _computed(
    implementation: str,
    x: Float[np.ndarray | Array, "U N D"],
    n: Int[np.ndarray, " U"],
    y: Float[np.ndarray | Array, "V M D"],
    m: Int[np.ndarray, " V"],
    **wanted: bool,
) -> Iterable[Float[np.ndarray | Array, "U V"]]:
    """Precision, recall, cost, transport and its error."""
    if implementation.startswith("xla"):
        # Sides of different types meet in float32, which holds float16 and bfloat16 exactly.
        dtype = x.dtype if x.dtype == y.dtype else np.dtype(np.float32)
        form = operands.form_for(jax.default_backend(), dtype, implementation)
        return _xla_scores(x.astype(dtype), n, y.astype(dtype), m, form=form, **wanted)
    from isogloss.kernels.cpu import frame_scores, packing  # noqa: PLC0415 Numba takes long to import

    form = packing.BYTES if implementation == "numba_int8" else packing.FLOATS
    return frame_scores.frame_scores(np.asarray(x), n, np.asarray(y), m, **wanted, form=form, among=None)


@functools.partial(jax.jit, static_argnames=("form", "maxima", "with_dtw", "per_cell", "with_transport"))
def _xla_scores(
    x: Float[Array, "U N D"],
    n: Int[Array, " U"],
    y: Float[Array, "V M D"],
    m: Int[Array, " V"],
    *,
    form: str,
    **wanted: bool,
) -> pair_table.Scores:
    left, right = (operands.operand(*side, None, form=form) for side in ((x, n), (y, m)))
    return pair_table.scores(left, right, **wanted)


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
    if implementation == "numba_int8" and (lacking := sorted(set(measures) & set(OF_DISTANCES))):
        raise ValueError(
            f"numba_int8 has no {', '.join(lacking)}: a path adds up the errors of its cells, transport "
            "exponentiates them. Remedy: another one"
        )
    if not measures:
        raise ValueError(f"name at least one measure of {MEASURES}")
    if x.shape[2] != y.shape[2]:
        raise ValueError(f"A has {x.shape[2]} features and B {y.shape[2]}: not of one model")
    if not x.shape[2]:
        raise ValueError("frames have no features: nothing can be compared")
    # Compiled code checks no index: a length beyond the padding would read memory of others.
    for name, lengths, frames in (("n", n, x.shape[1]), ("m", m, y.shape[1])):
        for u, length in enumerate(lengths.tolist()):
            if not 1 <= length <= frames:
                rule = f"frames in use must lie in [1, {frames}], the padded length"
                raise ValueError(f"{rule}; {name}[{u}] is {length}")

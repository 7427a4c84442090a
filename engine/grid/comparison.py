"""Scores of utterances given as arrays of frames, for notebooks: no store, no grid.

The scores are those of the grid job of a store in float32. The first call of a kernel compiles it, which
takes seconds. On accelerators every device holds both lists at one state.
"""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
import xarray as xr
from jaxtyping import Float32

from isogloss.engine.grid.grid_config import DTW_NORMALISATIONS, IMPLEMENTATIONS
from isogloss.engine.grid.measures import MEASURES, choose, with_errors
from isogloss.engine.grid.scorers import Scorer, scorer
from isogloss.engine.runtime.refusal import Refusal
from isogloss.kernels import frame_scores

Frames = np.ndarray | jax.Array | xr.DataArray
_AXES = ("state", "frame", "feature")
_NO_STATE = ("",)  # of arrays without that axis


def compare(
    x: Frames | Sequence[Frames],
    y: Frames | Sequence[Frames],
    measures: str | Sequence[str] = ("seqsim",),
    *,
    remove_language_mean: bool = False,
    dtw_normalise: str = "none",
    implementation: str = "auto",
) -> xr.Dataset:
    """Scores of every utterance of x with every utterance of y: a variable (a, b) for each measure.

    An utterance is an array (frame, feature) of any length without padding, or a result of `encode`; with
    states, scores are (state, a, b). A single utterance has no axis. Lists of arrays with distinct names, as
    `encode` gives files, are labelled by these names, others by number.

    Args:
      x: queries.
      y: candidates.
      measures: one name or several: "seqsim" (F1), its "precision" and "recall", "meanpool", "dtw" (a cost),
        "transport" (a cost, with its "transport_error").
      remove_language_mean: subtract from every frame the mean of its list, as the grid job does.
      dtw_normalise: divisor of DTW costs: "none", "path_length" (cells of the path) or "length_sum" (frames
        of both).
      implementation: implementation of the frame kernels; auto: numba on a CPU, else xla.

    Raises:
      Refusal: unknown measure, no utterance, or arrays that can't be compared; the message names them.
    """
    measures = (measures,) if isinstance(measures, str) else measures
    _check(measures, implementation, dtw_normalise)
    queries, candidates = _utterances(x, "x"), _utterances(y, "y")
    states = _common_states([*queries, *candidates])
    if implementation == "auto":
        implementation = frame_scores.default_implementation(jax.default_backend())
    arrays = with_errors(measures)
    by = scorer(arrays, implementation, dtw_normalise=dtw_normalise, remove_mean=remove_language_mean)
    scores = [_scores(by, queries, candidates, state) for state in states]
    axes = {"state": list(states), "a": _labels(queries), "b": _labels(candidates)}
    variables = {name: _variable(name, tuple(axes), scores) for name in arrays}
    several = {"state": states != _NO_STATE, "a": isinstance(x, Sequence), "b": isinstance(y, Sequence)}
    return xr.Dataset(variables, axes).isel({axis: 0 for axis in axes if not several[axis]}, drop=True)


def _check(measures: Sequence[str], implementation: str, dtw_normalise: str) -> None:
    """Refuse names that aren't among the choices."""
    choose(measures)
    given = (
        ("implementation", implementation, IMPLEMENTATIONS),
        ("dtw_normalise", dtw_normalise, DTW_NORMALISATIONS),
    )
    for name, value, choices in given:
        if value not in choices:
            raise Refusal(f"{name} must be one of {', '.join(choices)}; got {value!r}")


def _variable(
    measure: str, axes: tuple[str, ...], scores: Sequence[Mapping[str, Float32[np.ndarray, "U V"]]]
) -> tuple[tuple[str, ...], Float32[np.ndarray, "S U V"], dict[str, str]]:
    """Axes, values and attributes of a measure, from its scores by state."""
    attributes = {"long_name": MEASURES[measure].described, "units": "1"}
    return axes, np.stack([by_measure[measure] for by_measure in scores]), attributes


def _utterances(given: Frames | Sequence[Frames], name: str) -> list[xr.DataArray]:
    """Checked utterances as arrays (state, frame, feature)."""
    if not isinstance(given, Sequence):
        return [_utterance(given, name)]
    if not given:
        raise Refusal(f"{name}: an empty list; give at least one utterance")
    return [_utterance(frames, f"{name}[{i}]") for i, frames in enumerate(given)]


def _utterance(frames: Frames, name: str) -> xr.DataArray:
    labelled = isinstance(frames, xr.DataArray)
    array = frames if labelled else xr.DataArray(np.asarray(frames))
    if not labelled and array.ndim == 2:
        array = array.rename(dict(zip(array.dims, _AXES[1:], strict=True)))
    if set(array.dims) - {"state"} != set(_AXES[1:]):
        wanted = "(frame, feature), or a labelled array with the axes state, frame, feature"
        raise Refusal(f"{name}: an utterance is an array {wanted}; this has {array.dims} {array.shape}")
    if not array.size:
        raise Refusal(f"{name}: an utterance has at least one frame; this has the shape {array.shape}")
    if "state" not in array.dims:
        array = array.drop_vars("state", errors="ignore").expand_dims(state=list(_NO_STATE))
    with np.errstate(over="ignore"):  # infinity is refused
        array = array.transpose(*_AXES).astype(np.float32)
    if not np.isfinite(array.values).all():
        remedy = 'drop frames beyond its own, as array.dropna("frame") does'
        raise Refusal(f"{name}: frames of an utterance are finite, these hold NaN or infinity; {remedy}")
    return array


def _common_states(utterances: Sequence[xr.DataArray]) -> tuple[str, ...]:
    """States of all utterances; Refusal if states or numbers of features differ."""
    first, *others = ((tuple(u.state.values.tolist()), u.sizes["feature"]) for u in utterances)
    for states, features in others:
        if features != first[1]:
            raise Refusal(f"arrays have {first[1]} and {features} features, so they are of different models")
        if states != first[0]:
            described = [", ".join(names) or "none" for names in (first[0], states)]
            raise Refusal(f"arrays must have the same states; one has {described[0]}, another {described[1]}")
    return first[0]


def _scores(
    by: Scorer, queries: Sequence[xr.DataArray], candidates: Sequence[xr.DataArray], state: str
) -> dict[str, Float32[np.ndarray, "U V"]]:
    """Scores at one state, by measure; what they take on devices is freed behind them."""
    return by.start(*(by.place(_of_state(side, state)) for side in (queries, candidates)))()


def _of_state(utterances: Sequence[xr.DataArray], state: str) -> list[Float32[np.ndarray, "_ D"]]:
    return [np.ascontiguousarray(utterance.sel(state=state).values) for utterance in utterances]


def _labels(utterances: Sequence[xr.DataArray]) -> list[str] | list[int]:
    """Names of the arrays if all have distinct names, else numbers."""
    names = [str(utterance.name) for utterance in utterances if utterance.name is not None]
    return names if len(set(names)) == len(utterances) else list(range(len(utterances)))

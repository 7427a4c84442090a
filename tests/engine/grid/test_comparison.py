"""`compare` beside the float64 reference, of ragged arrays of any kind."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from isogloss.engine import compare
from isogloss.engine.grid.measures import MEASURES
from isogloss.engine.runtime.refusal import Refusal
from isogloss.kernels import reference

EVERY = tuple(name for name, measure in MEASURES.items() if measure.retrieves)


def utterances(seed, lengths, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, 5)).astype(dtype) for n in lengths]


def check(found, x, y):
    """A cosine of 5 float32 features is off by some 5 * 2**-24; a DTW path adds up to 20 of them.

    F1 divides errors of P and R by P + R, which is over 0.3 here. A new measure is among EVERY, too, and
    needs its definition in `reference.MEASURES`.
    """
    for measure in found.data_vars:
        value = reference.MEASURES[measure](x.astype(np.float64), y.astype(np.float64))
        # Transport exponentiates errors of cosines, 20 times as large.
        slack = {"dtw": 2e-5, "transport": 2e-5, "transport_error": 2e-5}.get(measure, 4e-6)
        assert float(found[measure]) == pytest.approx(value, rel=4e-6, abs=slack), measure


@pytest.mark.parametrize("implementation", ["auto", "xla"])
def test_lists_of_ragged_arrays_give_every_score(implementation):
    x, y = utterances(0, (1, 7, 3)), utterances(1, (4, 9))
    found = compare(x, y, EVERY, implementation=implementation)
    assert dict(found.sizes) == {"a": 3, "b": 2}
    assert list(found.data_vars) == list(MEASURES)
    assert found.dtw.attrs["long_name"].endswith("smaller is closer")
    for i, a in enumerate(x):
        for j, b in enumerate(y):
            check(found.sel(a=i, b=j), a, b)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int64, jnp.asarray, xr.DataArray])
def test_two_arrays_of_any_kind_give_scalars(kind):
    x, y = ((3 * frames).round() for frames in (*utterances(2, (6,)), *utterances(3, (8,))))
    if kind is xr.DataArray:
        given = [xr.DataArray(x, dims=("frame", "feature")), xr.DataArray(y.T, dims=("feature", "frame"))]
    else:
        given = [frames.astype(kind) if isinstance(kind, type) else kind(frames) for frames in (x, y)]
    found = compare(*given, EVERY)
    assert not found.dims
    check(found, x, y)


def test_a_dtw_cost_may_be_divided():
    x, y = utterances(2, (6,)), utterances(3, (8, 3))
    plain = compare(x, y, ["dtw"]).dtw
    divided = compare(x, y, ["dtw"], dtw_normalise="length_sum").dtw
    np.testing.assert_allclose(divided, plain / np.array([[14, 9]]), rtol=1e-6)
    with pytest.raises(ValueError, match="steps"):
        compare(x, y, ["dtw"], dtw_normalise="steps")


def test_one_against_many():
    [x], y = utterances(4, (5,)), utterances(5, (6, 2))
    assert compare(x, y).seqsim.dims == ("b",)
    assert compare(y, x).seqsim.dims == ("a",)
    np.testing.assert_allclose(compare(x, y).seqsim, compare(y, x).seqsim, rtol=1e-6)


def labelled(frames, name, states=("0", "final")):
    array = np.stack([frames, 2 * frames - 1])
    return xr.DataArray(array, dims=("state", "frame", "feature"), coords={"state": list(states)}, name=name)


def test_arrays_with_states_are_compared_state_by_state():
    x, y = utterances(6, (4, 6)), utterances(7, (5, 3))
    a = [labelled(frames, name) for frames, name in zip(x, ("p.wav", "q.wav"), strict=True)]
    b = [labelled(frames, "states") for frames in y]
    found = compare(a, b, EVERY)
    assert found.seqsim.dims == ("state", "a", "b")
    check(found.sel(state="0", a="q.wav", b=0), x[1], y[0])
    check(found.sel(state="final", a="p.wav", b=1), 2 * x[0] - 1, 2 * y[1] - 1)
    assert compare(a[0], b[0]).seqsim.dims == ("state",)
    one = compare([array.sel(state="final") for array in a], b[0].sel(state="final"), EVERY)
    xr.testing.assert_equal(
        one.sel(a="q.wav"), found.sel(state="final", a="q.wav", b=0).drop_vars(["state", "b"])
    )


def test_a_mean_is_removed_list_by_list():
    x, y = utterances(8, (4, 6)), utterances(9, (5, 3))
    found = compare(x, y, EVERY, remove_language_mean=True)
    centred = [reference.remove_language_mean([f.astype(np.float64) for f in frames]) for frames in (x, y)]
    check(found.sel(a=1, b=0), centred[0][1], centred[1][0])


def test_a_long_mean_is_removed_from_short_floats_without_loss():
    """100 times as long as the rest of a frame; taken out after a product of 16 bits it would cost 1e-4."""
    rng = np.random.default_rng(10)
    x, y = (
        [(100 * mean + rng.standard_normal((6, 64))).astype(np.float16) for _ in range(3)]
        for mean in rng.standard_normal((2, 64))
    )
    centred = [reference.remove_language_mean([f.astype(np.float64) for f in frames]) for frames in (x, y)]
    found = compare(x, y, "precision", remove_language_mean=True, implementation="xla").precision
    exact = [[reference.seqsim(a, b)[0] for b in centred[1]] for a in centred[0]]
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5)


def test_numbers_of_any_type_are_taken():
    x = utterances(11, (4,))[0]
    assert compare(x.astype(object), X, "seqsim").equals(compare(x, X, "seqsim"))


X = np.ones((3, 5), np.float32)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([], X, "x: an empty list"),
        (X, [X, X[0]], r"y\[1\]: an utterance is an array \(frame, feature\).*\(5,\)"),
        (np.ones((2, 3, 5)), X, r"x: an utterance is an array .*\(2, 3, 5\)"),
        (xr.DataArray(X, dims=("time", "feature")), X, r"x: .*this has \('time', 'feature'\)"),
        (X[:0], X, r"x: an utterance has at least one frame.*\(0, 5\)"),
        (X, np.where(X > 0, np.nan, X), r'y: frames of an utterance are finite.*dropna\("frame"\)'),
        (X, X.astype(np.float64) * 1e39, "y: frames of an utterance are finite"),
        (X, X[:, :4], "arrays have 5 and 4 features, so they are of different models"),
        (labelled(X, "x"), labelled(X, "y", ("1", "2")), "one has 0, final, another 1, 2"),
        (labelled(X, "x"), X, "one has 0, final, another none"),
    ],
)
def test_what_cannot_be_compared_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        compare(x, y)


def test_unknown_measures_are_refused():
    with pytest.raises(ValueError, match="each once; got cka"):
        compare(X, X, ("cka",))


def test_one_measure_needs_no_list():
    assert compare(X, X, "dtw").equals(compare(X, X, ["dtw"]))


def test_a_zero_frame_is_like_nothing():
    assert float(compare(np.zeros((2, 5)), X).seqsim) == 0


@pytest.mark.parametrize("option", ["implementation", "dtw_normalise"])
def test_a_choice_that_is_none_is_refused(option):
    with pytest.raises(Refusal, match=f"{option} must be one of .*; got 'bogus'"):
        compare(np.ones((2, 3)), np.ones((2, 3)), **{option: "bogus"})

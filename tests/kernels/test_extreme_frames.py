"""float16 frames at the ends of their range: the largest, subnormal ones, zeros, one frame, NaN.

Of every implementation that is as exact as float32, and of XLA's in each form that frames may have there:
multiplied as they are stored, or in parts, with a language's mean to be taken out or without.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from isogloss.kernels import frame_scores, operands, reference
from ragged_batches import cosines, padded

D, N = 1280, 5  # features of the largest Whisper, so that sums of squares are the largest that occur
MEASURES = ("seqsim", "precision", "recall", "dtw")
LARGEST, SMALLEST = float(np.finfo(np.float16).max), float(np.finfo(np.float16).smallest_subnormal)
BOUND = 1e-5  # of a score, and of a cost over the cost


def utterances(seed):
    """Frames of the largest numbers, of subnormal ones, of both, of zeros, and one frame alone."""
    rng = np.random.default_rng(seed)
    signs = lambda n: rng.choice([-1.0, 1.0], (n, D))  # noqa: E731
    # From once to three times the smallest number there is: less than two bits of each are left.
    subnormal = lambda n: SMALLEST * rng.integers(-3, 4, (n, D))  # noqa: E731
    both = np.where(rng.random((N, D)) < 0.5, LARGEST * signs(N), subnormal(N))
    frames = [
        LARGEST * signs(4),
        subnormal(3),
        both,
        np.zeros((2, D)),
        np.concatenate([np.zeros((1, D)), subnormal(1), LARGEST * signs(1)]),
        rng.standard_normal((1, D)),
    ]
    stored = [of_one.astype(np.float16) for of_one in frames]
    assert all(np.isfinite(of_one).all() for of_one in stored)
    assert (stored[1] != 0).any()
    assert np.abs(stored[1]).max() < np.finfo(np.float16).smallest_normal
    return stored


def check(found, xs, ys):
    """Scores of every pair against float64."""
    for u, a in enumerate(xs):
        for v, b in enumerate(ys):
            c = cosines(a, b)
            expected = {"precision": c.max(axis=1).mean(), "recall": c.max(axis=0).mean()}
            expected["seqsim"] = reference.f1(expected["precision"], expected["recall"])
            for measure, value in expected.items():
                assert abs(found[measure][u, v] - value) <= BOUND, (measure, u, v)
            cost = reference.dtw_cost(1 - c)
            assert abs(found["dtw"][u, v] - cost) <= BOUND * cost, (u, v)


@pytest.mark.parametrize("implementation", ["numba", "xla"])
def test_as_stored(implementation):
    xs, ys = utterances(0), utterances(1)
    given = *padded(xs, N, dtype=np.float16), *padded(ys, N, dtype=np.float16)
    check(frame_scores.frame_scores(*given, measures=MEASURES, implementation=implementation), xs, ys)


@pytest.mark.parametrize("centred", [False, True], ids=["as they are", "less the mean"])
@pytest.mark.parametrize("form", ["stored", "split"])  # of GPUs, of TPUs
def test_on_matrix_units(form, centred):
    xs, ys = utterances(2), utterances(3)
    rng = np.random.default_rng(4)
    means = [jnp.asarray(100 * rng.standard_normal(D), jnp.float32) if centred else None for _ in range(2)]
    x, y = (
        operands.operand(*map(jnp.asarray, padded(side, N, dtype=np.float16)), mean, form=form)
        for side, mean in zip((xs, ys), means, strict=True)
    )
    assert {part.dtype for part in x.parts} == {jnp.dtype("float16" if form == "stored" else "bfloat16")}
    found = frame_scores.operand_scores(x, y, measures=MEASURES)
    xs, ys = (
        [of_one.astype(np.float64) - (0 if mean is None else np.asarray(mean)) for of_one in side]
        for side, mean in zip((xs, ys), means, strict=True)
    )
    check({measure: np.asarray(matrix) for measure, matrix in found.items()}, xs, ys)


@pytest.mark.parametrize("implementation", ["numba", "xla"])
def test_a_number_that_is_none_or_infinite_makes_its_pairs_nan(implementation):
    """Of float16 frames, whose products with the largest numbers stay finite."""
    xs = utterances(0)
    xs[0][3, 7], xs[5][0, D - 1] = np.nan, -np.inf
    x, n = padded(xs, N, dtype=np.float16)
    y, m = padded(utterances(1), N, dtype=np.float16)
    found = frame_scores.frame_scores(x, n, y, m, measures=MEASURES, implementation=implementation)
    for matrix in found.values():
        np.testing.assert_array_equal(np.isnan(matrix).all(axis=1), [True] + [False] * 4 + [True])
        assert np.isfinite(matrix[1:5]).all()


@pytest.mark.parametrize("centred", [False, True], ids=["as they are", "less the mean"])
@pytest.mark.parametrize("form", ["stored", "split"])
def test_so_it_does_in_each_form_of_matrix_units(form, centred):
    xs, ys = utterances(0), utterances(1)
    xs[0][3, 7], xs[5][0, D - 1] = np.nan, -np.inf
    mean = jnp.ones(D, jnp.float32) if centred else None
    x, y = (
        operands.operand(*map(jnp.asarray, padded(side, N, dtype=np.float16)), mean, form=form)
        for side in (xs, ys)
    )
    for matrix in frame_scores.operand_scores(x, y, measures=MEASURES).values():
        np.testing.assert_array_equal(np.isnan(matrix).all(axis=1), [True] + [False] * 4 + [True])
        assert np.isfinite(np.asarray(matrix)[1:5]).all()


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_a_number_too_large_for_float32_makes_only_its_own_pairs_nan():
    """Of float64 frames, packed together with their neighbours."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 5, 8)), rng.standard_normal((3, 5, 8))
    y[1, 2, 3] = 1e300
    n, m = np.full(2, 5, np.int32), np.full(3, 5, np.int32)
    found = frame_scores.frame_scores(x, n, y, m, measures=("seqsim",), implementation="numba")
    for matrix in found.values():
        np.testing.assert_array_equal(np.isnan(matrix), [[False, True, False]] * 2)

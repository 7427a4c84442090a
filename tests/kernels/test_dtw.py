"""Every implementation of DTW against kernels.reference."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.kernels import dtw, reference

N, M = 6, 7  # one padded shape, so that a kernel compiles once
# Small integers: sums are exact in float32, so the tests can ask for equality; and ties are
# common, where implementations differ and random floats never look.
shapes = st.tuples(st.integers(1, N), st.integers(1, M))
matrices = arrays(np.float32, shapes, elements=st.integers(0, 3))
batches = st.lists(matrices, min_size=8, max_size=8)
BANDS = [None, 0, 1, 3, 100]


def padded(pairs, shape=(N, M), dtype=np.float32):
    """Stack to (P, N, M) over NaN: a kernel that reads padding cannot pass."""
    out = np.full((len(pairs), *shape), np.nan, dtype)
    for p, d in enumerate(pairs):
        out[p, : d.shape[0], : d.shape[1]] = d
    n, m = np.array([d.shape for d in pairs], np.int32).T
    return out, n, m


def integers(rng, sizes):
    return [rng.integers(0, 4, size).astype(np.float32) for size in sizes]


def chosen(implementation):
    """Arguments that name an implementation; Pallas kernels run interpreted."""
    return {"implementation": implementation, "interpret": implementation == "pallas"}


def costs(implementation, *given, **options):
    return np.asarray(dtw.dtw_cost(*given, **options, **chosen(implementation)))


def paths(implementation, *given, **options):
    path, length = dtw.dtw_path(*given, **options, **chosen(implementation))
    path, length = np.asarray(path), np.asarray(length)
    for cells, used in zip(path, length, strict=True):
        assert (cells[used:] == -1).all()
    return [[tuple(cell) for cell in cells[:used].tolist()] for cells, used in zip(path, length, strict=True)]


@pytest.mark.parametrize("implementation", dtw.IMPLEMENTATIONS)
class TestEveryImplementation:
    @settings(max_examples=40)
    @given(batches)
    def test_cost_equals_reference(self, implementation, pairs):
        np.testing.assert_array_equal(
            costs(implementation, *padded(pairs)), [reference.dtw_cost(d) for d in pairs]
        )

    @pytest.mark.parametrize("band", BANDS)
    @settings(max_examples=20)
    @given(batches)
    def test_band_equals_reference(self, implementation, band, pairs):
        """Infinity, where the band admits no path, included."""
        expected = [reference.dtw_cost(d, band=band) for d in pairs]
        np.testing.assert_array_equal(costs(implementation, *padded(pairs), band=band), expected)

    @settings(max_examples=20)
    @given(batches)
    def test_normalised_equals_reference(self, implementation, pairs):
        expected = np.float32([reference.dtw_cost(d, normalise=True) for d in pairs])
        np.testing.assert_array_equal(costs(implementation, *padded(pairs), normalise=True), expected)

    @settings(max_examples=40)
    @given(batches)
    def test_path_equals_reference(self, implementation, pairs):
        """Ties included: the diagonal first, then up, then left."""
        assert paths(implementation, *padded(pairs)) == [reference.dtw_path(d) for d in pairs]

    @settings(max_examples=40)
    @given(batches)
    def test_path_is_optimal(self, implementation, pairs):
        """What lies along the path sums to the cost, exactly, and every step is allowed."""
        for d, cost, path in zip(
            pairs, costs(implementation, *padded(pairs)), paths(implementation, *padded(pairs)), strict=True
        ):
            assert sum(d[cell] for cell in path) == cost
            assert path[0] == (0, 0)
            assert path[-1] == (d.shape[0] - 1, d.shape[1] - 1)
            steps = {(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(path)}
            assert steps <= {(0, 1), (1, 0), (1, 1)}

    @pytest.mark.parametrize("band", [1, 3])
    @settings(max_examples=20)
    @given(batches)
    def test_path_within_band(self, implementation, band, pairs):
        for d, path in zip(pairs, paths(implementation, *padded(pairs), band=band), strict=True):
            fits = abs(d.shape[0] - d.shape[1]) <= band
            assert path == (reference.dtw_path(d, band=band) if fits else [])

    def test_more_pairs_than_lanes_and_longer_than_a_tile(self, implementation):
        rng = np.random.default_rng(0)
        sizes = [(1, 1), (70, 1), (1, 67), (70, 67), *rng.integers(1, 67, (30, 2)).tolist()]
        pairs = integers(rng, sizes)
        given = padded(pairs, (70, 67))
        np.testing.assert_array_equal(costs(implementation, *given), [reference.dtw_cost(d) for d in pairs])
        np.testing.assert_array_equal(
            costs(implementation, *given, band=5), [reference.dtw_cost(d, band=5) for d in pairs]
        )
        assert paths(implementation, *given) == [reference.dtw_path(d) for d in pairs]

    @pytest.mark.parametrize("columns", [1, 7, 8, 9, 16])
    def test_any_padded_width(self, implementation, columns):
        pairs = integers(
            np.random.default_rng(1), [(5, columns), (3, 1), (1, columns), (4, max(1, columns - 1))]
        )
        expected = [reference.dtw_cost(d) for d in pairs]
        np.testing.assert_array_equal(costs(implementation, *padded(pairs, (5, columns))), expected)

    @pytest.mark.parametrize("dtype", [np.float16, np.float64, jnp.bfloat16])
    def test_float_types(self, implementation, dtype):
        pairs = integers(np.random.default_rng(2), [(6, 7), (1, 4), (5, 2)])
        given = padded(pairs, dtype=dtype)
        cost = costs(implementation, *given)
        assert cost.dtype == np.float32
        np.testing.assert_array_equal(cost, [reference.dtw_cost(d) for d in pairs])
        assert paths(implementation, *given) == [reference.dtw_path(d) for d in pairs]

    def test_sums_in_float32(self, implementation):
        """4,000 steps of 1 and more: float16 would stop at 2,048."""
        cost = costs(implementation, np.ones((1, 1, 4000), np.float16), np.int32([1]), np.int32([4000]))
        assert cost[0] == 4000

    def test_real_distances(self, implementation):
        """The cost is a sum of n + m - 1 terms at most, each addition off by EPS of the total."""
        rng = np.random.default_rng(3)
        pairs = [rng.random(size).astype(np.float32) for size in [(40, 30), (17, 50), (50, 50)]]
        expected = np.array([reference.dtw_cost(d) for d in pairs])
        tolerance = np.array([sum(d.shape) for d in pairs]) * np.finfo(np.float32).eps * expected
        assert (np.abs(costs(implementation, *padded(pairs, (50, 50))) - expected) <= tolerance).all()

    def test_nan_in_use(self, implementation):
        """A minimum may lose a NaN; the cost may not. The path is empty then."""
        for cell in [(0, 0), (0, M - 1), (N - 1, 0), (2, 3), (N - 1, M - 1)]:
            d = np.ones((2, N, M), np.float32)
            d[0][cell] = np.nan
            given = d, np.int32([N, N]), np.int32([M, M])
            np.testing.assert_array_equal(np.isnan(costs(implementation, *given)), [True, False])
            assert [len(path) for path in paths(implementation, *given)] == [0, M]

    def test_alone_or_among_others(self, implementation):
        """The same bits for a pair whatever else is in the batch."""
        rng = np.random.default_rng(4)
        d = rng.random((40, 33, 21)).astype(np.float32)
        n, m = rng.integers(1, 34, 40).astype(np.int32), rng.integers(1, 22, 40).astype(np.int32)
        together = costs(implementation, d, n, m)
        for p in (0, 7, 39):
            assert costs(implementation, d[p : p + 1], n[p : p + 1], m[p : p + 1])[0] == together[p]

    @pytest.mark.parametrize("method", [costs, paths])
    def test_negative_band_raises(self, implementation, method):
        one = np.int32([1])
        with pytest.raises(ValueError, match="band"):
            method(implementation, np.ones((1, 1, 1), np.float32), one, one, band=-1)


IMPOSSIBLE = [(0, 3), (3, 0), (N + 1, 1), (1, M + 1), (-1, 2)]


@pytest.mark.parametrize("implementation", ["xla", "pallas"])
@pytest.mark.parametrize(("n", "m"), IMPOSSIBLE)
def test_impossible_lengths_give_nan(implementation, n, m):
    given = np.ones((2, N, M), np.float32), np.int32([n, 2]), np.int32([m, 3])
    np.testing.assert_array_equal(costs(implementation, *given), [np.nan, 3])
    assert [len(path) for path in paths(implementation, *given)] == [0, 3]


class TestXla:
    def test_under_jit(self):
        cost = jax.jit(lambda d, n, m: dtw.dtw_cost(d, n, m, band=2))
        assert cost(np.ones((1, 2, 3), np.float32), np.int32([2]), np.int32([3]))[0] == 3


class TestNumba:
    def test_arrays_of_jax(self):
        """NumPy sees them as read-only, which is another type to Numba."""
        given = jnp.ones((1, 2, 3)), jnp.array([2]), jnp.array([3])
        assert costs("numba", *given) == [3]
        assert paths("numba", *given) == paths("xla", *given)

    @pytest.mark.parametrize("method", [costs, paths])
    @pytest.mark.parametrize(("n", "m"), IMPOSSIBLE)
    def test_impossible_lengths_raise(self, method, n, m):
        given = np.ones((2, N, M), np.float32), np.int32([n, 2]), np.int32([m, 3])
        with pytest.raises(ValueError, match="must lie in"):
            method("numba", *given)

    def test_nothing(self):
        nothing = np.zeros(0, np.int32)
        assert costs("numba", np.zeros((0, 2, 3), np.float32), nothing, nothing).shape == (0,)


@pytest.mark.parametrize(("implementation", "message"), [("cuda", "'cuda'"), ("pallas", "needs a GPU")])
def test_implementation_that_is_not_there_raises(implementation, message):
    given = np.ones((1, 1, 1), np.float32), np.int32([1]), np.int32([1])
    for method in (dtw.dtw_cost, dtw.dtw_path):
        with pytest.raises(ValueError, match=message):
            method(*given, implementation=implementation)


def test_reference_by_enumeration():
    """Every path there is, walked one by one: an oracle that has no recursion to get wrong."""

    def walk(i, j, d):
        if i >= d.shape[0] or j >= d.shape[1]:
            return []
        if (i, j) == (d.shape[0] - 1, d.shape[1] - 1):
            return [d[i, j]]
        steps = ((i + 1, j), (i, j + 1), (i + 1, j + 1))
        return [d[i, j] + rest for step in steps for rest in walk(*step, d)]

    rng = np.random.default_rng(5)
    for shape in [(1, 1), (1, 4), (4, 1), (3, 4), (4, 4)]:
        d = rng.integers(0, 5, shape).astype(np.float64)
        assert reference.dtw_cost(d) == min(walk(0, 0, d))

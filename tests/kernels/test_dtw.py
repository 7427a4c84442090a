"""Every implementation of DTW against kernels.reference."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.kernels import dtw, reference
from ragged_batches import EPS, padded

# Two padded shapes, so that few programs are compiled; the second is more than a register and a block.
P, N, M = 8, 6, 7
LARGE = 34, 70, 67
# Small integers: sums are exact in float32, so the tests can ask for equality; and ties are
# common, where implementations differ and random floats never look.
shapes = st.tuples(st.integers(1, N), st.integers(1, M))
matrices = arrays(np.float32, shapes, elements=st.integers(0, 3))
batches = st.lists(matrices, min_size=P, max_size=P)


def path_sums(distances, i=0, j=0):
    """Sum of every warping path there is, each walked alone: no recurrence that could be wrong."""
    if (i, j) == (distances.shape[0] - 1, distances.shape[1] - 1):
        return [distances[i, j]]
    return [
        distances[i, j] + rest
        for p, q in ((i + 1, j), (i, j + 1), (i + 1, j + 1))
        if p < distances.shape[0] and q < distances.shape[1]
        for rest in path_sums(distances, p, q)
    ]


def cheapest_paths(distances):
    """Number of paths of the least sum."""
    sums = path_sums(distances)
    return sums.count(min(sums))


def integers(rng, sizes):
    return [rng.integers(0, 4, size).astype(np.float32) for size in sizes]


def large(rng):
    """Sizes of LARGE, its corners among them."""
    return [(1, 1), (70, 1), (1, 67), (70, 67), *rng.integers(1, 67, (LARGE[0] - 4, 2)).tolist()]


def costs(implementation, *given, **options):
    return np.asarray(dtw.dtw_cost(*given, implementation=implementation, **options))


def paths(*given):
    path, length, _ = map(np.asarray, dtw.dtw_path(*given))
    for cells, used in zip(path, length, strict=True):
        assert (cells[used:] == -1).all()
    return [[tuple(cell) for cell in cells[:used].tolist()] for cells, used in zip(path, length, strict=True)]


def tied(*given):
    return np.asarray(dtw.dtw_path(*given)[2])


@pytest.mark.parametrize("implementation", dtw.IMPLEMENTATIONS)
class TestCost:
    @pytest.mark.parametrize("normalise", dtw.NORMALISATIONS)
    @given(batches)
    def test_equals_reference(self, implementation, normalise, pairs):
        """Ties decide how many cells the path has."""
        expected = np.float32([reference.dtw_cost(d, normalise) for d in pairs])
        np.testing.assert_array_equal(
            costs(implementation, *padded(pairs, N, M), normalise=normalise), expected
        )

    @pytest.mark.parametrize("normalise", ["none", "path_length"])
    def test_more_pairs_than_lanes_and_longer_than_a_tile(self, implementation, normalise):
        rng = np.random.default_rng(0)
        pairs = integers(rng, large(rng))
        np.testing.assert_array_equal(
            costs(implementation, *padded(pairs, *LARGE[1:]), normalise=normalise),
            np.float32([reference.dtw_cost(d, normalise) for d in pairs]),
        )

    def test_any_padded_width(self, implementation):
        """In XLA a width is a program of its own, and columns have no lanes."""
        for columns in (1, 7, 8, 9, 16) if implementation == "numba" else (1,):
            sizes = [(5, columns), (3, 1), (1, columns), (4, max(1, columns - 1))]
            pairs = integers(np.random.default_rng(1), sizes)
            expected = [reference.dtw_cost(d) for d in pairs]
            np.testing.assert_array_equal(costs(implementation, *padded(pairs, 5, columns)), expected)

    @pytest.mark.parametrize("dtype", [np.float16, np.float64, jnp.bfloat16])
    def test_float_types(self, implementation, dtype):
        pairs = integers(np.random.default_rng(2), [(6, 7), (1, 4), (5, 2)])
        cost = costs(implementation, *padded(pairs, N, M, dtype=dtype))
        assert cost.dtype == np.float32
        np.testing.assert_array_equal(cost, [reference.dtw_cost(d) for d in pairs])

    def test_sums_in_float32(self, implementation):
        """4,000 steps of 1 and more: float16 would stop at 2,048."""
        given = np.ones((1, 1, 4000), np.float16), np.int32([1]), np.int32([4000])
        assert costs(implementation, *given) == 4000

    def test_real_distances(self, implementation):
        """The cost is a sum of n + m - 1 terms at most, each addition off by EPS of the total."""
        rng = np.random.default_rng(3)
        pairs = [rng.random(size).astype(np.float32) for size in large(rng)]
        expected = np.array([reference.dtw_cost(d) for d in pairs])
        tolerance = np.array([sum(d.shape) for d in pairs]) * EPS * expected
        assert (np.abs(costs(implementation, *padded(pairs, *LARGE[1:])) - expected) <= tolerance).all()

    @pytest.mark.parametrize("normalise", dtw.NORMALISATIONS)
    def test_nan_in_use(self, implementation, normalise):
        """A minimum may lose a NaN; the cost may not."""
        got = costs(implementation, *with_nan(), normalise=normalise)
        np.testing.assert_array_equal(np.isnan(got), [True] * 5 + [False] * 3)

    def test_alone_or_among_others(self, implementation):
        """The same bits for a pair whatever else is in the batch."""
        rng = np.random.default_rng(4)
        d = rng.random(LARGE).astype(np.float32)
        n, m = (rng.integers(1, longest + 1, LARGE[0]).astype(np.int32) for longest in LARGE[1:])
        together = costs(implementation, d, n, m)
        for p in (0, 7, 33):
            assert costs(implementation, d[p : p + 1], n[p : p + 1], m[p : p + 1])[0] == together[p]


def with_nan():
    """A NaN in use in the first five pairs, at corners, edges and inside."""
    d = np.ones((P, N, M), np.float32)
    for pair, cell in enumerate([(0, 0), (0, M - 1), (N - 1, 0), (2, 3), (N - 1, M - 1)]):
        d[pair][cell] = np.nan
    return d, np.full(P, N, np.int32), np.full(P, M, np.int32)


class TestPath:
    @given(batches)
    def test_equals_reference(self, pairs):
        """Ties included: the diagonal first, then up, then left. Its cells sum to the cost exactly."""
        given = padded(pairs, N, M)
        found = paths(*given)
        assert found == [reference.dtw_path(d) for d in pairs]
        for d, cost, path in zip(pairs, costs("xla", *given), found, strict=True):
            assert sum(d[cell] for cell in path) == cost
            assert path[0] == (0, 0)
            assert path[-1] == (d.shape[0] - 1, d.shape[1] - 1)
            steps = {(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(path)}
            assert steps <= {(0, 1), (1, 0), (1, 1)}

    def test_of_many_long_pairs(self):
        rng = np.random.default_rng(0)
        pairs = integers(rng, large(rng))
        assert paths(*padded(pairs, *LARGE[1:])) == [reference.dtw_path(d) for d in pairs]

    def test_is_empty_where_a_nan_is_in_use(self):
        assert [len(path) for path in paths(*with_nan())] == [0] * 5 + [M] * 3


class TestTied:
    @given(batches)
    def test_equals_reference(self, pairs):
        """Integers sum exactly, so counts are exact."""
        pairs = [d[:5, :5] for d in pairs]  # 321 paths at most
        expected = [cheapest_paths(d) > 1 for d in pairs]
        np.testing.assert_array_equal(tied(*padded(pairs, N, M)), expected)
        assert [reference.dtw_tied(d) for d in pairs] == expected

    @given(batches)
    def test_where_the_path_has_a_choice(self, pairs):
        """By another definition: some cell of dtw_path has two predecessors of the least sum."""
        given = padded(pairs, N, M)
        for d, cells, got in zip(pairs, paths(*given), tied(*given), strict=True):
            total = reference.dtw_table(d)
            choice = False
            for i, j in cells:
                before = [(p, q) for p, q in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if min(p, q) >= 0]
                sums = sorted(total[cell] for cell in before)
                choice |= len(sums) > 1 and sums[0] == sums[1]
            assert got == choice

    def test_a_tie_off_the_path_does_not_count(self):
        assert not tied(*padded([9 * (1 - np.eye(4, dtype=np.float32))] * P, N, M)).any()

    def test_ties_that_float32_makes(self):
        """Sums that differ in float64 but not as the path adds them are a tie of the path."""
        exact = np.float32([[1, 1], [2, 7]])
        wide = np.float32([[1e8, 1], [2, 7]])  # 1e8 + 1 == 1e8 + 2 == 1e8 in float32
        np.testing.assert_array_equal(tied(*padded([exact, wide] * 4, N, M)), [False, True] * 4)

    def test_random_floats_hardly_tie(self):
        rng = np.random.default_rng(2)
        pairs = [rng.random(size).astype(np.float32) for size in large(rng)]
        assert not tied(*padded(pairs, *LARGE[1:])).any()


IMPOSSIBLE = [(0, 3), (3, 0), (N + 1, 1), (1, M + 1), (-1, 2)]


class TestXla:
    def test_impossible_lengths_give_nan_and_no_path(self):
        n, m = np.int32([*IMPOSSIBLE, *[(2, 3)] * 3]).T
        given = np.ones((P, N, M), np.float32), n, m
        np.testing.assert_array_equal(costs("xla", *given), [np.nan] * 5 + [3] * 3)
        assert [len(path) for path in paths(*given)] == [0] * 5 + [3] * 3
        np.testing.assert_array_equal(tied(*given), [False] * 5 + [True] * 3)

    def test_under_jit(self):
        cost = jax.jit(lambda d, n, m: dtw.dtw_cost(d, n, m, normalise="length_sum"))
        assert cost(np.ones((1, 2, 2), np.float32), np.int32([2]), np.int32([2]))[0] == 0.5


class TestNumba:
    def test_arrays_of_jax(self):
        """NumPy sees them as read-only, which is another type to Numba."""
        assert costs("numba", jnp.ones((1, 2, 3)), jnp.array([2]), jnp.array([3])) == [3]

    @pytest.mark.parametrize(("n", "m"), IMPOSSIBLE)
    def test_impossible_lengths_raise(self, n, m):
        given = np.ones((2, N, M), np.float32), np.int32([n, 2]), np.int32([m, 3])
        with pytest.raises(ValueError, match="must lie in"):
            costs("numba", *given)

    def test_nothing(self):
        nothing = np.zeros(0, np.int32)
        assert costs("numba", np.zeros((0, 2, 3), np.float32), nothing, nothing).shape == (0,)


@pytest.mark.parametrize(
    ("options", "message"), [({"implementation": "cuda"}, "'cuda'"), ({"normalise": "steps"}, "'steps'")]
)
def test_an_unknown_name_raises(options, message):
    with pytest.raises(ValueError, match=message):
        dtw.dtw_cost(np.ones((1, 1, 1), np.float32), np.int32([1]), np.int32([1]), **options)


def test_reference_by_enumeration():
    rng = np.random.default_rng(5)
    for shape in [(1, 1), (1, 4), (4, 1), (3, 4), (4, 4)]:
        d = rng.integers(0, 5, shape).astype(np.float64)
        assert reference.dtw_cost(d) == min(path_sums(d))


def test_every_path_is_walked():
    """As many as there are: the Delannoy numbers, when all cells are equal."""
    for (n, m), many in {(1, 4): 1, (2, 2): 3, (3, 3): 13, (3, 4): 25}.items():
        assert cheapest_paths(np.zeros((n, m))) == many
    assert cheapest_paths(1.0 - np.eye(3)) == 1


def test_reference_divides_by_the_path():
    """Of three cells down the diagonal, among equal paths of up to five."""
    d = np.ones((3, 3))
    assert [reference.dtw_cost(d, normalise) for normalise in dtw.NORMALISATIONS] == [3, 0.5, 1]

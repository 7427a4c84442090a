"""kernels.transport against kernels.word_reference, and OTT-JAX where it is installed."""

import functools

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.kernels import transport, word_reference
from ragged_batches import padded

V, W = 4, 5
EPSILON, TOLERANCE = 0.25, 1e-5
solve = functools.partial(transport.transport, epsilon=EPSILON, tolerance=TOLERANCE, iterations=5000)


@st.composite
def problems(draw):
    """Costs in quarters from 0 to 2, masses in frames."""
    v, w = draw(st.integers(1, V)), draw(st.integers(1, W))
    cost = draw(arrays(np.float32, (v, w), elements=st.sampled_from(np.arange(9) / 4)))
    a, b = (draw(arrays(np.float32, (k,), elements=st.integers(1, 30))) for k in (v, w))
    return cost, a, b


def stacked(*batch):
    costs, give, take = zip(*batch, strict=True)
    return padded(costs, V, W)[0], *padded(give, V), *padded(take, W)


class TestTransport:
    @given(st.lists(problems(), min_size=3, max_size=3))
    def test_small_numbers(self, batch):
        """float64 iterates three times as long; ours is off by what is left to move, plus rounding.

        The optimum moves by at most about (cost / epsilon) times the marginals' error.
        """
        found = solve(*stacked(*batch))
        assert found.plan.dtype == np.float32
        for row, (cost, a, b) in enumerate(batch):
            v, w = cost.shape
            plan = np.asarray(found.plan[row])
            longer = 50 + 3 * int(found.iterations[row])
            want = word_reference.transport(cost, a, b, epsilon=EPSILON, iterations=longer)
            assert found.error[row] <= TOLERANCE
            np.testing.assert_allclose(plan[:v, :w], want, rtol=0, atol=(2 / EPSILON + 2) * TOLERANCE)
            assert not plan[v:].any()
            assert not plan[:, w:].any()

    @given(st.lists(problems(), min_size=3, max_size=3))
    def test_error_is_that_of_the_plan(self, batch):
        """Also where the iterations don't suffice."""
        short = transport.transport(*stacked(*batch), epsilon=0.05, tolerance=1e-7, iterations=2)
        for row, (_, a, b) in enumerate(batch):
            plan = np.asarray(short.plan[row], np.float64)
            given = np.abs(plan.sum(1)[: len(a)] - a / a.sum()).sum()
            taken = np.abs(plan.sum(0)[: len(b)] - b / b.sum()).sum()
            np.testing.assert_allclose(short.error[row], max(given, taken), rtol=0, atol=2e-6)
            assert short.iterations[row] <= 2

    def test_equal_costs_share_in_proportion(self):
        """Without a preference the plan is the product of the masses."""
        a, b = np.float32([1, 3]), np.float32([2, 1, 1])
        found = solve(*stacked((np.full((2, 3), 0.5, np.float32), a, b)))
        np.testing.assert_allclose(found.plan[0, :2, :3], np.outer(a / 4, b / 4), rtol=1e-6)
        assert found.iterations[0] == 1

    def test_one_word_gives_to_all(self):
        cost, b = np.float32([[0, 2, 1]]), np.float32([1, 5, 4])
        for problem in ((cost, b[:1], b), (cost.T, b, b[:1])):
            plan = np.asarray(solve(*stacked(problem)).plan[0])
            np.testing.assert_allclose(plan[plan > 0], b / 10, rtol=1e-6)

    def test_a_sharp_plan_is_the_assignment(self):
        cost = np.float32([[0, 1, 1], [1, 1, 0], [1, 0, 1]])
        given = stacked((cost, np.ones(3, np.float32), np.ones(3, np.float32)))
        found = transport.transport(*given, epsilon=0.01, tolerance=1e-4, iterations=100)
        np.testing.assert_allclose(found.plan[0, :3, :3], (1 - cost) / 3, rtol=0, atol=1e-4)

    def test_transpose_is_the_other_direction(self):
        rng = np.random.default_rng(2)
        cost = rng.random((4, 4)).astype(np.float32)
        a, b = (rng.integers(1, 9, 4).astype(np.float32) for _ in range(2))
        there, back = (solve(*stacked(problem)) for problem in ((cost, a, b), (cost.T, b, a)))
        np.testing.assert_allclose(
            there.plan[0, :4, :4], back.plan[0, :4, :4].T, rtol=0, atol=(2 / EPSILON + 2) * TOLERANCE
        )

    def test_alone_or_among_others(self):
        """A row that needs few iterations is not iterated on with one that needs many."""
        rng = np.random.default_rng(3)
        batch = [
            (
                rng.random((v, w)).astype(np.float32),
                *(rng.integers(1, 20, k).astype(np.float32) for k in (v, w)),
            )
            for v, w in ((k % V + 1, k % W + 1) for k in range(12))
        ]
        together = solve(*stacked(*batch))
        assert len(set(np.asarray(together.iterations).tolist())) > 2
        for row, problem in enumerate(batch):
            alone = solve(*stacked(problem))
            np.testing.assert_array_equal(alone.plan[0], together.plan[row])
            assert alone.iterations[0] == together.iterations[row]

    @pytest.mark.parametrize(("v", "w"), [(0, 2), (V + 1, 2), (2, -1), (2, W + 1)])
    def test_impossible_numbers_of_words_give_nan(self, v, w):
        cost, ones = np.ones((2, V, W), np.float32), np.ones((2, W), np.float32)
        found = solve(cost, ones[:, :V], np.int32([v, 2]), ones, np.int32([w, 2]))
        np.testing.assert_array_equal(np.isnan(found.plan).any(axis=(1, 2)), [True, False])
        np.testing.assert_array_equal(np.isnan(found.error), [True, False])

    @pytest.mark.parametrize(
        ("cost", "mass"), [(1, 0), (1, -1), (1, np.nan), (1, np.inf), (np.nan, 1), (np.inf, 1)]
    )
    def test_masses_and_costs_that_are_not_possible_give_nan(self, cost, mass):
        found = solve(
            *stacked((np.float32([[0, 1], [cost, 1]]), np.float32([1, mass]), np.ones(2, np.float32)))
        )
        assert np.isnan(found.plan).all()
        assert np.isnan(found.error).all()

    def test_equals_ott(self):
        """An independent solver; not a dependency."""
        geometry = pytest.importorskip("ott.geometry.geometry", reason="OTT-JAX is not installed")
        linear = pytest.importorskip("ott.solvers.linear")
        rng = np.random.default_rng(4)
        cost = rng.random((V, W)).astype(np.float32)
        a, b = rng.integers(1, 9, V).astype(np.float32), rng.integers(1, 9, W).astype(np.float32)
        geom = geometry.Geometry(cost, epsilon=EPSILON)
        theirs = linear.solve(geom, a=a / a.sum(), b=b / b.sum(), threshold=1e-6, max_iterations=5000)
        ours = solve(*stacked((cost, a, b)))
        np.testing.assert_allclose(ours.plan[0], theirs.matrix, rtol=0, atol=(2 / EPSILON + 2) * TOLERANCE)


class TestLinks:
    def link(self, plan, a, b, threshold):
        plan, a, b = (np.float32(value)[None] for value in (plan, a, b))
        v, w = np.int32([a.shape[1]]), np.int32([b.shape[1]])
        return np.asarray(transport.links(plan, a, v, b, w, np.float32(threshold))[0])

    def test_one_long_word_to_several_short_ones(self):
        plan = [[0.25, 0.25, 0], [0, 0, 0.5]]
        np.testing.assert_array_equal(
            self.link(plan, [2, 2], [1, 1, 2], 0.9), [[True, True, False], [False, False, True]]
        )

    def test_threshold_is_of_the_most_that_both_could_exchange(self):
        """Masses of 0.5 here, of 0.25 and 0.75 there: at most 0.25 and 0.5."""
        plan = [[0.125, 0.375], [0.125, 0.375]]
        assert self.link(plan, [1, 1], [1, 3], 0.5).all()
        np.testing.assert_array_equal(self.link(plan, [1, 1], [1, 3], 0.6), [[False, True]] * 2)
        assert not self.link(plan, [1, 1], [1, 3], 0.8).any()

    def test_padding_and_plans_of_nan_are_linked_to_nothing(self):
        plan = np.zeros((2, 2, 2), np.float32)
        plan[1] = np.nan
        a = np.float32([[1, np.nan]] * 2)
        found = transport.links(plan, a, np.int32([1, 1]), a, np.int32([1, 1]), np.float32(0))
        np.testing.assert_array_equal(found, [[[True, False], [False, False]], [[False] * 2] * 2])

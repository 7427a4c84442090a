"""Transport between all frames against POT, the exact linear program and the ends of float32's range."""

import jax
import numpy as np
import pytest
from scipy import optimize

from isogloss.kernels import frame_transport, reference
from isogloss.kernels.cpu import transport as cpu_transport
from isogloss.kernels.cpu.llvm_builder import LANES

EPSILON, ITERATIONS = frame_transport.EPSILON, frame_transport.ITERATIONS
_xla = jax.jit(frame_transport.transport)


def on_a_device(c):
    """Of cosines padded with NaN."""
    n, m = c.shape
    padded = np.full((n + 2, m + 3), np.nan, np.float32)
    padded[:n, :m] = c
    return [float(value) for value in _xla(padded, np.int32(n), np.int32(m))]


def on_a_cpu(c):
    n, m = c.shape
    width = -(-m // LANES) * LANES + LANES
    table = np.full((n, width), np.nan, np.float32)
    table[:, :m] = 1 - c
    vectors = np.full((3, max(n, width)), np.nan, np.float32)
    kernel = np.full(table.size + LANES, np.nan, np.float32)
    return cpu_transport.cost(table.reshape(-1), width, n, m, kernel, vectors)


def cosines(seed, n, m):
    return np.random.default_rng(seed).uniform(-1, 1, (n, m)).astype(np.float32)


def cheapest(distances):
    """Cost of the best plan of equal masses: a linear program."""
    n, m = distances.shape
    sums = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    masses = np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)])
    return optimize.linprog(distances.ravel(), A_eq=sums, b_eq=masses, bounds=(0, None)).fun


@pytest.mark.parametrize("transport", [on_a_device, on_a_cpu])
class TestTransport:
    @pytest.mark.deep  # POT takes seconds to import
    def test_equals_pot(self, transport):
        """POT begins with the columns, so it gets the transposed problem, and as many iterations."""
        ot = pytest.importorskip("ot", reason="POT is not installed")
        for c in (cosines(0, 5, 7), cosines(1, 1, 4), cosines(2, 9, 2)):
            distances = (1 - c).astype(np.float64)
            n, m = c.shape
            masses = np.full(m, 1 / m), np.full(n, 1 / n)
            options = {"numItermax": ITERATIONS, "stopThr": 0, "warn": False}
            plan = ot.sinkhorn(*masses, distances.T, EPSILON, **options).T
            error = max(abs(plan.sum(1) - 1 / n).sum(), abs(plan.sum(0) - 1 / m).sum())
            np.testing.assert_allclose(transport(c), [(plan * distances).sum(), error], rtol=0, atol=5e-6)

    def test_between_the_cheapest_plan_and_what_entropy_adds(self, transport):
        """Mass that is misplaced moves at most 2 to where it belongs."""
        for seed in range(5):
            c = cosines(seed, 6, 8)
            cost, error = transport(c)
            best = cheapest(1 - c.astype(np.float64))
            assert best - 2 * error - 1e-6 <= cost <= best + EPSILON * np.log(48) + 2 * error
        same = 2 * np.eye(5, dtype=np.float32) - 1  # a sharp plan is the assignment
        assert transport(same) == pytest.approx([cheapest(1 - same), 0], abs=1e-6)

    @pytest.mark.parametrize(
        ("n", "m"), [pytest.param(1500, 1500, marks=pytest.mark.deep), (1, 1500), (700, 3)]
    )
    def test_nothing_leaves_the_range_of_float32(self, transport, n, m):
        """Costs of 0 and 2 alone, whose kernel is 1 or 4e-18, in blocks that cheap cells can't fill."""
        c = np.full((n, m), -1, np.float32)
        c[: n // 3, : m // 2] = 1
        distances = (1 - c).astype(np.float64)
        u, v, kernel = np.ones(n), np.ones(m), np.exp(-distances / EPSILON)
        for _ in range(ITERATIONS):
            u = 1 / n / (kernel @ v)
            v = 1 / m / (u @ kernel)
        plan = u[:, None] * kernel * v
        error = max(abs(plan.sum(1) - 1 / n).sum(), abs(plan.sum(0) - 1 / m).sum())
        np.testing.assert_allclose(transport(c), [(plan * distances).sum(), error], rtol=1e-4, atol=1e-4)

    def test_a_single_frame_gives_to_all(self, transport):
        c = cosines(3, 1, 6)
        np.testing.assert_allclose(transport(c), [1 - c.mean(), 0], rtol=0, atol=1e-6)

    def test_an_error_that_is_left_is_told(self, transport):
        """That of 40 iterations, not of a plan that has converged."""
        c = cosines(2, 12, 14)
        cost, error = transport(c)
        expected = reference.transport(1 - c.astype(np.float64))
        assert error > 1e-3
        np.testing.assert_allclose([cost, error], expected, rtol=0, atol=5e-6)

    def test_not_finite(self, transport):
        c = cosines(5, 3, 4)
        c[1, 2] = np.nan
        assert np.isnan(transport(c)).all()

"""kernels.bootstrap against plain loops and the law that resampled zeros and ones follow."""

import numpy as np
import pytest
from scipy import stats

from isogloss.kernels import bootstrap


def test_resamples_count_what_is_drawn():
    drawn = np.random.default_rng(bootstrap.SEED).integers(7, size=(bootstrap.RESAMPLES, 7))
    counts = [[row.tolist().count(thing) for thing in range(7)] for row in drawn]
    np.testing.assert_array_equal(bootstrap.resamples(7), counts)


def test_ends_are_attained_values():
    """The 2.5% and the 97.5% point of 2000, whatever their order."""
    values = np.random.default_rng(0).permutation(bootstrap.RESAMPLES)[:, None] * np.array([1.0, -2.0])
    low, high = bootstrap.ends(values)
    assert low.tolist() == [50 - 1, -2 * 1950]
    assert high.tolist() == [1950 - 1, -2 * 50]


@pytest.mark.parametrize(("hit", "n"), [(30, 60), (3, 60), (103, 187)])
def test_intervals_tend_to_the_binomial_law(hit, n):
    """Resampling n zeros and ones is a binomial draw, so its quantiles are known exactly.

    The empirical quantile of 2000 draws misses probability 0.025 by under five standard errors.
    """
    low, high = bootstrap.ends(bootstrap.resamples(n) @ (np.arange(n) < hit).astype(float)[:, None])
    slack = 5 * np.sqrt(0.025 * 0.975 / bootstrap.RESAMPLES)
    for tail, end in ((0.025, low[0]), (0.975, high[0])):
        bounds = stats.binom.ppf([max(tail - slack, 0), min(tail + slack, 1)], n, hit / n)
        assert bounds[0] <= end <= bounds[1]

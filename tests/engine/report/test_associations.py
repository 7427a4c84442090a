"""Association tests against scikit-bio, statsmodels and planted truth."""

import numpy as np
import pytest
import statsmodels.api as sm

from isogloss.engine.report import associations, map_plane
from isogloss.engine.report.associations import logit


def symmetric(rng, size, kinds=()):
    made = rng.choice(kinds, (size, size)) if len(kinds) else rng.normal(size=(size, size))
    made = np.triu(made, 1)
    return made + made.T


def upper(matrix):
    return matrix[np.triu_indices(len(matrix), 1)]


@pytest.fixture
def fewer(monkeypatch):
    monkeypatch.setattr(associations, "PERMUTATIONS", 999)


def test_mantel_is_scikit_bios(fewer, scikit_bio):
    rng = np.random.default_rng(1)
    x, y = symmetric(rng, 12), symmetric(rng, 12)
    y += 0.5 * x
    [found] = associations.associations(y[None], {"x": x})
    theirs, p, _ = scikit_bio.mantel(
        scikit_bio.DistanceMatrix(x - 9 * (np.eye(12) - 1)),  # theirs must not be negative
        scikit_bio.DistanceMatrix(y - 9 * (np.eye(12) - 1)),
        permutations=999,
        seed=1,
    )
    assert found.correlation[0] == pytest.approx(theirs, abs=1e-9)
    assert found.p[0] == pytest.approx(p, abs=0.03)


def test_coefficients_are_those_of_statsmodels(fewer):
    """Also t, of which the partial correlation is a function."""
    rng = np.random.default_rng(2)
    x = {name: symmetric(rng, 9) for name in "abc"}
    y = symmetric(rng, 9) + x["a"] - 0.4 * x["b"]
    found = associations.associations(y[None], x)
    model = sm.OLS(upper(y), sm.add_constant(np.stack([upper(m) for m in x.values()], 1))).fit()
    partial = [each for each in found if each.test == "mrqap"]
    assert [each.predictor for each in partial] == list("abc")
    assert [each.coefficient[0] for each in partial] == pytest.approx(model.params[1:])
    r = np.array([each.correlation[0] for each in partial])
    assert r * np.sqrt(model.df_resid / (1 - r**2)) == pytest.approx(model.tvalues[1:])


def test_mrqap_against_loops(monkeypatch):
    """Double semi-partialing as its authors describe it: a regression for each permutation."""
    monkeypatch.setattr(associations, "PERMUTATIONS", 60)
    rng = np.random.default_rng(3)
    x, z = symmetric(rng, 7), symmetric(rng, 7, [0, 1])
    y = symmetric(rng, 7) + z
    found = associations.associations(y[None], {"x": x, "z": z})[2]
    assert (found.test, found.predictor) == ("mrqap", "x")
    rest = sm.OLS(upper(x), sm.add_constant(upper(z))).fit().resid
    moved = np.zeros((7, 7))
    moved[np.triu_indices(7, 1)] = rest
    moved += moved.T

    def t(values):
        return abs(sm.OLS(upper(y), sm.add_constant(np.stack([values, upper(z)], 1))).fit().tvalues[1])

    drawn = [t(upper(moved[order][:, order])) for order in associations._permutations(7)]
    assert found.p[0] == pytest.approx((1 + sum(each >= t(rest) - 1e-4 for each in drawn)) / 61)


def test_planted_distance_is_found_and_a_confounded_predictor_isn_t(fewer):
    """24 languages on a grid: the response follows the distance, and families are neighbourhoods."""
    rng = np.random.default_rng(4)
    latitude, longitude = (axis.ravel() for axis in np.meshgrid([0.0, 9, 18, 27], np.arange(6) * 12.0))
    far = map_plane.great_circle(longitude, latitude)
    family = np.arange(24) // 6
    kin = (family == family[:, None]).astype(float)
    y = np.stack([-far + 0.1 * symmetric(rng, 24), symmetric(rng, 24)])
    found = {
        (each.test, each.predictor): each for each in associations.associations(y, {"far": far, "kin": kin})
    }
    assert found["mantel", "far"].p[0] == found["mrqap", "far"].p[0] == 0.001
    assert found["mantel", "far"].correlation[0] < -0.95
    assert found["mantel", "kin"].p[0] == 0.001  # through the distance alone
    assert found["mrqap", "kin"].p[0] > 0.05
    assert found["mantel", "far"].p[1] > 0.05


def test_p_is_even_where_there_is_nothing(fewer):
    rng = np.random.default_rng(5)
    y = np.stack([symmetric(rng, 10) for _ in range(400)])
    x = {"x": symmetric(rng, 10), "z": symmetric(rng, 10, [0, 1])}
    for each in associations.associations(y, x):
        # Rows of one matrix of predictors are shared, so the share varies a little more than a binomial.
        assert 0.02 < (each.p <= 0.05).mean() < 0.09
        assert 0.42 < (each.p <= 0.5).mean() < 0.58


def test_what_doesn_t_vary_has_no_test(fewer):
    rng = np.random.default_rng(6)
    x = symmetric(rng, 6)
    y = np.stack([np.zeros((6, 6)), symmetric(rng, 6)])
    found = associations.associations(y, {"x": x, "same": 1 - np.eye(6), "twice": 2 * x})
    assert [(each.test, each.predictor) for each in found] == [
        ("mantel", "x"),
        ("mantel", "twice"),
        ("mrqap", "x"),
        ("mrqap", "twice"),
    ]
    assert np.isnan(found[0].p[0])
    assert found[0].p[1] > 0
    assert np.isnan(found[2].p).all()


def test_logit():
    assert logit(np.array([0.0, 5, 10]), np.array([10.0] * 3)) == pytest.approx([-np.log(21), 0, np.log(21)])

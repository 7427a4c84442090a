"""Planted truth: scores that are sound, meaning, or both, and what remains when one is taken out."""

import types

import numpy as np
import pytest

from isogloss.engine.control import overlap, pair_tables, regression, rules
from isogloss.engine.control.pair_data import PairData

N = 60


def factor(rng, gold):
    return rng.standard_normal((N, N)) + gold * np.eye(N)


@pytest.fixture
def factors():
    rng = np.random.default_rng(0)
    return {"sound": factor(rng, 4), "meaning": factor(rng, 4), "length": -np.abs(factor(rng, 0))}


def recalls(factors, scores):
    """R@1 by scores, of a -> b, of one state."""
    nothing = overlap.Overlap(
        scores=factors["sound"], precision=factors["sound"], recall=factors["sound"],
        closest=np.zeros(N), words=np.full((N, 2), -1),
    )  # fmt: skip
    sentences = tuple(map(str, range(N)))
    data = PairData(
        sentences=sentences, scores={0: scores}, other_scores={}, factors=factors, sound=nothing,
        closest=[("", "")] * N, words=None,
    )  # fmt: skip
    given = types.SimpleNamespace(
        grid=types.SimpleNamespace(states=("6",)),
        against=None,
        states=(0,),
        evidence=rules.Evidence(names={}, numbers={}, named=None, numbered=frozenset()),
    )
    options = pair_tables.Thresholds(alike=0.6, curve=(0.6,), permutations=0)
    _, table, fitted, _ = pair_tables.compute(given, ("a", "b"), data, options)
    rows = table.to_pylist()
    found = {
        row["scores"]: row["recall_at_1"]
        for row in rows
        if row["removed"] == "nothing" and row["direction"] == "a->b"
    }
    return found, {row["factor"]: row["weight"] for row in fitted.to_pylist()}


@pytest.fixture(autouse=True)
def unchecked(monkeypatch):
    """The stand-in for inputs isn't of their type."""
    for name in ("compute", "_marks", "_fits", "_factor_rows", "_control_rows"):
        monkeypatch.setattr(pair_tables, name, getattr(pair_tables, name).__wrapped__, raising=True)


def test_without_sound_a_score_of_sound_is_at_chance(factors):
    noise = 1e-6 * np.random.default_rng(1).standard_normal((N, N))
    found, weights = recalls(factors, 0.8 * factors["sound"] + noise)
    assert found["as they are"] == found["sound alone"] > 0.8
    assert found["without sound"] <= 5 / N  # 1 / N by chance
    assert found["without meaning"] == found["as they are"]
    assert weights["sound"] == pytest.approx(1, abs=1e-3)


def test_without_sound_a_score_of_meaning_is_unchanged(factors):
    noise = 0.5 * np.random.default_rng(2).standard_normal((N, N))
    found, weights = recalls(factors, factors["meaning"] + noise)
    assert abs(found["without sound"] - found["as they are"]) <= 1 / N
    assert found["without meaning"] <= 5 / N
    assert abs(weights["sound"]) < 0.05


def test_planted_weights_with_hubs(factors):
    rng = np.random.default_rng(3)
    scale = {name: regression.centred(each).std() for name, each in factors.items()}
    planted = {"sound": 0.5, "meaning": 0.3, "length": 0.2}
    mixed = sum(planted[name] * each / scale[name] for name, each in factors.items())
    _, weights = recalls(factors, mixed + 3 * rng.standard_normal((N, 1)) + rng.standard_normal(N))
    spread = regression.centred(mixed).std()
    for name, weight in planted.items():
        assert weights[name] * spread == pytest.approx(weight, rel=0.01)

"""Checks of matches against random pairs: by hand, against SciPy, and on sentences with a known answer."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from isogloss.engine.interpretation import match_tests
from isogloss.engine.texts import meaning


def figure(checked, state, kind, name):
    return checked.tests.set_index(["state", "kind", "check"]).loc[state, kind, name]


def test_columns_by_hand(known):
    found = known.check(known.table()).pairs
    real = (found["word_index_a"] >= 0) & (found["word_index_b"] >= 0)
    assert found.loc[~real, ["meaning", "sound_distance", "alike"]].isna().all(axis=None)
    match = found[real & (found["word_index_a"] == found["word_index_b"])]
    np.testing.assert_allclose(match["meaning"], 1)
    row = found[(found["word_a"] == "house") & (found["word_b"] == "haus")].iloc[0]
    assert row["sound_distance"] == pytest.approx(2 / 5)
    katze = found[real & (found["word_b"] == "katze")]
    assert katze["sound_distance"].isna().all()
    assert katze["meaning"].notna().all()


def test_true_matches_mean_alike_and_random_ones_do_not(known):
    checked = known.check(known.table())
    row = figure(checked, "1", "mutual", "meaning")
    assert (row["n"], row["matches"]) == (4, 10)
    assert row["matched"] == pytest.approx(1)
    assert row["difference"] > 0.3
    assert figure(checked, "0", "mutual", "meaning")["n"] == 0
    assert np.isnan(figure(checked, "0", "mutual", "meaning")["p_t"])
    assert figure(checked, "1", "mutual", "sound_distance")["difference"] < 0
    assert figure(known.check(known.table(diagonal=False)), "1", "mutual", "meaning")["difference"] < 0


def test_chance_of_the_tests_is_the_same_in_every_state(known):
    checked = known.check(known.table())
    for name in match_tests.CHECKS:
        chance = [figure(checked, state, "transport", name)["random"] for state in "01"]
        assert chance[0] == chance[1]
    # It is drawn among the matches, too.
    pairs = known.table(states=("1",))
    checked = known.check(pairs[pairs["utterance_a"] == "s3.0"])
    assert figure(checked, "1", "mutual", "meaning")["random"] == pytest.approx(1)  # "we" has one "wir"


def test_limits_are_of_pairs_that_match_in_no_way(known):
    """Words of these sentences are few: of all random pairs of them, over 5% are matches."""
    checked = known.check(known.table())
    assert set(checked.random["utterance_a"]) == {"s0.0", "s1.0", "s2.0"}  # "we" and "wir" match
    assert len(checked.random) == 2 * 3 * match_tests.DRAWS
    assert checked.random["meaning"].max() < 0.5
    planes = checked.plane.set_index(["state", "kind"])
    assert planes.loc[("1", "mutual"), "meaning_limit"] < 0.5
    assert planes.loc[("1", "mutual"), ["meaning", "both"]].sum() == 9  # all that have phones
    for other in ("transported", "mutual"):
        alone = known.table(states=("1",)).assign(**{other: False})
        assert known.check(alone).random["meaning"].max() < 0.5


def test_a_pair_and_state_is_checked_as_if_alone(known):
    """Each state has sentence pairs and matches of its own, and so has another language pair."""
    parts = [
        known.table(states=("0",)).query("utterance_a != 's2.0'"),
        known.table(states=("1",)).query("utterance_a != 's0.0'"),
        known.table(states=("2",), diagonal=False),
        known.table(states=("1",), diagonal=False).assign(language_b="fr"),
    ]
    whole = known.check(pd.concat(parts, ignore_index=True))
    for part in parts:
        alone = known.check(part.reset_index(drop=True))
        for all_of, own in zip(whole, alone, strict=True):
            keys = ["state", "language_b"]
            mine = (all_of[keys] == part[keys].iloc[0]).all(axis=1)
            pd.testing.assert_frame_equal(all_of[mine].reset_index(drop=True), own, check_exact=True)
    limits = whole.plane.groupby(["language_b", "state"])[["meaning_limit", "sound_limit"]].first()
    assert len(limits.drop_duplicates()) > 1


def test_words_are_encoded_without_the_punctuation_around_them(known):
    asked = []

    def encode(words):
        asked.extend(words)
        return np.ones((len(words), 1))

    pairs = known.table(states=("1",)).replace({"word_a": {"the": "«The», ", "cat": "?"}})
    known.check(pairs, encoder=meaning.SentenceEncoder("ones", encode))
    assert {"The", "?"} < set(asked)
    assert "«The», " not in asked


def test_the_order_of_rows_and_other_states_do_not_matter(known):
    whole, shuffled = known.check(known.table()), known.check(known.table().sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(whole.tests, shuffled.tests)
    pd.testing.assert_frame_equal(whole.plane, shuffled.plane)
    alone = known.check(known.table(states=("1",)))
    mine = whole.tests[whole.tests["state"] == "1"].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, alone.tests)
    assert not known.check(known.table(), seed=4).random.equals(whole.random)


def test_checks_can_be_left_out(known):
    checked = known.check(known.table(), encoder=None, voices=None)
    assert checked.pairs[["meaning", "sound_distance", "alike"]].isna().all(axis=None)
    assert (checked.tests["n"] == 0).all()
    assert checked.plane[["both", "meaning", "sound", "neither"]].to_numpy().sum() == 0
    half = known.check(known.table(), voices=None)
    assert half.pairs["meaning"].notna().any()
    assert half.pairs["alike"].isna().all()
    assert [len(part) for part in known.check(known.table().iloc[:0])] == [0, 0, 0, 0]


def test_alike_by_the_limits_of_random_pairs(known):
    checked = known.check(known.table())
    row = checked.plane.set_index(["state", "kind"]).loc["1", "mutual"]
    judged = checked.pairs[checked.pairs["state"] == "1"].dropna(subset=["alike"])
    means, sounds = judged["meaning"] > row["meaning_limit"], judged["sound_distance"] < row["sound_limit"]
    expected = np.select([means & sounds, means, sounds], ["both", "meaning", "sound"], "neither")
    np.testing.assert_array_equal(judged["alike"].to_numpy(str), expected)
    assert row[["both", "meaning", "sound", "neither"]].sum() == 9  # of 10 matches, "katze" has no phones


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=30))
def test_figures_are_those_of_the_formulas(values):
    matched, random = np.asarray(values, float).T
    found = match_tests.compare(matched, random, seed=0)
    differences = matched - random
    if np.ptp(differences) == 0:
        assert np.isnan([found[name] for name in ("t", "p_t", "d_z", "low", "high")]).all()
        return
    n, mean, deviation = len(values), differences.mean(), differences.std(ddof=1)
    error = deviation / np.sqrt(n)
    half = stats.t.ppf(0.975, n - 1) * error
    expected = {"t": mean / error, "d_z": mean / deviation, "low": mean - half, "high": mean + half}
    expected["p_t"] = 2 * stats.t.sf(abs(mean / error), n - 1)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_few_flips_are_all_tried(values):
    differences = np.asarray(values, float)
    signs = np.array(list(itertools.product((1, -1), repeat=len(values))))
    expected = np.mean(np.abs(signs @ differences) >= abs(differences.sum()))
    assert match_tests.sign_flip_p(differences, seed=0) == expected


def test_p_of_random_flips_is_near_the_normal_approximation_and_never_zero():
    rng = np.random.default_rng(0)
    differences = rng.standard_normal(200) + 0.15
    p = match_tests.sign_flip_p(differences, seed=1)
    z = abs(differences.sum()) / np.sqrt((differences**2).sum())
    # Binomial error of 9,999 flips, four standard errors, and the approximation's own.
    assert p == pytest.approx(2 * stats.norm.sf(z), abs=4 * np.sqrt(0.25 / match_tests.FLIPS) + 0.005)
    assert p == match_tests.sign_flip_p(differences, seed=1)
    assert match_tests.sign_flip_p(np.ones(200), seed=1) == 1 / (1 + match_tests.FLIPS)
    nothing = match_tests.compare(np.zeros(0), np.zeros(0), seed=0)
    assert nothing.pop("n") == 0
    assert np.isnan(list(nothing.values())).all()

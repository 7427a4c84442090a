"""Contrasts, q and onset against statsmodels, plain loops and planted truth."""

import numpy as np
import pytest
from statsmodels.stats import contingency_tables, multitest, proportion

from isogloss.engine.retrieval import contrasts
from isogloss.engine.retrieval.scorings import Scoring
from isogloss.kernels import bootstrap

SCORINGS = (
    *(Scoring(measure, correction) for measure in ("seqsim", "dtw") for correction in ("none", "csls")),
    Scoring("duration"),
)


def hits(*shape, seed=0, share=0.5):
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 0), (5, 2), (8, 8), (1, 9)])
def test_sign_flip_is_mcnemars_exact_test(b, c):
    expected = contingency_tables.mcnemar([[4, b], [c, 4]], exact=True).pvalue
    assert contrasts.sign_flip(20)[b, c] == pytest.approx(expected if b + c else 1.0)


def test_a_contrast_equals_loops_over_the_shared_resamples():
    here, there = hits(2, 13, seed=1), hits(2, 13, seed=2)
    drawn = np.random.default_rng(bootstrap.SEED).integers(13, size=(bootstrap.RESAMPLES, 13))
    for row, found in enumerate(contrasts.contrast(here, there)):
        d = here[row].astype(int) - there[row]
        means = sorted(d[resample].mean() for resample in drawn)
        assert found[:3] == pytest.approx([d.mean(), means[49], means[1949]], abs=1e-6)


def test_every_cell_is_compared_with_what_its_family_names():
    found = hits(3, 5, 2, 30)
    found[1, 0] = True  # state 1 is the best of SeqSim
    index, values = contrasts.within_pair(found, SCORINGS)
    names = [contrasts.FAMILIES[family] for family in index[:, 0]]
    assert set(names) == set(contrasts.FAMILIES) - {"pair"}
    for name, (_, s, v, d, *other), (difference, *_) in zip(names, index, values, strict=True):
        assert [s, v, d] != other
        assert difference == pytest.approx(found[s, v, d].mean() - found[tuple(other)].mean(), abs=1e-6)
        corrected = name.endswith(", corrected")
        wanted = {
            "best state": (1, v, d) if v == 0 else (other[0], v, d),
            "final state": (2, v, d),
            "seqsim": (s, int(corrected), d),
            "duration": (s, 4, d),
            "uncorrected": (s, v - 1, d),
            "direction": (s, v, 1),
        }[name.removesuffix(", corrected")]
        assert tuple(other) == wanted
    measured = {
        name: {v for each, v in zip(names, index[:, 2], strict=True) if each == name} for name in names
    }
    assert measured["uncorrected"] == measured["final state, corrected"] == {1, 3}
    assert measured["final state"] == {0, 2}
    assert (measured["seqsim"], measured["seqsim, corrected"]) == ({2, 4}, {3})


def test_an_interval_where_no_query_is_discordant_is_as_wide_as_wilsons():
    n = 60
    nothing, everything = np.zeros((1, n), bool), np.ones((1, n), bool)
    far = proportion.proportion_confint(0, n, method="wilson")[1]
    for here, there, ends in (
        (nothing, nothing, (-far, far)),
        (hits(1, n), hits(1, n), (-far, far)),
        (everything, nothing, (1 - far, 1)),
        (nothing, everything, (-1, far - 1)),
    ):
        _, low, high, p = contrasts.contrast(here, there)[0]
        assert (low, high) == pytest.approx(ends)
        assert (p == 1) == (ends[0] == -ends[1])
    known = np.stack([np.arange(n) < 40, np.arange(n) < n])
    _, values = contrasts.between_pairs(np.zeros((2, n), bool), known)
    far = proportion.proportion_confint(0, 40, method="wilson")[1]
    assert values[0, 1:3] == pytest.approx([-far, far])


@pytest.mark.parametrize(("method", "peer"), [("bh", "fdr_bh"), ("by", "fdr_by")])
def test_q_equals_statsmodels_and_skips_what_is_unknown(method, peer):
    p = np.array([0.001, np.nan, 0.04, 0.03, 0.9, 0.002])
    known = ~np.isnan(p)
    q = contrasts.false_discovery(p, method)
    assert np.isnan(q).tolist() == (~known).tolist()
    np.testing.assert_allclose(q[known], multitest.multipletests(p[known], method=peer)[1])
    families = np.array(list("aababb"))
    both = contrasts.false_discovery(p, method, families)
    for each in "ab":
        np.testing.assert_array_equal(
            both[families == each], contrasts.false_discovery(p[families == each], method)
        )


def test_pairs_with_other_sentences_are_paired_by_sentence():
    found, known = hits(3, 20, seed=3), hits(3, 20, seed=4, share=0.8)
    which, values = contrasts.between_pairs(found, known)
    assert which.T.tolist() == [[0, 1], [0, 2], [1, 2]]
    for (x, y), (difference, low, high, p) in zip(which.T, values, strict=True):
        shares = [found[pair][known[pair]].mean() for pair in (x, y)]
        assert difference == pytest.approx(shares[0] - shares[1])
        assert low <= difference <= high
        both = known[x] & known[y]
        b, c = (found[x] & ~found[y])[both].sum(), (found[y] & ~found[x])[both].sum()
        assert p == pytest.approx(contingency_tables.mcnemar([[0, b], [c, 0]], exact=True).pvalue)


def test_onset_is_the_first_state_above_the_baseline():
    baseline = np.arange(40) < 2
    states = np.stack([np.arange(40) < top for top in (2, 4, 30, 35)])
    assert contrasts.onset(states, baseline, 0.01) == (2, 2, 2)
    assert contrasts.onset(states[:2], baseline, 0.01) == (2, 2, 2)  # never: the number of states
    losing = ~states[2:]
    assert contrasts.onset(losing, ~baseline, 0.01)[0] == 2  # significantly below isn't above

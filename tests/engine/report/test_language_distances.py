"""Distances between languages, their scaling, trees and Nexus file."""

import re

import numpy as np
import pytest
from scipy.cluster import hierarchy
from scipy.spatial import distance

from isogloss.engine.report import language_distances
from isogloss.engine.report.language_distances import Distances
from isogloss.engine.retrieval import metrics

PAIRS = (("en", "fr"), ("en", "en"), ("fr", "de"), ("de", "en"))


def results(recall, states=("6",), measures=("seqsim", "seqsim+csls", "seqsim+centred")):
    """Figures of which only R@1 is known: pair, state, measure, direction."""
    recall = np.asarray(recall, float)
    values = np.full((*recall.shape, len(metrics.ALL_FIGURES)), np.nan)
    values[..., 0] = recall
    return metrics.Results(
        pairs=PAIRS,
        states=states,
        measures=measures,
        n=np.full(len(PAIRS), 10),
        computed=np.ones(recall.shape[:3], bool),
        values=values,
    )


def test_distances_are_means_of_both_directions():
    recall = np.zeros((4, 1, 3, 2))
    recall[0] = [[0.2, 0.4], [0.5, 0.7], [1, 1]]
    recall[1] = 1  # a language with itself, which isn't a distance of two
    recall[3] = [[0.9, 0.7], [np.nan, 0.7], [1, 1]]
    found = language_distances.between_languages(results(recall))
    assert found.languages == ("en", "fr", "de")
    assert found.scorings == ("seqsim", "seqsim+csls", "seqsim+centred")
    np.testing.assert_allclose(found.values[0, 0], [[0, 0.7, 0.2], [0.7, 0, 1], [0.2, 1, 0]], atol=1e-12)
    assert np.isnan(found.values[1, 0, 0, 2])
    np.testing.assert_array_equal(found.values[2, 0], [[0, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert not found.whole


def test_scaling_finds_points_of_a_plane_again():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(12, 2)) * [3, 1]
    far = distance.squareform(distance.pdist(points))
    places, variance = language_distances.scaled(far)
    np.testing.assert_allclose(distance.squareform(distance.pdist(places)), far, atol=1e-9)
    assert variance.sum() == pytest.approx(1)
    assert variance[0] > variance[1]
    turned = language_distances.turned(places, points - points.mean(0))
    np.testing.assert_allclose(turned, points - points.mean(0), atol=1e-9)


def test_clades_are_scipys_clusters():
    rng = np.random.default_rng(1)
    far = distance.squareform(distance.pdist(rng.normal(size=(9, 3))))
    tree = language_distances.linkage(far)
    root, nodes = hierarchy.to_tree(tree, rd=True)
    assert root.get_count() == 9
    expected = [sum(1 << leaf for leaf in node.pre_order()) for node in nodes[9:]]
    assert language_distances.clades(tree) == expected


class Ranked:
    """What `support` reads of the figures of a pair."""

    def __init__(self, hits):
        self.ranks = np.where(hits, 1, 2)[None, None].repeat(3, 1)
        self.sentences = np.arange(hits.shape[-1])


@pytest.mark.parametrize(("close", "low", "high"), [(28, 1, 1), (13, 0.2, 0.9)])
def test_support_of_a_clade_follows_the_evidence(close, low, high):
    """English and German share `close` of 30 sentences, the others 12: with 28 every resample joins them."""
    made = {("en", "fr"): 12, ("en", "en"): 30, ("fr", "de"): 12, ("de", "en"): close}
    hits = [np.broadcast_to(np.arange(30) * 7 % 30 < made[pair], (2, 30)) for pair in PAIRS]
    if close == 13:  # other sentences than those of en and fr, or every resample would agree
        hits[3] = hits[3][:, ::-1]
    recall = [[[each.mean(1)] * 3] for each in hits]
    given = results(recall)
    distances = language_distances.between_languages(given)
    ranked = [Ranked(each) for each in hits]
    share = language_distances.support(distances, given, ranked.__getitem__, 30)
    assert share.shape == (3, 1, 2)
    assert low <= share[0, 0, 0] <= high
    assert share[0, 0, 1] == 1  # the root has all


def test_every_scoring_has_support_of_its_own_whatever_fits_in_memory(monkeypatch):
    """Two scorings: one joins English and German in every resample, the other English and French."""
    near = np.arange(30) < 28
    far = np.arange(30) < 6
    closest = ("de", "en"), ("en", "fr")
    hits = [
        np.stack([np.stack([near if set(pair) == set(c) else far] * 2) for c in closest])[None]
        for pair in PAIRS
    ]
    given = results([each.mean(-1) for each in hits], measures=("seqsim", "dtw"))
    distances = language_distances.between_languages(given)

    def ranked(pair):
        found = Ranked(hits[pair][0, 0])
        found.ranks = np.where(hits[pair], 1, 2)
        return found

    whole = language_distances.support(distances, given, ranked, 30)
    monkeypatch.setattr(language_distances, "_MEMORY", 1)
    np.testing.assert_array_equal(language_distances.support(distances, given, ranked, 30), whole)
    np.testing.assert_array_equal(whole, np.ones((2, 1, 2)))
    monkeypatch.setattr(language_distances, "_TOGETHER", 2)  # of three pairs
    np.testing.assert_array_equal(language_distances.support(distances, given, ranked, 30), whole)


def test_nexus():
    far = np.array([[0, 0.25, 1], [0.25, 0, 0.5], [1, 0.5, 0]])
    text = language_distances.nexus(["Mandarin Chinese", "N'Ko", "en-GB"], far, "state 6 [x]")
    assert text.startswith("#NEXUS\n[state 6 (x)]\n")
    block = re.search(r"BEGIN DISTANCES;(.*?)END;", text, re.S).group(1)
    assert "DIMENSIONS NTAX=3;" in block
    rows = re.search(r"MATRIX\n(.*)\n;", block, re.S).group(1).splitlines()
    assert [row.split()[0] for row in rows] == ["'Mandarin_Chinese'", "'NKo'", "'en-GB'"]
    np.testing.assert_allclose([[float(x) for x in row.split()[1:]] for row in rows], far)


def test_best_state_and_leading_scoring():
    values = np.zeros((2, 3, 2, 2))
    values[:, :, 0, 1] = values[:, :, 1, 0] = [[0.9, 0.2, 0.2], [1, 1, 1]]
    made = Distances(languages=("a", "b"), states=("0", "1", "2"), scorings=("dtw", "seqsim"), values=values)
    assert (made.leading, made.best_state(0), made.best_state(1)) == (1, 1, 0)
    made = Distances(
        languages=("a", "b"), states=("0",), scorings=("dtw",), values=np.full((1, 1, 2, 2), np.nan)
    )
    assert (made.leading, made.best_state(0)) == (0, 0)

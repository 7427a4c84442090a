"""Shortlists and the reranked form, by plain loops."""

import numpy as np

from isogloss.engine.grid import shortlist


def loops(scores, costs, best):
    """Order of the candidates of each query: its best ones by cost, then the others by score."""
    for row, moved in zip(scores, costs, strict=True):
        by_score = sorted(range(len(row)), key=lambda j, row=row: -row[j])
        listed = sorted(by_score[:best], key=lambda j, moved=moved: moved[j])
        yield listed + by_score[best:]


def test_order_is_that_of_plain_loops():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((6, 9)).astype(np.float32)  # F1 may leave [-1, 1]
    costs = rng.uniform(0, 2, (6, 9)).astype(np.float32)
    for best in (1, 3, 9, 20):
        found = shortlist.reranked(scores, costs, best)
        assert [np.argsort(-row).tolist() for row in found] == list(loops(scores, costs, best))
        sparse = np.where(shortlist.either(scores, best), costs, np.nan)  # as a grid holds it
        np.testing.assert_array_equal(shortlist.reranked(scores, sparse, best), found)
        back = shortlist.reranked(scores.T, sparse.T, best)
        assert [np.argsort(-row).tolist() for row in back] == list(loops(scores.T, costs.T, best))


def test_ties_with_the_last_are_on_the_list():
    scores = np.array([[3, 1, 2, 2, 0]], np.float32)
    np.testing.assert_array_equal(shortlist.shortlists(scores, 2), [[True, False, True, True, False]])


def test_unknown_scores_and_costs_are_on_no_list():
    scores = np.array([[np.nan, 1, 2], [3, np.nan, np.nan]], np.float32)
    np.testing.assert_array_equal(
        shortlist.shortlists(scores, 1), [[False, False, True], [True, False, False]]
    )
    costs = np.array([[np.nan, np.nan, 1.0]], np.float32)
    found = shortlist.reranked(np.array([[5.0, 4.0, 3.0]], np.float32), costs, 3)
    assert np.argsort(-found[0]).tolist() == [2, 0, 1]


def test_only_sentences_of_both_languages_are_chosen():
    scores = np.arange(12, dtype=np.float32).reshape(3, 4)
    choice = shortlist.Shortlisting(best=1, rows=np.array([0, 2]), columns=np.array([0, 1]))
    expected = np.zeros((3, 4), bool)
    expected[[0, 2, 2], [1, 0, 1]] = True  # best of rows 0 and 2, and of columns 0 and 1
    np.testing.assert_array_equal(choice.chosen(scores), expected)

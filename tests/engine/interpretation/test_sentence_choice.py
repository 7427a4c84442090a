"""The choice of sentences to compare, against the figures of retrieval."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.engine.interpretation import sentence_choice
from isogloss.engine.retrieval import metrics

nan = np.nan
FOUR = arrays(np.float32, (4, 4), elements=st.integers(0, 2))


def test_only_common_sentences_take_part():
    scores = np.float32([[1, 3, nan], [2, 1, nan], [9, 9, nan]])
    found = sentence_choice.choose(scores, "retrieved")
    assert [pair[:2] for pair in found] == [(0, 1), (1, 0)]
    assert [pair[:2] for pair in sentence_choice.choose(scores, "gold")] == [(0, 0), (1, 1)]
    assert [pair.score for pair in found] == [3, 2]
    assert not any(pair.query == pair.candidate for pair in found)


@given(FOUR)
def test_share_of_gold_is_recall_at_1(scores):
    ranks = metrics.gold_ranks(scores, 4, cost=False)
    found = sentence_choice.choose(scores, "retrieved")
    np.testing.assert_array_equal([pair.query == pair.candidate for pair in found], ranks[0] == 1)
    back = sentence_choice.choose(scores.T, "retrieved")
    np.testing.assert_array_equal([pair.query == pair.candidate for pair in back], ranks[1] == 1)
    for query, candidate, score in found:
        assert score == scores[query].max() == scores[query, candidate]


def test_ties_nothing_in_common_and_gaps():
    """Ties go to the first that is wrong."""
    scores = np.float32([[2, 1, 2], [2, 2, 2], [0, 0, 1]])
    assert [pair.candidate for pair in sentence_choice.choose(scores, "retrieved")] == [2, 0, 2]
    assert sentence_choice.choose(np.full((2, 2), nan, np.float32), "retrieved") == []
    with pytest.raises(ValueError, match="some are NaN"):
        sentence_choice.choose(np.float32([[1, nan], [1, 1]]), "gold")

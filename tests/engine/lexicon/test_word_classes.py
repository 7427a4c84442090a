"""Classes by plain rules, and unrelated pairs that are as near in length ratio as can be."""

import numpy as np
import pytest

from isogloss.engine.lexicon import word_classes
from isogloss.engine.lexicon.word_classes import CLASSES, UNRELATED


def test_classes_by_plain_rules():
    rng = np.random.default_rng(0)
    distance = rng.choice([0, 0.25, 0.4, 0.5, 1], (30, 20))
    same, known = rng.random((2, 30, 20)) < np.asarray([0.3, 0.9])[:, None, None]
    found = word_classes.classify(distance, same, known, 0.4)
    for i, j in np.ndindex(found.shape):
        near = distance[i, j] <= 0.4
        if not known[i, j]:
            assert found[i, j] == -1
        elif same[i, j]:
            assert CLASSES[found[i, j]] == ("cognate" if near else "synonym")
        else:
            assert (found[i, j] == UNRELATED) == (not near)


@pytest.mark.parametrize("few", [False, True])
def test_matched_pairs_are_the_nearest_there_are(few):
    """With ratios of small whole numbers, which tie often."""
    rng = np.random.default_rng(2)
    classes = rng.choice([0, 1, 2, UNRELATED, -1], (12, 15), p=[0.1, 0.1, 0.1, 0.6, 0.1])
    if few:
        classes[np.cumsum(classes == UNRELATED).reshape(classes.shape) > 3] = 0
    ratio = np.log(rng.integers(1, 6, 12))[:, None] - np.log(rng.integers(1, 6, 15))
    for kind, held in enumerate(word_classes.beside_unrelated(classes, ratio, 7, seed=1)):
        assert held.pairs.tolist() == np.argwhere(classes == kind).tolist()
        unrelated = ratio[classes == UNRELATED]
        count = min(7, len(unrelated))
        assert held.times.sum() == count * len(held.pairs)
        assert (held.times > 0).all()
        assert (classes[*held.matched.T] == UNRELATED).all()
        assert len({tuple(pair) for pair in held.matched.tolist()}) == len(held.matched)
        wanted = [np.sort(np.abs(unrelated - r))[:count].sum() for r in ratio[*held.pairs.T]]
        at = np.repeat(ratio[*held.matched.T], held.times)
        if len(held.pairs) == 1 or few:
            gaps = sum(np.abs(at[:, None] - ratio[*held.pairs.T]).min(1))
            assert gaps <= sum(wanted) + 1e-9
        # The cheapest assignment of so many unrelated pairs to the class is the sum of nearest ones.
        assert sum(np.abs(at[:, None] - ratio[*held.pairs.T]).min(1)) <= sum(wanted) + 1e-9


def test_equal_ratios_are_drawn_from_all_of_them():
    """And not always the first ones: with ties everywhere nearly all unrelated pairs are used."""
    classes = np.full((30, 30), UNRELATED)
    np.fill_diagonal(classes, 1)
    [_, held, _] = word_classes.beside_unrelated(classes, np.zeros((30, 30)), 20, seed=0)
    assert held.times.sum() == 600
    assert len(held.matched) > 350


def test_one_pair_has_its_nearest():
    classes = np.asarray([[0, UNRELATED, UNRELATED, UNRELATED]])
    [held, *_] = word_classes.beside_unrelated(classes, np.asarray([[0.1, 0.2, -0.1, 0.4]]), 2, seed=0)
    assert sorted(held.matched[:, 1].tolist()) == [1, 2]

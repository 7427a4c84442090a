"""Orders of languages."""

import numpy as np

from isogloss.engine.report import language_order

nan = np.nan


def test_groups_stand_in_the_order_of_the_table_and_strangers_last():
    languages = ("xx", "ja", "fr_fr", "ru_ru", "de")
    ordered = [languages[i] for i in language_order.by_group(languages)]
    assert ordered == ["de", "fr_fr", "ru_ru", "ja", "xx"]


def test_languages_of_one_name_are_told_apart_by_their_codes():
    assert language_order.names(("en", "fr-FR", "zz")) == ["English", "French", "zz"]
    assert language_order.names(("en-GB", "en-US", "es")) == ["English (en-GB)", "English (en-US)", "Spanish"]


def test_clusters_stand_together():
    recall = np.full((4, 4), 0.1)
    for a, b in ((0, 2), (1, 3)):
        recall[a, b] = recall[b, a] = 0.9
    np.fill_diagonal(recall, nan)
    order = language_order.by_cluster(recall)
    assert sorted(order) == [0, 1, 2, 3]
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset((0, 2)), frozenset((1, 3))}


def test_one_direction_is_enough_and_unknown_pairs_do_no_harm():
    recall = np.full((3, 3), nan)
    recall[0, 2] = 0.8
    tree = language_order.tree(recall)
    assert tree is not None
    assert np.isfinite(tree).all()
    recall[0, 1] = recall[1, 2] = 0.1
    order = language_order.by_cluster(recall)
    assert abs(order.index(0) - order.index(2)) == 1


def test_nothing_known_and_two_languages():
    assert sorted(language_order.by_cluster(np.full((5, 5), nan))) == [0, 1, 2, 3, 4]
    assert language_order.by_cluster(np.full((2, 2), nan)) == [0, 1]
    assert language_order.tree(np.full((2, 2), nan)) is None

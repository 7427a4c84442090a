"""Ranks of held-out sentences against plain loops, and on planted truth: rotations, random pairs, a pivot."""

import numpy as np
import pytest

from isogloss.engine.linear_maps import fitting, held_out, tables
from isogloss.engine.linear_maps.folds import folds, shuffled
from isogloss.engine.linear_maps.held_out import LanguageSide, Setting

SETTING = Setting(measures=("meanpool",), parts=5, implementation="numba")


def side(code, means, frames=()):
    places = {f"s{i}": i for i in range(len(means))}
    lengths = np.array([len(each) for each in frames] or np.arange(1, len(means) + 1))
    return LanguageSide(code=code, places=places, means=means, lengths=lengths, frames=frames)


def rotation(d, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def normal(n, d, seed):
    return np.random.default_rng(seed).standard_normal((n, d))


def recall(a, b, pivot=None, setting=SETTING):
    """R@1 by route, mean of both directions, of the first measure."""
    ways = held_out.routes(a.code, b.code, pivot.code if pivot else None)
    common = [s for s in a.places if s in b.places]
    found = held_out.evaluate(a, b, pivot, common, setting)
    return dict(zip(ways, (found.ranks[0] == 1).mean((1, 2)), strict=True))


def test_a_planted_rotation_is_recovered_and_nothing_is_without_a_map():
    z = normal(100, 10, 1)
    found = recall(side("aa", z + 7), side("bb", z @ rotation(10, 2) - 3))
    assert [found[each] for each in held_out.routes("aa", "bb", None)][1:3] == [1.0, 1.0]
    assert found[held_out.Route("centred", "", "none")] < 0.12  # chance 0.05; 200 queries


def test_random_pairs_are_found_by_chance():
    """8 stores of 60 sentences, chance 1 / 12: a mean of 960 queries has a deviation of about 0.009."""
    found = [
        recall(side("aa", normal(60, 20, seed)), side("bb", normal(60, 20, 99 + seed))) for seed in range(8)
    ]
    for route in held_out.routes("aa", "bb", None)[:3]:
        assert abs(np.mean([each[route] for each in found]) - 1 / 12) < 0.035, route


def test_over_a_pivot_both_languages_have_to_be_mapped():
    z = normal(80, 8, 4)
    a, b, pivot = side("aa", z @ rotation(8, 5)), side("bb", z @ rotation(8, 6)), side("en", z)
    found = recall(a, b, pivot)
    for kind in fitting.MAPS[1:]:
        assert found[held_out.Route(kind, "en", "both")] == 1
        assert found[held_out.Route(kind, "", "query")] == 1
        assert found[held_out.Route(kind, "en", "query")] < 0.2  # chance 0.06
    beside = held_out.evaluate(a, side("bb", z), pivot, list(a.places), SETTING)  # bb lies as the pivot does
    route = held_out.routes("aa", "bb", "en").index(held_out.Route("procrustes", "en", "query"))
    hits = (beside.ranks[0, route] == 1).mean(1)
    assert (hits[0], hits[1] < 0.2) == (1, True)
    assert len(held_out.routes("aa", "en", "en")) == 4


@pytest.mark.parametrize("kind", fitting.MAPS)
def test_no_map_knows_a_sentence_that_is_held_out(kind):
    z = normal(40, 6, 7)
    held = folds([f"s{i}" for i in range(40)], 5)[0]
    where = [int(each[1:]) for each in held]
    x, y = z + 1, z @ rotation(6, 1)
    made = held_out.Learner(held, 5).map(kind, side("aa", x), side("bb", y))
    x[where], y[where] = np.nan, np.nan
    again = held_out.Learner(held, 5).map(kind, side("aa", x), side("bb", y))
    np.testing.assert_array_equal(made.mean, again.mean)
    assert not np.isnan(again.mean).any()
    if kind != "centred":
        np.testing.assert_array_equal(made.matrix, again.matrix)


def cosine(p, q):
    return float(p @ q / np.sqrt((p @ p) * (q @ q)))


def seqsim(x, y):
    c = [[cosine(p, q) for q in y] for p in x]
    precision, recall = (
        np.mean([max(row) for row in c]),
        np.mean([max(column) for column in zip(*c, strict=True)]),
    )
    return 2 * precision * recall / (precision + recall)


def by_loops(a, b, common, score, held_of):
    """Rank of each query of a among candidates of its fold, with a ridge map learnt on the others."""
    ranks = {}
    for held in held_of:
        train = [s for s in shuffled(common) if s not in held]
        x = np.array([a.means[a.places[s]] for s in train], float)
        y = np.array([b.means[b.places[s]] for s in train], float)
        mean = x.mean(0), y.mean(0)
        p, q = x - mean[0], y - mean[1]
        penalty = fitting.chosen_penalty(x, y, 3) * (p**2).sum() / len(x)
        w = np.linalg.solve(p.T @ p + penalty * np.eye(x.shape[1]), p.T @ q)
        for query in held:
            scores = {s: score(a, a.places[query], b, b.places[s], mean, w) for s in held}
            ranks[query] = sum(value >= scores[query] for value in scores.values())
    return ranks


def of_means(a, i, b, j, mean, w):
    return cosine((a.means[i] - mean[0]) @ w, b.means[j] - mean[1])


def of_frames(a, i, b, j, mean, w):
    return seqsim(
        [(frame - mean[0]) @ w for frame in a.frames[i]], [frame - mean[1] for frame in b.frames[j]]
    )


def test_ranks_equal_plain_loops_for_means_and_frames():
    """Sentences that one language lacks are neither learnt from nor asked for."""
    rng, turn = np.random.default_rng(11), rotation(5, 3)
    z = rng.standard_normal((16, 5))
    frames = [
        [(v + 0.6 * rng.standard_normal((rng.integers(2, 6), 5))).astype(np.float32) for v in each]
        for each in (z, z @ turn)
    ]
    a, b = (
        side(code, np.array([f.mean(0) for f in own]), own)
        for code, own in zip(("aa", "bb"), frames, strict=True)
    )
    b = LanguageSide(
        code="bb",
        places={s: i for s, i in b.places.items() if s not in ("s3", "s8")},
        means=b.means,
        lengths=b.lengths,
        frames=b.frames,
    )
    common = [s for s in a.places if s in b.places]
    setting = Setting(measures=("meanpool", "seqsim"), parts=3, implementation="numba")
    found = held_out.evaluate(a, b, None, common, setting)
    held_of = folds(common, 3)
    order = [s for held in held_of for s in held]
    route = held_out.routes("aa", "bb", None).index(held_out.Route("ridge", "", "query"))
    for m, score in enumerate((of_means, of_frames)):
        for d, (query, candidate) in enumerate(((a, b), (b, a))):
            expected = by_loops(query, candidate, common, score, held_of)
            assert found.ranks[m, route, d].tolist() == [expected[s] for s in order], (m, d)
    assert found.ranks.max() > 2


def test_the_length_baseline_knows_only_lengths_of_the_same_candidates():
    rng = np.random.default_rng(5)
    a = side("aa", normal(23, 4, 1))
    near = np.exp(np.log(a.lengths + 4) + 0.2 * rng.standard_normal(23)).astype(int)
    b = LanguageSide(code="bb", places=a.places, means=normal(23, 4, 2), lengths=near)
    route = held_out.Route("duration", "", "none")
    at = held_out.routes("aa", "bb", None).index(route)
    found = held_out.evaluate(a, b, None, list(a.places), SETTING).ranks[0, at]
    held_of = folds(list(a.places), 5)
    for d, (n, m) in enumerate(((a.lengths, near), (near, a.lengths))):
        expected = []
        for held in held_of:
            where = [int(s[1:]) for s in held]
            for i in where:
                own = abs(np.log(n[i] / m[i]))
                expected.append(sum(abs(np.log(n[i] / m[j])) <= own for j in where))
        assert found[d].tolist() == expected
    assert 1 < found.mean() < 3


def test_rows_have_the_figures_of_the_ranks():
    a, b = side("aa", normal(40, 12, 1)), side("bb", normal(40, 12, 1) @ rotation(12, 2))
    ways = held_out.routes("aa", "bb", None)
    found = held_out.evaluate(a, b, None, list(a.places), SETTING)
    rows = tables.rows(("aa", "bb"), "3", ("meanpool",), ways, 40, 5, found)
    assert [row["direction"] for row in rows] == ["aa->bb", "bb->aa"] * 4
    for i, row in enumerate(rows):
        hits, without = (found.ranks[0, r, i % 2] == 1 for r in (i // 2, 0))
        assert (row["recall_at_1"], row["chance"]) == (hits.mean(), 5 / 40)
        assert row["ci_low"] <= row["recall_at_1"] <= row["ci_high"]
        if i < 2:
            assert np.isnan([row["difference"], row["p"]]).all()
        else:
            assert row["difference"] == pytest.approx(hits.mean() - without.mean())
            assert row["difference_low"] <= row["difference"] <= row["difference_high"]
            b_, c = (hits & ~without).sum(), (without & ~hits).sum()
            assert row["p"] == pytest.approx(exact_mcnemar(b_, c))
        assert np.isnan(row["penalty"]) == (row["method"] != "ridge")


@pytest.mark.parametrize(("shared", "known"), [(0, False), (3, False), (8, False), (40, True)])
def test_a_route_over_a_pivot_with_too_few_sentences_is_unknown(shared, known):
    z = normal(40, 12, 3)
    a, b = side("aa", z), side("bb", z @ rotation(12, 4))
    places = {f"s{i}" if i < shared else f"t{i}": i for i in range(40)}
    pivot = LanguageSide(code="en", places=places, means=z, lengths=np.arange(40))
    ways = held_out.routes("aa", "bb", "en")
    found = held_out.evaluate(a, b, pivot, list(a.places), SETTING)
    for row in tables.rows(("aa", "bb"), "3", ("meanpool",), ways, 40, 5, found):
        over = bool(row["pivot_language"])
        for name in ("recall_at_1", "mrr", "ci_low", "chance"):
            assert np.isnan(row[name]) == (over and not known), row


def exact_mcnemar(b, c):
    mcnemar = pytest.importorskip("statsmodels.stats.contingency_tables").mcnemar
    return mcnemar([[0, b], [c, 0]], exact=True).pvalue

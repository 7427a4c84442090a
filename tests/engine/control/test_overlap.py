"""Overlap against plain loops, and phones that sound can and can't find."""

import numpy as np
import pytest
from edit_distance import edits

from isogloss.engine.control import overlap
from isogloss.engine.texts.spoken_words import spoken_words


def similar(a, b):
    return 1 - edits(a, b) / max(len(a), len(b))


def plain(a, b):
    """O of two sentences of words, in loops as the formula is written; 0 where one is empty."""
    if not a or not b:
        return 0.0
    sides = []
    for x, y in ((a, b), (b, a)):
        best = sum(len(w) * max(similar(w, v) for v in y) for w in x)
        sides.append(best / sum(len(w) for w in x))
    return 2 * sides[0] * sides[1] / sum(sides) if sum(sides) else 0.0


def side(sentences):
    types = sorted({word for words in sentences for word in words})
    index = [np.asarray([types.index(word) for word in words], int) for words in sentences]
    return overlap.SoundSide(types=types, words=index)


@pytest.fixture
def sentences():
    """Two languages of words of a few phones, some of two letters, one sentence empty."""
    rng = np.random.default_rng(0)
    phones = ["a", "e", "tʃ", "k", "ɔ̃"]
    made = []
    for _ in range(2):
        words = [tuple(rng.choice(phones, rng.integers(1, 6))) for _ in range(12)]
        made.append([[words[i] for i in rng.integers(0, 12, rng.integers(1, 7))] for _ in range(9)])
    made[1][4] = []
    return made


def test_overlap_against_plain_loops(sentences, monkeypatch):
    monkeypatch.setattr(overlap, "_ROWS", 5)  # several blocks
    found = overlap.overlap(side(sentences[0]), side(sentences[1]), content_phones=3)
    expected = [[plain(a, b) for b in sentences[1]] for a in sentences[0]]
    np.testing.assert_allclose(found.scores, expected, atol=1e-12)
    for i, (a, b) in enumerate(zip(*sentences, strict=True)):
        near = max((similar(w, v) for w in a for v in b if min(len(w), len(v)) >= 3), default=0)
        assert found.closest[i] == pytest.approx(near)


def test_advantage_in_both_directions(sentences):
    scores = overlap.overlap(side(sentences[0]), side(sentences[1]), content_phones=3).scores
    found = overlap.advantage(scores)
    for i in range(len(scores)):
        others = [j for j in range(len(scores)) if j != i]
        assert found[0, i] == scores[i, i] - max(scores[i, j] for j in others)
        assert found[1, i] == scores[i, i] - max(scores[j, i] for j in others)


def test_a_single_sentence_has_no_advantage_over_others():
    assert np.isnan(overlap.advantage(np.ones((1, 1)))).all()


def test_equal_sentences_tie_exactly():
    """So that a copy of the answer takes the advantage away."""
    words = [[("a", "b"), ("c",)], [("a", "b"), ("c",)], [("d",)]]
    assert overlap.advantage(overlap.overlap(side(words), side(words), 1).scores)[0].tolist() == [0, 0, 1]


def test_the_closest_words_are_named():
    a, b = side([[tuple("halifaks"), tuple("a")]]), side([[tuple("alifaks"), tuple("a")]])
    found = overlap.overlap(a, b, content_phones=3)
    assert found.closest[0] == 1 - 1 / 8
    assert [a.types[found.words[0, 0]], b.types[found.words[0, 1]]] == [tuple("halifaks"), tuple("alifaks")]
    assert overlap.overlap(a, b, content_phones=9).words.tolist() == [[-1, -1]]
    nothing = overlap.overlap(side([[]]), side([[]]), 1)
    assert (nothing.scores.item(), nothing.closest.item()) == (0, 0)


def test_words_are_bare_and_characters_without_spaces():
    assert spoken_words("L'eau, « c'est » BON! 1.5 -", "fr_fr") == ("l'eau", "c'est", "bon", "1.5")
    assert spoken_words("हिन्दी बोलो।", "hi_in") == ("हिन्दी", "बोलो")
    assert spoken_words("你好。世界", "cmn_hans_cn") == ("你", "好", "世", "界")
    assert spoken_words("ที่นี่", "th_th") == ("ที่", "นี่")

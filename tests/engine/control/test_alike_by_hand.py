"""Similarity of words in sound against 30 pairs that are marked by hand, with espeak-ng's phones of them."""

import numpy as np
from scipy import stats

from isogloss.engine.control.control_config import ControlConfig
from isogloss.engine.texts import phones

BY_HAND = """
+ television télévision | t ɛ l ᵻ v ɪ ʒ ə n | t e l e v i z j ɔ̃
+ music música | m j u z ɪ k | m u s i k a
+ problem problema | p ɹ ɑ b l ə m | p r o b l ɛ m a
+ doctor docteur | d ɑ k t ɚ | d ɔ k t œ ʁ
+ naturel naturale | n a t y ʁ ɛ l | n a t ʊ r a l e
+ program programme | p ɹ oʊ ɡ ɹ æ m | p ʁ ɔ ɡ ʁ a m
+ animal animal | æ n ɪ m əl | a n i m a l
+ center centre | s ɛ n t ɚ | s ɑ̃ t ʁ
+ family famiglia | f æ m ɪ l i | f a m i ʎ a
+ family familia | f æ m ɪ l i | f a m i l j a
+ minister ministro | m ɪ n ɪ s t ɚ | m i n i s t r o
+ nación nazione | n a θ j o n | n a ts i o n e
+ universidad università | u n i β e ɾ s i ð a d | ʊ n i v e r s i t a
+ musique musica | m y z i k | m u z i k a
+ problema problema | p ɾ o β l e m a | p r o b l ɛ m a
- water eau | w ɔ ɾ ɚ | o
- house casa | h aʊ s | k a s a
- dog chien | d ɑ ɡ | ʃ j ɛ̃
- tree albero | t ɹ i | a l b e r o
- bread pan | b ɹ ɛ d | p a n
- apple pomme | æ p əl | p ɔ m
- milk latte | m ɪ l k | l a t e
- book libro | b ʊ k | l i β ɾ o
- spoon cuillère | s p u n | k y i j ɛ ʁ
- window ventana | w ɪ n d oʊ | b e n t a n a
- hand main | h æ n d | m ɛ̃
- five cinque | f aɪ v | tʃ i n k w e
- maison casa | m ɛ z ɔ̃ | k a z a
- perro cane | p e r o | k a n e
- leche lait | l e tʃ e | l ɛ
""".strip().splitlines()  # noqa: RUF001 (letters of the phonetic alphabet)
"""+: alike to an ear; -: of one meaning, and not alike."""


def test_what_the_rule_marks_is_alike_and_what_is_alike_is_closer():
    """At 0.6 the rule is strict: it marks nothing that isn't alike, and of what is alike only the nearest."""
    assert len(BY_HAND) == 30
    alike = np.array([line.startswith("+") for line in BY_HAND])
    sides = [[tuple(line.split(" | ")[k].split()) for line in BY_HAND] for k in (1, 2)]
    similar = 1 - np.diagonal(phones.all_distances(*sides))
    marked = similar >= ControlConfig.alike
    assert marked.sum() > 0
    assert alike[marked].all()
    above = stats.mannwhitneyu(similar[alike], similar[~alike]).statistic / (alike.sum() * (~alike).sum())
    assert above > 0.95

"""Texts that are one word, and others."""

import pytest

from isogloss.engine.texts.spoken_words import single_word


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hundred", "hundred"),
        (" «aujourd'hui» ! ", "aujourd'hui"),
        ("O'CLOCK.", "o'clock"),
        ("- minus", "minus"),
        ("你好", "你好"),
        ("हिन्दी।", "हिन्दी"),
        ("thank you", ""),
        ("100", "100"),
        ("...", ""),
        ("", ""),
    ],
)
def test_the_word_of_a_text(text, expected):
    assert single_word(text) == expected

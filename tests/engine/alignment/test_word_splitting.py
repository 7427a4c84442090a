"""Words of tokens against openai/whisper's own splitting, and by hand with a tokenizer of bytes."""
# ruff: noqa: RUF001 full-width signs are meant

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from isogloss.engine.alignment import word_splitting

TEXTS = {
    "en": [
        " Please enter your password, followed by the pound key.",
        " He said \"yes\" (twice) -- and then [no]... $5.00, O'Neill's co-op!",
        " Hello",
        " ...",
        " 'tis  the   end ",
    ],
    "es": [" ¿Quién eres? ¡Soy yo!", " Pulse 1 «ahora»."],
    "fr": [" L'élève, c'est lui : « où » ?"],
    "zh": ["我们去北京，好吗？「当然」。", "他说：𠮷野家!"],
    "ja": ["東京タワーは、高いです。"],
    "th": ["สวัสดีครับ ท่าน"],
    "yue": ["佢哋喺邊度？"],
    "ru": [" Привет, мир! Как дела?"],
    "km": [" សួស្តីពិភពលោក។"],
    "am": [" ሰላም፣ ዓለም።"],
    "hi": [" नमस्ते, दुनिया।"],
    "ar": [" مرحبا، كيف حالك؟"],
}


class Bytes:
    """A tokenizer of one byte a token, or of given pieces; no vocabulary is needed."""

    def __init__(self, pieces):
        self.pieces = pieces

    def decode(self, ids):
        return b"".join(self.pieces[i] for i in ids).decode("utf-8", errors="replace")

    @property
    def ids(self):
        return list(range(len(self.pieces)))


def words(pieces, language="en"):
    tokenizer = Bytes([piece if isinstance(piece, bytes) else piece.encode() for piece in pieces])
    return [
        (w.text, w.start, w.stop, w.core)
        for w in word_splitting.split(tokenizer.ids, language, tokenizer.decode)
    ]


def test_spaces_and_punctuation():
    """Punctuation gives no time: the core of "(yes)," is the word alone."""
    assert words([]) == []
    assert words([" Hel", "lo", " world"]) == [(" Hello", 0, 2, (0, 2)), (" world", 2, 3, (2, 3))]
    found = words([" I", " (", "yes", ")", ",", " no", "."])
    assert found == [(" I", 0, 1, (0, 1)), (" (yes),", 1, 5, (1, 3)), (" no.", 5, 7, (5, 6))]
    assert words([' "', " yes", '"']) == [(' " yes"', 0, 3, (1, 2))]  # an opening sign of its own


def test_characters_of_several_tokens():
    """Bytes that are not text stay in a word, too."""
    rice = "米".encode()
    assert words([rice[:1], rice[1:], "国"], "zh") == [("米", 0, 2, (0, 2)), ("国", 2, 3, (2, 3))]
    assert words([" a", rice[:1], rice[1:], "b"]) == [(" a米b", 0, 4, (0, 4))]
    assert words([" a", b"\xe7", " b"]) == [(" a\ufffd", 0, 2, (0, 2)), (" b", 2, 3, (2, 3))]
    assert words([" a", b"\xe7"]) == [(" a\ufffd", 0, 2, (0, 2))]
    assert words([" a", b"\xe7", b"\xb1"]) == [(" a\ufffd\ufffd", 0, 3, (0, 3))]
    assert words([b"\xe7", b"\xb1"], "zh") == [("\ufffd", 0, 1, (0, 1)), ("\ufffd", 1, 2, (1, 2))]


@settings(max_examples=200)
@given(st.text(max_size=12), st.sampled_from(["en", "zh"]), st.integers(0, 2**30))
def test_every_token_is_in_one_word(text, language, seed):
    """Whatever the text and wherever it is cut: words are in order, nothing is lost or repeated."""
    data = text.encode("utf-8", errors="replace")
    cuts = np.random.default_rng(seed).random(max(len(data) - 1, 0)) < 0.5
    edges = [0, *(np.flatnonzero(cuts) + 1), len(data)] if data else [0]
    tokenizer = Bytes([data[a:b] for a, b in itertools.pairwise(edges)])
    found = word_splitting.split(tokenizer.ids, language, tokenizer.decode)
    assert [0, *(w.stop for w in found)] == [*(w.start for w in found), len(tokenizer.ids)]
    assert "".join(w.text for w in found) == data.decode()
    assert all(w.start <= w.core[0] < w.core[1] <= w.stop for w in found)


def openai_words(tokenizer, timing, ids):
    """(text, tokens, start of the word that openai would have timed)."""
    texts, tokens = tokenizer.split_to_word_tokens([*ids, tokenizer.eot])
    starts = np.cumsum([0, *map(len, tokens)]).tolist()
    alignment = [
        timing.WordTiming(word, own, starts[i], starts[i + 1], 0.0)
        for i, (word, own) in enumerate(zip(texts[:-1], tokens[:-1], strict=True))
    ]
    timing.merge_punctuations(alignment, word_splitting.PREPENDED, word_splitting.APPENDED)
    return [(w.word, w.tokens, (w.start, w.end)) for w in alignment if w.word]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # its vocabulary file stays open
@pytest.mark.parametrize("language", TEXTS)
def test_equal_to_openai(language):
    tokenizers = pytest.importorskip("whisper.tokenizer", reason="openai-whisper isn't installed")
    timing = pytest.importorskip("whisper.timing")
    tokenizer = tokenizers.get_tokenizer(True, num_languages=100, language=language)
    for text in TEXTS[language]:
        ids = tokenizer.encode(text)
        found = word_splitting.split(ids, language, tokenizer.encoding.decode)
        expected = openai_words(tokenizer, timing, ids)
        assert [(w.text, ids[w.start : w.stop], w.core) for w in found] == expected


def test_punctuation_of_openai():
    whisper = pytest.importorskip("whisper.timing", reason="openai-whisper isn't installed")
    defaults = whisper.add_word_timestamps.__kwdefaults__
    assert word_splitting.PREPENDED == defaults["prepend_punctuations"]
    assert word_splitting.APPENDED == defaults["append_punctuations"]


def test_only_languages_with_spaces_begin_with_one():
    assert [word_splitting.leading_space(language) for language in ("en", "zh")] == [" ", ""]

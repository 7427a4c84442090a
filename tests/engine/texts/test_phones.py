"""Phones by the real espeak-ng, and the distance of words by them."""

import builtins

import numpy as np
import pytest
from edit_distance import edits

from isogloss.engine.corpora import languages
from isogloss.engine.texts import espeak_voices, phones

pytest.importorskip("phonemizer", reason="the extra `phones` isn't installed")


@pytest.fixture(scope="module")
def voices():
    return phones.Phones()


@pytest.mark.parametrize(
    ("read", "tonal", "expected"),
    [
        ("tʃ_ˈɜː_tʃ", False, ("tʃ", "ɜ", "tʃ")),
        ("n_i2_ χ_\u0251u2_", True, ("n", "i", "χ", "\u0251u")),
        ("m_\u0251ɜ_", True, ("m", "\u0251")),  # how espeak-ng writes the third tone
        ("ɜ_", True, ("ɜ",)),
        ("b_ɜː_d", False, ("b", "ɜ", "d")),
        ("_(en)_w_ɒ_ʃ_(fr)", False, ("w", "ɒ", "ʃ")),
        ("__ _", False, ()),
        ("", False, ()),
    ],
)
def test_units_without_suprasegmentals_and_flags(read, tonal, expected):
    assert phones.split(read, tonal=tonal) == expected


def test_distance_is_edits_by_the_longer():
    """Phones of two letters are one, and unknown ones have no distance."""
    cases = {("abc", "abc"): 0, ("abc", "xyz"): 1, ("abc", "abd"): 1 / 3, ("a", "abcd"): 3 / 4}
    for (a, b), expected in (cases | {("kitten", "sitting"): 3 / 7}).items():
        assert phones.distance(tuple(a), tuple(b)) == pytest.approx(expected)
        assert phones.distance(tuple(b), tuple(a)) == pytest.approx(expected)
    assert phones.distance(("tʃ", "a"), ("t", "a")) == 0.5
    values = phones.distances([(("a",), ("a",)), (None, ("a",)), (None, None)])
    np.testing.assert_array_equal(values, [0, np.nan, np.nan])


def test_all_distances_by_plain_loops():
    """Also exactly 2 / 5, which decides what is near."""
    rng = np.random.default_rng(0)
    sides = [
        [tuple(rng.choice(["a", "e", "tʃ", "t", "ɔ̃"], rng.integers(1, 7))) for _ in range(n)]
        for n in (20, 15)
    ]
    sides[0][0], sides[1][0] = tuple("abcde"), tuple("abcxy")
    expected = [[edits(a, b) / max(len(a), len(b)) for b in sides[1]] for a in sides[0]]
    np.testing.assert_array_equal(phones.all_distances(*sides), expected)
    assert phones.all_distances(sides[0], []).shape == (20, 0)


def test_english_words(voices):
    known = voices.of("en_us", ["church", "sea", "see", "Sea.", "...", ""])
    assert known["church"] == ("tʃ", "ɜ", "tʃ")
    assert known["sea"] == known["see"] == known["Sea."] == ("s", "i")
    assert known["..."] is None
    assert known[""] is None


def test_a_word_read_by_the_rules_of_another_language_is_no_warning(voices, caplog):
    assert voices.of("fr", ["etes"]) == {"etes": ("i", "t", "s")}  # "êtes" without its accent, as if English
    assert not caplog.records


def test_cognates_sound_closer_than_other_words(voices):
    french, spanish = voices.of("fr", ["animal", "fenêtre"]), voices.of("es_419", ["animal", "ventana"])
    cognates = phones.distance(french["animal"], spanish["animal"])
    assert cognates == 0 < phones.distance(french["fenêtre"], spanish["ventana"])


UNREADABLE = {"ja_jp": "日本", "en_us": "привет", "ko_kr": "日本", "ru_ru": "日"}
READABLE = {
    "ja_jp": "カメラー",
    "cmn_hans_cn": "你好",
    "ru_ru": "привет",
    "fr": "Washington",
    "hi_in": "नमस्ते",
}


def test_letters_that_a_voice_only_names_are_unknown(voices):
    for language, word in UNREADABLE.items():
        assert voices.of(language, [word]) == {word: None}
    for language, word in (READABLE | {"uz_uz": "салом"}).items():
        assert voices.of(language, [word])[word], language


ONE_LETTER = {
    "el": {"η": "i", "\u03bf": "o"},
    "ru": {"в": "v", "«\u0421": "s", "и": "i"},
    "pt": {"é,": "ɛ", "a": "a"},
    "pl": {"w": "v", "z": "z"},
    "cs": {"s": "s", "v": "v", "z": "z"},
    "bg": {"в": "v"},
    "sl": {"z": "z"},
    "fr": {"y": "i", "(à)": "a"},
    "es": {"y": "i"},
    "en": {"I": "a\u026a", "C": "si"},  # "C" is not a word: its name
    "ko": {"그": "\u0261\u026f"},
}


@pytest.mark.parametrize("language", ONE_LETTER)
def test_a_word_of_one_letter_is_its_sound(voices, language):
    read = voices.of(language, ONE_LETTER[language])
    assert {word: "".join(found) for word, found in read.items()} == ONE_LETTER[language]


@pytest.mark.parametrize(
    ("name", "twice", "expected"),
    [
        ("ita", "i i_t_a", "i"),
        ("və", "v_f", "v"),  # two words written as one
        ("zet", "s z_e_t", "z"),  # the second's voice
        ("ɛks", "ɛ_k_s ɛ_k_s", "ɛks"),
        ("alfa", "a_l_f a_l_f_a", "alfa"),
        ("a", "æ a", "a"),
        ("a", "", "a"),
    ],
)
def test_a_letter_by_its_name_and_twice(name, twice, expected):
    assert phones.of_letter(tuple(name), twice, tonal=False) == tuple(expected)


def test_tones_are_not_phones(voices):
    known = voices.of("cmn_hans_cn", ["妈", "麻", "马"])
    assert known["妈"] == known["麻"] == known["马"] == ("m", "\u0251")


def test_languages_without_a_voice_have_a_reason(voices):
    assert voices.of("ast_es", ["agua"]) == {"agua": None}
    assert voices.of("th_th", ["มา"]) == {"มา": None}
    assert set(voices.voiceless) == {"ast_es", "th_th"}
    assert "vowel" in voices.voiceless["th_th"]


def test_every_voice_is_one_of_espeak():
    from phonemizer.backend import EspeakBackend  # noqa: PLC0415

    phones.Phones()
    assert set(espeak_voices.VOICES.values()) <= set(EspeakBackend.supported_languages())


def test_fleurs_and_plain_codes_have_one_voice():
    for language in languages.LANGUAGES.values():
        plain = language.code.split("_")[0]
        if language.code not in espeak_voices.VOICES:
            assert espeak_voices.voice(language.code) == espeak_voices.voice(plain)
    assert espeak_voices.voice("pt-BR") == "pt-br"
    assert espeak_voices.voice("zh") == espeak_voices.voice("cmn_hans_cn") == "cmn"
    assert sum(espeak_voices.voice(code) is not None for code in languages.LANGUAGES) == 70


def test_a_missing_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith(("phonemizer", "espeakng_loader")):
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"\.\[phones\]"):
        phones.Phones()

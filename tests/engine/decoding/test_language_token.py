"""Language tokens: own ones, stand-ins for those that Whisper lacks, flags before both."""

import pytest

from isogloss.engine.corpora import languages
from isogloss.engine.decoding import language_token

WHISPER = frozenset(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht "
    "hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl "
    "ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh".split()
)
UNKNOWN = "ast ceb ckb ff ga ig kam kea ky lg luo nso ny om or umb wo xh zu".split()  # as FACTS lists them


def choose(code, asked="per-utterance", known=WHISPER, **overrides):
    return language_token.choose(code, asked, overrides, known)


def test_all_languages_of_fleurs_have_a_token():
    for code, language in languages.LANGUAGES.items():
        token = choose(code)
        assert token.language in WHISPER
        if language.whisper:
            assert (token.language, token.how) == (language.whisper, "own")
        else:
            assert token.how == "stand-in"
            assert token.reason
    assert sorted(language_token.REASONS) == UNKNOWN
    without = [c.partition("_")[0] for c, found in languages.LANGUAGES.items() if not found.whisper]
    assert sorted(without) == UNKNOWN


def test_codes_of_any_corpus():
    codes = {"en": "en", "en_us": "en", "cmn_hans_cn": "zh", "fil_ph": "tl", "jv": "jw", "nn_no": "nn"}
    for code, language in (codes | {"yue_hant_hk": "zh"}).items():
        assert choose(code) == language_token.Token(language=language, how="own")
    # Cantonese has its own token where the model has one.
    assert choose("yue_hant_hk", known=WHISPER | {"yue"}).language == "yue"


def test_flags_go_before_the_table_and_the_own_token():
    for asked in ("per-utterance", "ru", "detect"):
        assert choose("ky_kg", asked=asked, ky="tr") == language_token.Token(language="tr", how="given")
    assert choose("ky_kg", ky="tr", ky_kg="uz").language == "uz"
    assert choose("en_us", en="de").language == "de"
    assert choose("xx", asked="ru") == language_token.Token(language="ru", how="given")
    assert choose("xx", asked="detect") == language_token.Token(language="", how="detected")


def test_pairs_are_parsed_and_unused_ones_found():
    assert language_token.unused({"ky": "kk", "ga_ie": "en", "kyy": "kk"}, ("ky_kg", "ga_ie")) == ["kyy"]
    assert language_token.parse(["ky=kk", "ga_ie=en"]) == {"ky": "kk", "ga_ie": "en"}
    assert language_token.parse([]) == {}
    for wrong in (["ky"], ["=kk"], ["ky="], ["ky=kk", "ky=tr"]):
        with pytest.raises(ValueError, match="CODE=LANGUAGE"):
            language_token.parse(wrong)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"code": "aa_et"}, "--stand_in=aa=LANGUAGE"),
        ({"code": "ky_kg", "ky": "xx"}, r"--stand_in=ky=xx: .*got 'xx'"),
        ({"code": "en", "asked": "xx"}, "--language=xx"),
        ({"code": "ky_kg", "known": {"en"}}, "stand-in of ky_kg"),
        ({"code": "en_us", "known": (), "asked": "detect"}, "English-only"),
        ({"code": "en_us", "known": (), "asked": "fr"}, "English-only"),
    ],
)
def test_a_language_without_a_token_is_refused_with_a_remedy(given, message):
    with pytest.raises(ValueError, match=message):
        choose(**given)


def test_an_english_only_model_needs_no_token():
    assert choose("fr_fr", known=()) == language_token.Token(language="en", how="none")

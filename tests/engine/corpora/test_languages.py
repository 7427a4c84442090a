"""The table of languages against what is known of the dataset and of Whisper."""

import collections
import dataclasses
import re

import pytest
from transformers.models.whisper import tokenization_whisper

from isogloss.engine.corpora import languages
from isogloss.engine.corpora.languages import LANGUAGES
from isogloss.engine.whisper import tokenizer

WITHOUT_TOKEN = "ast ceb ckb ff ga ig kam kea ky lg luo nso ny om or umb wo xh zu".split()


def test_counts():
    assert len(LANGUAGES) == 102
    sizes = collections.Counter(language.group for language in LANGUAGES.values())
    assert [sizes[group] for group in languages.GROUPS] == [25, 16, 12, 20, 14, 11, 4]
    assert len({language.name for language in LANGUAGES.values()}) == 102


def test_table_of_places():
    table = list(LANGUAGES.values())
    places = {(language.latitude, language.longitude) for language in table}
    assert len(places) == len({language.glottocode for language in table}) == 102
    for language in table:
        assert re.fullmatch("[a-z]{4}[0-9]{4}", language.glottocode)
        assert re.fullmatch("[a-z]{3}", language.iso639_3)
        assert re.fullmatch("[A-Z][a-z]{3}", language.script)
        assert -60 < language.latitude < 70
        assert -30 < language.longitude < 180
    families = {language.branch: language.family for language in table}
    assert all(families[language.branch] == language.family for language in table)
    assert len(families) == 37
    assert collections.Counter(families.values())["Indo-European"] == 9
    assert [key.name for key in dataclasses.fields(languages.Language)] == languages._COLUMNS


@pytest.mark.parametrize(
    ("code", "family", "branch", "script"),
    [
        ("fr", "Indo-European", "Romance", "Latn"),
        ("hu", "Uralic", "Hungarian", "Latn"),
        ("zu", "Atlantic-Congo", "Narrow Bantu", "Latn"),
        ("yue", "Sino-Tibetan", "Sinitic", "Hant"),
        ("mt", "Afro-Asiatic", "Semitic", "Latn"),
        ("ur", "Indo-European", "Indo-Aryan", "Arab"),
        ("ko", "Koreanic", "Korean", "Kore"),
    ],
)
def test_families(code, family, branch, script):
    found = languages.find(code)
    assert (found.family, found.branch, found.script) == (family, branch, script)


def test_what_is_written_without_spaces():
    written = {code for code, language in LANGUAGES.items() if language.without_spaces}
    assert written == {"km_kh", "lo_la", "my_mm", "th_th", "cmn_hans_cn", "ja_jp", "yue_hant_hk"}
    assert all(map(languages.without_spaces, [*written, "zh", "zh-TW", "yue", "km", "bo", "bo_cn"]))
    assert not any(map(languages.without_spaces, ["en", "ko_kr", "vi", "ky", "xx"]))
    assert all(map(languages.without_spaces, tokenizer.WITHOUT_SPACES))


def test_tokens():
    without = [code for code, language in LANGUAGES.items() if not language.whisper]
    assert sorted(code.split("_")[0] for code in without) == WITHOUT_TOKEN
    tokens = tokenization_whisper.LANGUAGES
    renamed = {}
    for code, language in LANGUAGES.items():
        if language.whisper:
            assert language.whisper in tokens
            if language.whisper != code.split("_")[0]:
                renamed[code] = language.whisper
    assert renamed == {"fil_ph": "tl", "nb_no": "no", "cmn_hans_cn": "zh", "yue_hant_hk": "zh", "jv_id": "jw"}


def test_hours_of_whispers_training():
    """Totals of the paper: 117,000 hours of 74 languages beside English; of all 75 FLEURS has 68."""
    hours = {code: each.whisper_hours for code, each in LANGUAGES.items() if each.whisper_hours is not None}
    assert (hours["en_us"], hours["fr_fr"], hours["gl_es"], hours["lo_la"]) == (438_218, 9752, 8.9, 0.1)
    assert all(LANGUAGES[code].whisper for code in hours)
    assert len(hours) == 68
    beyond = {"eu": 21, "sq": 5.7, "si": 5.4, "ht": 1, "yi": 0.4, "mg": 0.2, "su": 0.1}  # of FLEURS
    assert sum(hours.values()) - hours["en_us"] + sum(beyond.values()) == pytest.approx(117_000, rel=1e-3)


def test_names_are_whispers_where_both_have_one():
    """Whisper's English names differ from FLEURS's for these languages only."""
    tokens = tokenization_whisper.LANGUAGES
    other = {
        code: tokens[language.whisper]
        for code, language in LANGUAGES.items()
        if language.whisper and tokens[language.whisper] != language.name.lower()
    }
    assert other == {
        "cmn_hans_cn": "chinese",
        "yue_hant_hk": "chinese",
        "fil_ph": "tagalog",
        "my_mm": "myanmar",
    }


def test_codes():
    assert LANGUAGES["es_419"].name == "Spanish"
    for code, language in LANGUAGES.items():
        assert language.code == code
        assert 2 <= len(code.split("_")) <= 3
        assert code == code.lower()


@pytest.mark.parametrize(
    ("code", "name", "group"),
    [
        ("en", "English", "Western Europe"),
        ("en_us", "English", "Western Europe"),
        ("en-GB", "English", "Western Europe"),
        ("es", "Spanish", "Western Europe"),
        ("fr", "French", "Western Europe"),
        ("zh", "Mandarin Chinese", "CJK"),
        ("cmn_hans_cn", "Mandarin Chinese", "CJK"),
        ("yue", "Cantonese Chinese", "CJK"),
        ("jw", "Javanese", "South-East Asia"),
        ("tl", "Filipino", "South-East Asia"),
        ("no", "Norwegian", "Western Europe"),
        ("nb", "Norwegian", "Western Europe"),
        ("xx", "xx", "other"),
    ],
)
def test_names_and_groups_by_any_code(code, name, group):
    assert languages.language_name(code) == name
    assert languages.language_group(code) == group


def test_whisper_codes():
    codes = ("cmn_hans_cn", "yue_hant_hk", "ky_kg", "en", "pt-BR", "fil_ph", "xx_yy")
    assert [languages.whisper_code(code) for code in codes] == ["zh", "yue", "ky", "en", "pt", "tl", "xx"]


def test_every_code_of_fleurs_and_of_whisper_is_known():
    known = [*LANGUAGES, *(code.split("_")[0] for code in LANGUAGES), *tokenization_whisper.LANGUAGES]
    assert languages.unknown([*known, "en-GB", "pt_BR", "zh-CN"]) == {}
    assert languages.unknown_message(known) == ""


def test_three_letters_belong_to_languages():
    assert languages.unknown(set(languages._THREE_LETTERS.values())) == {}
    assert set(tokenization_whisper.LANGUAGES) <= {*languages._THREE_LETTERS.values(), "haw", "yue"}


@pytest.mark.parametrize(
    ("code", "near"),
    [
        ("english", "en"),
        ("English", "en"),
        ("EN", "en"),
        ("EN_US", "en_us"),
        ("eng", "en"),
        ("ger", "de"),
        ("mandarin", "zh"),
        ("Basque", "eu"),
        ("kyrgyz", "ky"),
        ("portugese", "pt"),
        ("clean", ""),
    ],
)
def test_other_spellings_lead_to_a_code(code, near):
    assert languages.unknown(["fr", code]) == {code: near}
    assert f"{code} (write {near})" in languages.unknown_message([code]) or not near

"""Voices of espeak-ng by language, and the scripts that they read.

Languages are FLEURS codes ("en_us", "cmn_hans_cn") or plain ISO and Whisper codes ("en", "zh"). The table was
made by trying the voices of espeak-ng 1.52: one whose output isn't phones of its language is in UNUSABLE with
the reason. 70 of FLEURS's 102 languages have a voice.
"""

import unicodedata

_SAME = """
    af am an ar as az ba be bg bn bs ca cs cv cy da de el eo es et eu fa fi fo ga gd gn gu haw he hi
    hr ht hu hy ia id is it ja ka kk kl kn ko kok ku ky la lb lt ltg lv mi mk ml mr ms mt nb ne nl
    om or pa pap pl pt qu ro ru sd si sk sl sq sr sv sw ta te ti tk tn tr tt ug uk ur uz vi
""".split()
VOICES = {code: code for code in _SAME} | {
    "cmn": "cmn",
    "en": "en-us",
    "en_gb": "en-gb",
    "es_419": "es-419",
    "fr": "fr-fr",
    "fr_be": "fr-be",
    "fr_ch": "fr-ch",
    "iw": "he",
    "no": "nb",
    "pt_br": "pt-br",
    "zh": "cmn",
}
"""Voice by language; the whole code is looked up before its first part."""

UNUSABLE = {
    "my": "espeak-ng's Burmese voice drops vowels and adds consonants that aren't there",
    "th": "espeak-ng's Thai voice reads vowel signs as consonants",
    "yue": "espeak-ng's Cantonese voice writes letters of Jyutping, not phones",
}
"""Languages that espeak-ng lists but whose phones can't be compared, with the reason."""

_SCRIPTS = {
    "ARABIC": ("ar", "fa", "sd", "ug", "ur"),
    "ARMENIAN": ("hy",),
    "BENGALI": ("as", "bn"),
    "CJK": ("cmn",),
    "CYRILLIC": ("ba", "be", "bg", "cv", "kk", "ky", "mk", "ru", "sr", "tt", "uk", "uz"),
    "DEVANAGARI": ("hi", "kok", "mr", "ne"),
    "ETHIOPIC": ("am", "ti"),
    "GEORGIAN": ("ka",),
    "GREEK": ("el",),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "HANGUL": ("ko",),
    "HEBREW": ("he",),
    "HIRAGANA": ("ja",),
    "KANNADA": ("kn",),
    "KATAKANA": ("ja",),
    "MALAYALAM": ("ml",),
    "ORIYA": ("or",),
    "SINHALA": ("si",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
}
"""Voices that read a script, by the first word of its letters' Unicode names; all read Latin."""


def voice(language: str) -> str | None:
    """Voice of a language; None if there is none, see `reason`."""
    code = language.replace("-", "_").lower()
    # "pt_br" has a voice of its own, "pt_pt" that of "pt".
    return VOICES.get(code) or VOICES.get(code.split("_")[0])


def reason(language: str) -> str:
    """Reason why a language has no voice."""
    return UNUSABLE.get(language.replace("-", "_").lower().split("_")[0], "espeak-ng has no voice for it")


def readable(voice: str, word: str) -> bool:
    """True if `voice` can read every letter of a word.

    espeak-ng reads the name of other letters: a Japanese voice reads every kanji as "Chinese letter".
    """
    for character in unicodedata.normalize("NFKC", word):
        if unicodedata.category(character).startswith("L"):
            script = unicodedata.name(character, "").split(" ")[0].split("-")[0]
            if script not in ("LATIN", "MODIFIER") and voice not in _SCRIPTS.get(script, ()):
                return False
    return True

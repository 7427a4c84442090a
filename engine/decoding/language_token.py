"""Language token of the decoder's prompt.

A language has its own token if the model has one. The 19 languages of FLEURS that Whisper lacks have a
stand-in, chosen by kinship, then by script, then by contact. These choices are arguments, not measurements:
--stand_in replaces them, --language=detect asks the model. Each row of transcripts.parquet names its token.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from isogloss.engine.corpora.languages import base_code, find, unknown, whisper_code
from isogloss.engine.runtime.refusal import Refusal

PER_UTTERANCE, DETECT = "per-utterance", "detect"

REASONS = {
    "ast": ("es", "Ibero-Romance; Spanish is nearest in sound, spelling and contact"),
    "ceb": ("tl", "Central Philippine like Tagalog, same spelling"),
    "ckb": ("fa", "Iranian in Arabic script; Persian is the kin with most speech, some letters differ"),
    "ff": ("ha", "no kin known; Hausa is its neighbour and shares the letters ɓ ɗ ƴ"),
    "ga": ("cy", "Celtic; Welsh is the Celtic language with most speech"),
    "ig": ("yo", "Volta-Niger like Yoruba, tonal, with the same dotted letters"),
    "kam": ("sw", "Bantu of Kenya; Swahili is kin and neighbour"),
    "kea": ("pt", "creole of Portuguese words"),
    "ky": ("kk", "Kipchak Turkic in Cyrillic like Kazakh"),
    "lg": ("sw", "Bantu of the Great Lakes; Swahili is kin and neighbour"),
    "luo": ("sw", "Nilotic, no kin known; Swahili is its neighbour and spelled alike"),
    "nso": ("sn", "Southern Bantu; Shona is the nearest kin known"),
    "ny": ("sn", "Bantu next to Shona"),
    "om": ("so", "Lowland East Cushitic like Somali, Latin with doubled vowels"),
    "or": ("bn", "Eastern Indo-Aryan like Bengali; the script differs, so expect error rates near 100%"),
    "umb": ("ln", "Western Bantu; Lingala is the nearest kin known"),
    "wo": ("fr", "no kin known; French is the language of contact and of many loans"),
    "xh": ("sn", "Southern Bantu; Shona is the nearest kin known"),
    "zu": ("sn", "Southern Bantu; Shona is the nearest kin known"),
}
"""Stand-in, and the reason for it, by the first part of a FLEURS code."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Token:
    """Language token of the decoder's prompt.

    Attributes:
      language: by Whisper's code; "" where each utterance's is detected.
      how: "own", "stand-in", "given" (by a flag), "detected", or "none" for English-only models.
      reason: for a stand-in.
    """

    language: str
    how: str
    reason: str = ""


def parse(pairs: Sequence[str]) -> dict[str, str]:
    """Stand-ins of --stand_in=ky=kk,ga_ie=en: by code, whole or its first part.

    Raises:
      Refusal: a pair is malformed, or a code is given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        code, _, language = pair.partition("=")
        if not code or not language or code in found:
            raise Refusal(
                f"--stand_in takes CODE=LANGUAGE, each code once, as in ky=kk,ga=cy; got {','.join(pairs)}"
            )
        found[code] = language
    return found


def unused(overrides: Mapping[str, str], codes: Iterable[str]) -> list[str]:
    """Codes of `overrides` that match none of the languages `codes`, perhaps misspelt."""
    return sorted(set(overrides) - {name for code in codes for name in (code, base_code(code))})


def choose(code: str, asked: str, overrides: Mapping[str, str], known: Collection[str]) -> Token:
    """Language token for the utterances of a language.

    Args:
      code: as the corpus writes it, "en_us", "cmn_hans_cn" or "en".
      asked: "per-utterance", "detect" or one of Whisper's codes.
      overrides: from `parse`; they take precedence.
      known: languages that the model has tokens for; empty for English-only models.

    Raises:
      Refusal: the model lacks the token, or there is no token and no stand-in for the language.
    """
    if not known:
        if asked not in (PER_UTTERANCE, "en"):
            rule = "an English-only model has no language tokens"
            raise Refusal(f"--language={asked}: {rule}. Remedy: a multilingual --model")
        return Token(language="en", how="none")
    base = base_code(code)
    # A user's choice goes before everything, also before --language, which is of all languages at once.
    for name in (code, base):
        if name in overrides:
            language = _checked(overrides[name], f"--stand_in={name}={overrides[name]}", known)
            return Token(language=language, how="given")
    if asked == DETECT:
        return Token(language="", how="detected")
    if asked != PER_UTTERANCE:
        return Token(language=_checked(asked, f"--language={asked}", known), how="given")
    found = find(code)
    # The code itself first: large-v3 has "yue", older models write Cantonese as "zh".
    for own in (base, found.whisper if found else base):
        if own in known:
            return Token(language=own, how="own")
    if base in REASONS:
        language, reason = REASONS[base]
        return Token(language=_checked(language, f"stand-in of {code}", known), how="stand-in", reason=reason)
    raise Refusal(
        f"language {code!r}: the model has no token for it and there is no stand-in. Remedy: "
        f"--stand_in={base}=LANGUAGE, or in transcribe and align --language=LANGUAGE or --language=detect"
    )


def written_as(code: str, token: Token) -> str:
    """Whisper's code of the language by whose rules texts are normalised and scored.

    Its own if Whisper has it, else that of a token given by a flag. Stand-ins of the table don't count: they
    are kin, and may have another script.

    Args:
      code: language of the texts, as the corpus writes it.
      token: of the prompt.
    """
    found = find(code)
    lacks = not found.whisper if found else bool(unknown([code]))
    return token.language if lacks and token.how == "given" else whisper_code(code)


def _checked(language: str, what: str, known: Collection[str]) -> str:
    if language not in known:
        raise Refusal(f"{what}: the model's languages are {' '.join(known)}; got {language!r}")
    return language

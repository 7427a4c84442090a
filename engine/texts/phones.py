"""Phones of words by espeak-ng through phonemizer, and phone edit distances of words.

Needs the extra `phones`, which installs espeak-ng. Stress, length and tone are removed before phones are
compared, because languages write them differently. An affricate or diphthong that is one phoneme of espeak-ng
is one phone. A word takes about 0.3 ms, once. Scripts that leave vowels out (Arabic, Hebrew) give phones
without them. espeak-ng reads a single letter as its name, although Greek "η", Russian "в" and Portuguese "é"
are words; see `of_letter`.
"""

import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from isogloss.engine.runtime.refusal import Refusal, install
from isogloss.engine.texts import espeak_voices

Phonemes = tuple[str, ...]

_FLAG = re.compile(r"\([^)]*\)")  # espeak-ng's mark of a word read in another language
_SUPRASEGMENTAL = re.compile(r"[ˈˌːˑ˥˦˧˨˩0-9]")
_TONAL = {"cmn", "vi"}
_FIRST = 0x100  # code of the first phone in the texts that `all_distances` compares
_MARKS = logging.getLogger(f"{__name__}.marks")
# phonemizer warns of words that espeak-ng reads in another language; `split` reads their marks.
_MARKS.setLevel(logging.ERROR)
_THIRD_TONE = "ɜ"  # espeak-ng's IPA for the digit 3 of a tone; no such vowel in these languages


class Phones:
    """Phones of words, each computed once."""

    def __init__(self) -> None:
        """Find espeak-ng.

        Raises:
          Refusal: the extra `phones` isn't installed.
        """
        try:
            import espeakng_loader  # noqa: PLC0415 - an extra
            from phonemizer.backend.espeak import wrapper  # noqa: PLC0415
        except ImportError as error:
            raise Refusal(
                f"--phones needs phonemizer and espeak-ng, and {error.name} isn't installed: "
                f"{install('phones')}, or leave the phonetic check out with --phones=none"
            ) from error
        wrapper.EspeakWrapper.set_library(espeakng_loader.get_library_path())
        wrapper.EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
        self._known: dict[tuple[str, str], Phonemes | None] = {}
        self._asked: set[str] = set()

    @property
    def voiceless(self) -> dict[str, str]:
        """Languages of `of` so far that have no voice, with the reason."""
        return {
            language: espeak_voices.reason(language)
            for language in sorted(self._asked)
            if espeak_voices.voice(language) is None
        }

    def of(self, language: str, words: Iterable[str]) -> Mapping[str, Phonemes | None]:
        """Phones by word; None for words that can't be read, and for all if the language has no voice."""
        self._asked.add(language)
        wanted = sorted(set(words))
        voice = espeak_voices.voice(language)
        if voice is None:
            return dict.fromkeys(wanted)
        new = [word for word in wanted if (voice, word) not in self._known]
        if new:
            # Words that the voice can't read stay None, and aren't asked for again.
            self._known |= {(voice, word): None for word in new}
            readable = [word for word in new if espeak_voices.readable(voice, word)]
            # espeak-ng reads a letter alone by its name; twice, as a word of a sentence, by its sound.
            letters = {word: letter for word in readable if (letter := _letter(word))}
            twice = dict(zip(letters, _read(voice, [f"{x} {x}" for x in letters.values()]), strict=True))
            for word, read in zip(readable, _read(voice, readable), strict=True):
                found = split(read, tonal=voice in _TONAL)
                if word in twice:
                    found = of_letter(found, twice[word], tonal=voice in _TONAL)
                self._known[voice, word] = found or None
        return {word: self._known[voice, word] for word in wanted}


def split(read: str, *, tonal: bool) -> Phonemes:
    """Phones of one word from espeak-ng's output, which has "_" between phones and " " between words.

    Args:
      read: with flags such as "(en)" where espeak-ng changes the language.
      tonal: whether a final ɜ of a phone is a tone.
    """
    found = []
    # A word that espeak-ng reads by the rules of another language keeps its phones; only the mark goes.
    for unit in re.split(r"[_ ]+", _FLAG.sub("_", read)):
        phone = _SUPRASEGMENTAL.sub("", unit)
        if tonal and len(phone) > 1:
            phone = phone.removesuffix(_THIRD_TONE)
        if phone:
            found.append(phone)
    return tuple(found)


def of_letter(name: Phonemes, twice: str, *, tonal: bool) -> Phonemes:
    """Phones of a letter as a word if it is a word, otherwise of its name.

    espeak-ng reads the letter twice. The first of two words is read as in a sentence, by its sound alone; a
    letter that isn't a word is read by its name both times. A sound that isn't in the name was assimilated to
    the second word (Czech "z" as "s"); the first phone of the name replaces it.

    Args:
      name: phones of the letter alone.
      twice: output of espeak-ng for the letter twice, perhaps joined.
      tonal: as of `split`.
    """
    first, *others = (split(word, tonal=tonal) for word in twice.split(" "))
    sound = first if others or len(first) != 2 else first[:1]
    if len(name) == 1 or len(sound) != 1:
        return name
    return sound if sound[0] in name else name[:1]


def distance(a: Phonemes, b: Phonemes) -> float:
    """Edit distance over phones, divided by the phones of the longer word: from 0, equal, to 1."""
    return float(Levenshtein.normalized_distance(a, b))


def distances(pairs: Sequence[tuple[Phonemes | None, Phonemes | None]]) -> Float[np.ndarray, " P"]:
    """Distance of each pair of words; NaN if one has no phones."""
    values = (np.nan if a is None or b is None else distance(a, b) for a, b in pairs)
    return np.fromiter(values, np.float64, len(pairs))


def all_distances(a: Sequence[Phonemes], b: Sequence[Phonemes]) -> Float[np.ndarray, "T U"]:
    """`distance` of every word of a from every word of b; 3,000 words a side take a second."""
    if not a or not b:
        return np.ones((len(a), len(b)))
    codes = {phone: chr(_FIRST + i) for i, phone in enumerate(dict.fromkeys(p for w in (*a, *b) for p in w))}
    texts = [["".join(codes[phone] for phone in word) for word in side] for side in (a, b)]
    return process.cdist(*texts, scorer=Levenshtein.normalized_distance, dtype=np.float64, workers=1)


def _letter(word: str) -> str:
    """The letter of a word of one letter, punctuation apart; "" for other words."""
    known = [c for c in unicodedata.normalize("NFC", word) if unicodedata.category(c)[0] not in "PSZ"]
    return known[0] if len(known) == 1 and unicodedata.category(known[0])[0] == "L" else ""


def _read(voice: str, words: Sequence[str]) -> list[str]:
    from phonemizer.backend import EspeakBackend  # noqa: PLC0415 - an extra
    from phonemizer.separator import Separator  # noqa: PLC0415

    if not words:
        return []
    backend = EspeakBackend(voice, with_stress=False, language_switch="keep-flags", logger=_MARKS)
    separator = Separator(phone="_", word=" ", syllable="")
    return backend.phonemize(list(words), separator=separator, strip=True)

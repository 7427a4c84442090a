"""MaSS: verses of the New Testament in eight languages, cut by the scripts of github.com/getalp/mass-dataset.

The audio can't be published, so each user cuts chapters into verses by `coupe_verset.py`. That writes
B01___01_Matthieu____FRNTLSN2DA_verse_7_one_channel.wav and ..._verse_7.txt. Their names hold the edition,
which is the language, and book, chapter and verse, which languages share once the book's name is in English
(as in `fetch_data.py`; the number after B isn't shared). Reads no audio.
"""

import pathlib
import re

from isogloss.engine.corpora import audio, listing
from isogloss.engine.corpora.listing import Recording
from isogloss.engine.runtime.refusal import Refusal

EDITIONS = {
    "EUSEABN1DA": "eu",
    "ENGESVN1DA": "en",
    "FIN38VN1DA": "fi",
    "FRNTLSN2DA": "fr",
    "HUNHBSN1DA": "hu",
    "RONDCVN1DA": "ro",
    "RUSS76N2DA": "ru",
    "SPNBDAN1DA": "es",
}
"""Language of each edition of the Bible that MaSS is made of."""

# The groups: chapter, number before the book's name ("1Corinthians"), book, edition, verse.
_VERSE = re.compile(r"B\d+_+(\d+)_+(\d?)(.+?)_*([A-Z0-9]{10})_verse_(\d+)(?:_one_channel)?\.wav")

_BOOKS = {
    own: english
    for english, *others in (
        line.split()
        for line in """
        Matthew Matthieu San_Mateo
        Mark Marc San_Marcos
        Luke Luc San_Lucas
        John Jean San_Juan
        Acts Actes Hechos
        Romans Romains Romanos
        Corinthians Corinthiens Corintios
        Galatians Galates Galatas
        Ephesians Ephesiens Efesios
        Philippians Philippiens Filipenses
        Colossians Colossiens Colosenses
        Thess Tes
        Timothy Timothee Timoteo
        Titus Tite Tito
        Philemon Filemon
        Hebrews Hebreux Hebreos
        James Jacques Santiago
        Peter Pierre San_Pedro
        Jude Judas
        Revelation Apocalypse Apocalipsis
        """.strip().splitlines()
    )
    for own in (english, *others)
}
"""English name of a book by its names in file names; Basque files have the Spanish ones."""


class Mass:
    """MaSS in a folder, with folders inside as one likes."""

    description = "mass"

    def __init__(self, folder: pathlib.Path) -> None:
        """Find all verses; their texts may lie beside the audio or in another folder."""
        self._texts = {path.stem: path for path in folder.glob("**/*_verse_*.txt")}
        self._found: dict[str, list[tuple[str, pathlib.Path]]] = {}  # sentence and audio, by language
        for path in sorted(folder.glob("**/*_verse_*.wav")):
            if not (match := _VERSE.fullmatch(path.name)) or match[4] not in EDITIONS:
                raise Refusal(
                    f"{path}: isn't named as in MaSS, such as "
                    "B01___01_Matthew_____ENGESVN1DA_verse_7_one_channel.wav. Remove it, or make a manifest"
                )
            chapter, number, book, edition, verse = match.groups()
            if book not in _BOOKS:
                raise Refusal(f"{path}: {book!r} isn't a book of MaSS. Remove it, or make a manifest")
            sentence = f"{chapter}_{number}{_BOOKS[book]}_verse_{verse}"
            self._found.setdefault(EDITIONS[edition], []).append((sentence, path))
        if not self._found:
            raise Refusal(
                f"{folder}: holds no verse of MaSS, *_verse_7_one_channel.wav. Cut chapters by its scripts."
            )

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages, sorted."""
        return tuple(sorted(self._found))

    def sentences(self, language: str) -> list[str]:
        """Verse of each recording of a language."""
        listing.require(language, self.languages(), "MaSS has no language")
        return [sentence for sentence, _ in self._found[language]]

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """Utterances of a language, by verse."""
        listing.require(language, self.languages(), "MaSS has no language")
        found = [self._recording(language, sentence, path) for sentence, path in self._found[language]]
        return listing.number(self.description, language, listing.in_order(found), recordings)

    def _recording(self, language: str, sentence: str, path: pathlib.Path) -> Recording:
        # The slicer adds the suffix to audio only; a missing text costs the transcript, not the verse.
        text = self._texts.get(path.stem.removesuffix("_one_channel"))
        return Recording(
            sentence=sentence,
            transcription=text.read_text("utf-8").strip() if text else "",
            gender="",
            source=audio.FileSource.at(path, f"{language}/{path.name}"),
        )

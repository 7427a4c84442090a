"""Utterances of a corpus and their order, before anything is decoded.

A reader yields Recordings in the corpus's order; `number` ranks them within their
sentence and gives the Listing, whose order is that of the rows of every store.
The same sentence read several times gives several utterances: rank 0, 1, ...
"""

import collections
import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterable, Sequence

from isogloss.engine.corpora import audio
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.refusal import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording as the files of a corpus describe it; fields as in Utterance."""

    sentence: str
    transcription: str
    gender: str
    source: audio.AudioSource
    name: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance:
    """One recording, known by its listing; its audio is not decoded yet.

    Attributes:
      name: unique within a language; "<sentence>.<rank>" unless a manifest names it.
      language: code as the corpus writes it, such as "en_us".
      sentence: shared by languages.
      rank: 0 for the first recording of the sentence in this language.
      transcription: "" if unknown.
      gender: "male", "female" or "other" in FLEURS, a manifest's own word, "" if unknown.
      source: where the bytes are.
    """

    name: str
    language: str
    sentence: str
    rank: int
    transcription: str
    gender: str
    source: audio.AudioSource


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """All utterances of one language, in the order of a store's rows.

    Attributes:
      corpus: description of the corpus with its pinned revision.
      language: code as the corpus writes it.
      utterances: sorted by (sentence order of the corpus, rank); at least one.
    """

    corpus: str
    language: str
    utterances: tuple[Utterance, ...]

    def __post_init__(self) -> None:
        """Refuse a corpus without utterances, and names that two utterances share."""
        if not self.utterances:
            raise Refusal(
                f"{self.corpus}: no recording of {self.language}. Choose another language or split."
            )
        counts = collections.Counter(utterance.name for utterance in self.utterances)
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise Refusal(
                f"{self.corpus}: {len(twice)} names of {self.language} name several utterances: "
                f"{first_names(twice)}. Give each recording its own id."
            )

    def sha256(self) -> str:
        """Hash of all that identifies the utterances and their order, audio content excepted."""
        rows = [
            (
                u.name,
                u.sentence,
                u.rank,
                u.transcription,
                u.gender,
                u.source.name,
                u.source.size,
                u.source.promised,
            )
            for u in self.utterances
        ]
        return hashlib.sha256(json.dumps([self.language, rows]).encode()).hexdigest()


def number(
    corpus: str,
    language: str,
    found: Iterable[Recording],
    recordings: str = "first",
) -> Listing:
    """Rank `found` and list it; "first" keeps rank 0 only.

    Sentences are in the order of their first recording, and the ranks within a
    sentence follow the order of `found`.
    """
    if recordings not in ("first", "all"):
        raise Refusal(f"recordings must be first or all, got {recordings!r}")
    sentences: dict[str, list[Recording]] = {}
    for recording in found:
        sentences.setdefault(recording.sentence, []).append(recording)
    utterances = tuple(
        Utterance(
            name=recording.name or f"{sentence}.{rank}",
            language=language,
            sentence=sentence,
            rank=rank,
            transcription=recording.transcription,
            gender=recording.gender,
            source=recording.source,
        )
        for sentence, group in sentences.items()
        for rank, recording in enumerate(group[:1] if recordings == "first" else group)
    )
    return Listing(corpus=corpus, language=language, utterances=utterances)


def require(wanted: str, known: Sequence[str], what: str) -> None:
    """Nothing if `known` holds `wanted`, else Refusal with similar words.

    Args:
      wanted: the word asked for.
      known: all words.
      what: place and kind, for the message, such as "manifest.tsv has no language".
    """
    if wanted in known:
        return
    near = difflib.get_close_matches(wanted, known, cutoff=0.5)
    there = f"There are: {', '.join(known)}." if known else "There are none."
    advice = f"Did you mean {' or '.join(near)}?" if near else there
    raise Refusal(f"{what} {wanted!r}. {advice}")

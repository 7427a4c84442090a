"""Utterances of a corpus and their order, known before anything is decoded.

A reader finds Recordings in the corpus's order; `number` ranks them within their sentence and makes the
Listing, whose order is that of the rows of every store. Several recordings of a sentence are several
utterances, of rank 0, 1, ...
"""

import collections
import dataclasses
import difflib
import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from isogloss.engine.corpora import audio
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.refusal import Refusal

_THREADS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """Recording as the files of a corpus describe it; fields as in Utterance."""

    sentence: str
    transcription: str
    gender: str
    source: audio.AudioSource
    name: str = ""
    line: int | None = None
    raw_transcription: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance:
    """Recording in a listing; its audio isn't decoded yet.

    Attributes:
      name: unique within a language; "<sentence>.<rank>" unless a manifest names it.
      language: the corpus's code, such as "en_us".
      sentence: id shared by languages.
      rank: 0 for the first recording of the sentence in this language.
      transcription: "" if unknown.
      gender: "male", "female" or "other" in FLEURS, any word in a manifest, "" if unknown.
      source: location of the audio.
      line: number of its line in the corpus's table, from 1; None if there is none.
      raw_transcription: text with capitals and punctuation, "" if unknown; not part of the listing's hash.
    """

    name: str
    language: str
    sentence: str
    rank: int
    transcription: str
    gender: str
    source: audio.AudioSource
    line: int | None = None
    raw_transcription: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """All utterances of one language, in the order of a store's rows.

    Attributes:
      corpus: description of the corpus with its pinned revision.
      language: the corpus's code.
      utterances: sorted by (sentence order of the corpus, rank); at least one.
      revision: commit of a data set of the hub that any user may change, part of the hash; else "".
    """

    corpus: str
    language: str
    utterances: tuple[Utterance, ...]
    revision: str = ""

    def __post_init__(self) -> None:
        """Refuse a corpus without utterances, and names that two utterances share."""
        if not self.utterances:
            raise Refusal(
                f"{self.corpus}: no recording of {self.language}. Choose another language or split."
            )
        counts = collections.Counter(utterance.name for utterance in self.utterances)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise Refusal(
                f"{self.corpus}: {len(twice)} names of {self.language} belong to several utterances: "
                f"{first_names(twice)}. Give each recording its own id."
            )

    @functools.cached_property
    def recordings(self) -> tuple[str, ...]:
        """Fingerprint of each utterance's recording; files on this machine are opened, in threads."""
        # Threads, because a file on a network costs milliseconds of waiting, and there are thousands.
        with ThreadPoolExecutor(_THREADS, "fingerprint") as pool:
            return tuple(pool.map(lambda utterance: utterance.source.fingerprint(), self.utterances))

    def sha256(self) -> str:
        """Hash of everything that identifies the utterances and their order, except the audio itself."""
        rows = [
            (u.name, u.sentence, u.rank, u.transcription, u.gender, source.name, source.size, source.promised)
            for u in self.utterances
            for source in (u.source,)
        ]
        pinned = [self.revision] if self.revision else []
        return hashlib.sha256(json.dumps([self.language, rows, *pinned]).encode()).hexdigest()


def count(sentences: Sequence[str], recordings: str) -> int:
    """Number of utterances that a listing has of recordings of these sentences."""
    return len(taken(sentences, recordings))


def taken(sentences: Sequence[str], recordings: str) -> list[str]:
    """Sentences, sorted, of the utterances that a listing has of recordings of these sentences."""
    return sorted(set(sentences) if recordings == "first" else sentences)


def number(
    corpus: str, language: str, found: Iterable[Recording], recordings: str = "first", revision: str = ""
) -> Listing:
    """Listing of `found` with ranks; "first" keeps only rank 0.

    Sentences are in the order of their first recording; ranks within a sentence follow the order of `found`.
    """
    if recordings not in ("first", "all"):
        raise Refusal(f"recordings must be first or all, got {recordings!r}")
    # A dict keeps the order of first recordings, which is the order of a store's rows.
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
            line=recording.line,
            raw_transcription=recording.raw_transcription,
        )
        for sentence, group in sentences.items()
        for rank, recording in enumerate(group[:1] if recordings == "first" else group)
    )
    return Listing(corpus=corpus, language=language, utterances=utterances, revision=revision)


def in_order(found: Iterable[Recording]) -> list[Recording]:
    """Recordings sorted by sentence, as numbers if all are, then by name."""
    rows = list(found)
    # 2 comes before 10 where ids are numbers, as FLEURS's are.
    numbers = all(recording.sentence.isdecimal() for recording in rows)
    return sorted(rows, key=lambda row: (int(row.sentence) if numbers else 0, row.sentence, row.source.name))


def require(wanted: str, known: Sequence[str], what: str) -> None:
    """Refuse `wanted` unless `known` holds it; the Refusal suggests similar names.

    Args:
      wanted: name that is needed.
      known: all names.
      what: start of the message, such as "manifest.tsv has no language".
    """
    if wanted in known:
        return
    near = difflib.get_close_matches(wanted, known, cutoff=0.5)
    there = f"There are: {', '.join(known)}." if known else "There are none."
    advice = f"Did you mean {' or '.join(near)}?" if near else there
    raise Refusal(f"{what} {wanted!r}. {advice}")

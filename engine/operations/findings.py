"""Problems of a corpus: recordings examined one by one, and languages by their codes.

Silence and clipping are judged by thresholds for speech; they are hints, not rules of extract.
"""

import collections
import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from isogloss.engine import time_axis
from isogloss.engine.corpora import audio, languages
from isogloss.engine.corpora.listing import Utterance

SILENT = 1e-3  # largest magnitude of a silent recording, -60 dB of full scale
FULL = 0.99  # magnitude from which a sample counts as clipped
FFMPEG = "through ffmpeg"  # in the table, and not counted as a problem
UNREAD = "unread"  # the disk fails, perhaps for a moment: the recording may be sound
CLIPPED = 1e-3  # share of such samples; loud but sound speech has a tenth of it


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorpusProblem:
    """Problem of a corpus, one row of the table.

    Attributes:
      problem: kind of the problem.
      language: "" if the problem isn't of one language.
      line: line in the corpus's table, None if there is none.
      utterance: name of the recording, "" if the problem isn't of one.
      source: file of the recording.
      detail: text for people.
    """

    problem: str
    language: str = ""
    line: int | None = None
    utterance: str = ""
    source: str = ""
    detail: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examined:
    """Facts about a decoded recording.

    Attributes:
      seconds: length.
      peak: largest magnitude.
      clipped: share of the samples at full scale.
      digest: hash of the waveform.
      through_ffmpeg: True if libsndfile can't read it.
    """

    seconds: float
    peak: float
    clipped: float
    digest: bytes
    through_ffmpeg: bool


def examine(utterance: Utterance) -> Examined:
    """Facts about a recording, all of which is decoded; AudioError if it can't be."""
    wave = audio.decode(utterance.source)
    magnitude = np.abs(wave)
    return Examined(
        seconds=len(wave) / time_axis.SAMPLE_RATE,
        peak=float(magnitude.max(initial=0.0)),
        clipped=float(np.mean(magnitude >= FULL)),
        digest=hashlib.sha256(wave.tobytes()).digest(),
        through_ffmpeg=audio.through_ffmpeg(utterance.source),
    )


def of(problem: str, utterance: Utterance, detail: str) -> CorpusProblem:
    """Problem of one recording."""
    return CorpusProblem(
        problem=problem,
        language=utterance.language,
        line=utterance.line,
        utterance=utterance.name,
        source=utterance.source.name,
        detail=detail,
    )


def of_recording(utterance: Utterance, found: Examined, window: float) -> Iterator[CorpusProblem]:
    """Problems of a decoded recording; `window` is the model's, in seconds."""
    if found.peak < SILENT:
        yield of("silent", utterance, f"the largest magnitude is {found.peak:.1g} of full scale")
    if found.clipped > CLIPPED:
        yield of("clipped", utterance, f"{100 * found.clipped:.1f}% of the samples are at full scale")
    if found.seconds > window:
        yield of("long", utterance, f"{found.seconds:.1f} s, over {window:g} s; see --long of extract")
    if found.through_ffmpeg:
        yield of(FFMPEG, utterance, "libsndfile can't read it; other versions of ffmpeg may change last bits")


def repeated(utterances: Sequence[Utterance], examined: Sequence[Examined | None]) -> Iterator[CorpusProblem]:
    """Recordings with the waveform of an earlier one, and texts of two sentences of a language."""
    sounds: dict[bytes, Utterance] = {}
    texts: dict[tuple[str, str], Utterance] = {}
    for utterance, found in zip(utterances, examined, strict=True):
        if found and found.peak >= SILENT:
            first = sounds.setdefault(found.digest, utterance)
            if first is not utterance:
                yield of("repeated audio", utterance, f"the same samples as {_place(first)}")
        if utterance.transcription:
            first = texts.setdefault((utterance.language, utterance.transcription), utterance)
            if first.sentence != utterance.sentence:
                text = f"sentence {utterance.sentence} has the text of sentence {first.sentence}"
                yield of("repeated text", utterance, f"{text}, {_place(first)}")


def _place(utterance: Utterance) -> str:
    line = f", line {utterance.line}" if utterance.line else ""
    return f"{utterance.language} {utterance.name} ({utterance.source.name}{line})"


def of_languages(utterances: Iterable[Utterance], tokens: Collection[str] | None) -> Iterator[CorpusProblem]:
    """Languages written as nobody writes them, and those that Whisper has no token for.

    Args:
      utterances: of the corpus; the first of each language gives the line.
      tokens: languages of the model, by Whisper's codes; None for those of Whisper.
    """
    lines = {utterance.language: utterance.line for utterance in reversed(list(utterances))}
    unknown = languages.unknown(lines)
    for code, line in sorted(lines.items()):
        if code in unknown:
            advice = f"write {unknown[code]}" if unknown[code] else "FLEURS and Whisper have no such code"
            yield CorpusProblem(problem="unknown language", language=code, line=line, detail=advice)
        elif not _has_token(code, tokens):
            advice = "no language token; transcribe and align need --stand_in, or take a kin"
            yield CorpusProblem(problem="no language token", language=code, line=line, detail=advice)


def _has_token(code: str, tokens: Collection[str] | None) -> bool:
    found = languages.find(code)
    if tokens is None:
        return found is None or bool(found.whisper)
    return languages.base_code(code) in tokens or (found is not None and found.whisper in tokens)


def counts(findings: Iterable[CorpusProblem]) -> dict[str, int]:
    """Number of problems by kind, the most frequent first; recordings that ffmpeg decodes aren't problems."""
    kinds = (finding.problem for finding in findings if finding.problem != FFMPEG)
    return dict(collections.Counter(kinds).most_common())

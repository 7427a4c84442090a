"""Scores of several models on several tasks, each beside that of mismatched speech, and paired differences.

Mismatched speech: the texts that a model writes for other utterances, against the references of these. What
it reaches there is the formula of such sentences and no understanding of the speech. No text is decoded for
it: they are the model's own texts, shifted; none meets its own sentence or an equal reference. COMET costs
more than a sum of counts, so a reference meets one other text there. chrF and BLEU as in `bleu_chrf`, for
transcription too, so that tasks can be compared; intervals are bootstraps over utterances, the same for all
models.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from isogloss.engine.transcription import bleu_chrf
from isogloss.engine.transcription.error_rates import NOTHING, Figure, Resampled
from isogloss.kernels import bootstrap

_SHIFTS = 20  # at most, of texts against references
_FIGURES = ("chrf", "bleu", "chrf_difference", "bleu_difference", "comet", "comet_difference")

SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("pair", pa.string()),  # SPEECH-TEXT
        ("kind", pa.string()),  # new, old or zero-shot
        ("utterances", pa.int32()),
        *((f"{name}{end}", pa.float64()) for name in _FIGURES for end in ("", "_low", "_high")),
        ("chrf_mismatched", pa.float64()),
        ("bleu_mismatched", pa.float64()),
        ("comet_mismatched", pa.float64()),
        ("bleu_signature", pa.string()),  # sacrebleu's
        ("chrf_signature", pa.string()),
    ]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredText:
    """Text of one utterance.

    Attributes:
      sentence: id of the sentence, which recordings and languages share.
      text: as decoded.
      reference: as written.
    """

    sentence: str
    text: str
    reference: str

    def matches(self, other: "ScoredText") -> bool:
        """True if the other utterance says the same."""
        return self.sentence == other.sentence or self.reference == other.reference


class ScoredLine(NamedTuple):
    """A text beside a reference, for a tool that scores translations.

    Attributes:
      model: its name.
      pair: task.
      utterance: name of the utterance of source and reference.
      spoken: that of the utterance whose speech the text is of; another one is mismatched speech.
    """

    model: str
    pair: str
    utterance: str
    spoken: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskTexts:
    """Texts of one model in one task.

    Attributes:
      model: its name.
      speech: language of the speech, by its code in the store.
      written: language of the references.
      tokenizer: of BLEU, by sacrebleu's name.
      by_utterance: by the utterance's name.
    """

    model: str
    speech: str
    written: str
    tokenizer: str
    by_utterance: Mapping[str, ScoredText]

    @property
    def pair(self) -> str:
        """Languages of speech and text, "en-es"."""
        return f"{self.speech}-{self.written}"

    def lines(self) -> list[ScoredLine]:
        """Every utterance with its own speech, then every one with mismatched speech."""
        pairs = [*((name, name) for name in self.by_utterance), *self.other_speech().items()]
        return [ScoredLine(self.model, self.pair, name, spoken) for name, spoken in pairs]

    def other_speech(self) -> dict[str, str]:
        """Another utterance by the name of each, from half of the names further on, that says something else.

        The same of all models, whose runs may list utterances in another order. An utterance is left out if
        all say the same.
        """
        names, found = sorted(self.by_utterance), dict[str, str | None]()
        for i, name in enumerate(names):
            start = i + len(names) // 2
            others = (names[k % len(names)] for k in range(start, start + len(names)))
            its = self.by_utterance[name]
            found[name] = next((name for name in others if not its.matches(self.by_utterance[name])), None)
        return {name: other for name, other in found.items() if other is not None}


def rows(
    found: Sequence[TaskTexts], kinds: Mapping[str, str], comet: Mapping[ScoredLine, float]
) -> list[dict[str, object]]:
    """Rows of the table, in the order of `found`.

    Args:
      found: texts of all models in all tasks; those of the first model are the baseline, and of the same
        utterances.
      kinds: new, old or zero-shot, by task.
      comet: score by line; empty without any.
    """
    baseline = {one.pair: one for one in found if one.model == found[0].model}
    return [_row(one, baseline.get(one.pair), kinds[one.pair], comet) for one in found]


def _row(
    one: TaskTexts, baseline: TaskTexts | None, kind: str, comet: Mapping[ScoredLine, float]
) -> dict[str, object]:
    names = list(one.by_utterance)
    ours, signatures = _metrics(one, names)
    given = _own(one, names, comet)
    figures = {name: made.figure() for name, made in ours.items()}
    for name in ("chrf", "bleu", "comet"):
        figures[f"{name}_difference"] = NOTHING
    if baseline is not None and baseline is not one:
        theirs, _ = _metrics(baseline, names)
        for name, made in ours.items():
            figures[f"{name}_difference"] = made.gain_over(theirs[name], smaller_is_better=False)
        of_baseline = _own(baseline, names, comet)
        figures["comet_difference"] = _mean(np.subtract(given, of_baseline).tolist())
    figures["comet"] = _mean(given)
    return {
        "model": one.model,
        "pair": one.pair,
        "kind": kind,
        "utterances": len(names),
        **{f"{name}{end}": value for name in _FIGURES for end, value in figures[name].by_suffix().items()},
        **mismatched(one),
        "comet_mismatched": _of_other_speech(one, comet),
        **signatures,
    }


def _own(one: TaskTexts, names: Sequence[str], comet: Mapping[ScoredLine, float]) -> list[float]:
    """COMET of utterances with their own speech."""
    return [comet[ScoredLine(one.model, one.pair, name, name)] for name in names] if comet else []


def _of_other_speech(one: TaskTexts, comet: Mapping[ScoredLine, float]) -> float:
    """Mean COMET of mismatched speech; NaN without any."""
    found = [comet[line] for line in one.lines() if line.spoken != line.utterance] if comet else []
    return float(np.mean(found)) if found else float("nan")


def _metrics(one: TaskTexts, names: Sequence[str]) -> tuple[dict[str, Resampled], dict[str, str]]:
    """Metrics of the utterances of these names, and sacrebleu's signatures."""
    scored = [one.by_utterance[name] for name in names]
    texts, references = [each.text for each in scored], [each.reference for each in scored]
    chrf, of_chrf = bleu_chrf.chrf(texts, references)
    bleu, of_bleu = bleu_chrf.bleu(texts, references, one.tokenizer)
    return {"chrf": chrf, "bleu": bleu}, {"chrf_signature": of_chrf, "bleu_signature": of_bleu}


def mismatched(one: TaskTexts) -> dict[str, float]:
    """ChrF and BLEU of texts against references of other utterances, the mean of up to 20 shifts.

    NaN if all utterances say the same.
    """
    shifted = _shifted(list(one.by_utterance.values()))
    of_bleu = functools.partial(bleu_chrf.corpus_bleu, tokenizer=one.tokenizer)
    scored = {"chrf_mismatched": bleu_chrf.corpus_chrf, "bleu_mismatched": of_bleu}
    return {
        name: float(np.mean([score(*texts) for texts in shifted])) if shifted else float("nan")
        for name, score in scored.items()
    }


def _shifted(every: Sequence[ScoredText]) -> list[tuple[list[str], list[str]]]:
    """Texts and the references that they are compared with, of each shift that has any."""
    count, found = len(every), []
    shifts = np.unique(np.linspace(1, count - 1, min(_SHIFTS, count - 1)).astype(int)) if count > 1 else []
    for shift in shifts:
        pairs = zip([*every[shift:], *every[:shift]], every, strict=True)
        # Recordings of one sentence stand side by side, and prompts are recorded twice under two names.
        apart = [(one.text, other.reference) for one, other in pairs if not one.matches(other)]
        if apart:
            found.append(([text for text, _ in apart], [reference for _, reference in apart]))
    return found


def _mean(values: Sequence[float]) -> Figure:
    if not values:
        return NOTHING
    each = np.asarray(values, np.float64)
    draws = bootstrap.resamples(len(each)).astype(np.float64) @ each / len(each)
    return Resampled(value=float(each.mean()), draws=draws).figure()


def tabulate(found: Sequence[Mapping[str, object]]) -> pa.Table:
    """Table of the rows."""
    arrays = [pa.array([row[field.name] for row in found], field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)

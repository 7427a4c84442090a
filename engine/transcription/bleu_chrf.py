"""BLEU and chrF of a corpus by sacrebleu, and their resamples for intervals.

Scores of the corpus are sacrebleu's. A resample sums the counts of its sentences: BLEU's by sacrebleu too,
chrF's by code of our own, because sacrebleu's are private (chrF2: characters 1 to 6, beta 2, no words;
Popovic, WMT 2015). A test compares our chrF with sacrebleu's. BLEU counts words, or characters of languages
that are written without spaces: 13a, sacrebleu's default, would take a sentence of theirs for a single word.
"""

import collections
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from isogloss.engine.corpora.languages import without_spaces
from isogloss.engine.transcription.error_rates import NO_RATE, Resampled
from isogloss.kernels import bootstrap

_ORDER, _BETA = 6, 2
_CHINESE = frozenset({"zh", "yue"})


def bleu_tokenizer(language: str) -> str:
    """Tokenizer of BLEU for texts of a language by Whisper's code: its name in sacrebleu."""
    if language in _CHINESE:
        return "zh"
    return "char" if without_spaces(language) else "13a"


def bleu(texts: Sequence[str], references: Sequence[str], tokenizer: str) -> tuple[Resampled, str]:
    """Corpus BLEU, 0 to 100, and sacrebleu's signature, "" without texts."""
    metric, whole = BLEU(tokenize=tokenizer), BLEU(tokenize=tokenizer, effective_order=True)
    if not texts:
        return NO_RATE, ""
    value = metric.corpus_score(list(texts), [list(references)]).score
    # sacrebleu scores single sentences with effective order; of them only the counts are used.
    each = [whole.sentence_score(t, [r]) for t, r in zip(texts, references, strict=True)]
    contributions = np.asarray([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in each], np.int64)
    draws = [
        BLEU.compute_bleu(
            row[:4],
            row[4:8],
            row[8],
            row[9],
            smooth_method=metric.smooth_method,
            smooth_value=metric.smooth_value,
            effective_order=False,
            max_ngram_order=metric.max_ngram_order,
        ).score
        for row in _resampled(contributions).tolist()
    ]
    return Resampled(value=float(value), draws=np.asarray(draws)), str(metric.get_signature())


def chrf(texts: Sequence[str], references: Sequence[str]) -> tuple[Resampled, str]:
    """Corpus chrF2, 0 to 100, and sacrebleu's signature, "" without texts."""
    metric = CHRF()
    if not texts:
        return NO_RATE, ""
    value = metric.corpus_score(list(texts), [list(references)]).score
    each = np.asarray([_matches(t, r) for t, r in zip(texts, references, strict=True)], np.int64)
    return Resampled(value=float(value), draws=chrf_of(_resampled(each))), str(metric.get_signature())


def corpus_bleu(texts: Sequence[str], references: Sequence[str], tokenizer: str) -> float:
    """BLEU of a corpus, 0 to 100, without resamples."""
    return float(BLEU(tokenize=tokenizer).corpus_score(list(texts), [list(references)]).score)


def corpus_chrf(texts: Sequence[str], references: Sequence[str]) -> float:
    """chrF2 of a corpus, 0 to 100, without resamples."""
    return float(CHRF().corpus_score(list(texts), [list(references)]).score)


def _resampled(contributions: Int[np.ndarray, "U K"]) -> Int[np.ndarray, "R K"]:
    # How often each sentence is drawn, times its counts: no text is scored again for a resample.
    counts = bootstrap.resamples(len(contributions)).astype(np.int64)
    return counts @ contributions


def _matches(text: str, reference: str) -> list[int]:
    """Numbers of n-grams of the text, of the reference and of both, for n = 1 to 6, without spaces."""
    text, reference = ("".join(t.split()) for t in (text, reference))
    numbers = []
    for n in range(1, _ORDER + 1):
        ours, theirs = (
            collections.Counter(t[i : i + n] for i in range(len(t) - n + 1)) for t in (text, reference)
        )
        # Where the reference is too short for any n-gram of this length, those of the text don't count.
        numbers += [ours.total() if theirs else 0, theirs.total(), (ours & theirs).total()]
    return numbers


def chrf_of(matches: Int[np.ndarray, "R K"]) -> Float[np.ndarray, " R"]:
    """chrF2 of sums of `_matches`, one row each."""
    ours, theirs, both = np.moveaxis(matches.reshape(len(matches), _ORDER, 3).astype(np.float64), 2, 0)
    # As in sacrebleu, orders that one side has no n-grams of don't enter the mean over orders.
    counted = (ours > 0) & (theirs > 0)
    orders = np.maximum(counted.sum(1), 1)
    precision = np.where(counted, both / np.maximum(ours, 1), 0.0).sum(1) / orders
    recall = np.where(counted, both / np.maximum(theirs, 1), 0.0).sum(1) / orders
    weighted = _BETA**2 * precision + recall
    return 100 * (1 + _BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1.0)

"""Summary of transcripts: one row per language, state and form of exit, from the rows of transcripts.parquet.

Error rates for transcription, BLEU and chrF for translation, each with a 95% interval over utterances. The
best exit has the best primary metric; its gain over the final state is measured on the utterances scored at
both. A language of 350 utterances takes about 0.1 s a state, a translation 0.5 s.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from isogloss.engine.decoding import early_exit
from isogloss.engine.decoding.early_exit import Exit
from isogloss.engine.transcription import bleu_chrf, error_rates
from isogloss.engine.transcription.edit_counts import Normaliser
from isogloss.engine.transcription.error_rates import NO_RATE, Resampled

RATES = {  # metric: columns of edits and lengths
    "wer": ("word_edits", "words"),
    "wer_normalised": ("word_edits_normalised", "words_normalised"),
    "cer": ("char_edits", "chars"),
    "cer_normalised": ("char_edits_normalised", "chars_normalised"),
}
SCORES = ("bleu", "bleu_normalised", "chrf", "chrf_normalised")
_COUNTED = ("scored", "truncated", "cut", "empty", "left_out")

SCHEMA = pa.schema(
    [
        ("language", pa.string()),
        ("task", pa.string()),
        ("state", pa.string()),
        ("exit_norm", pa.bool_()),
        ("language_token", pa.string()),  # most frequent first
        ("language_token_by", pa.string()),
        ("utterances", pa.int32()),
        ("scored", pa.int32()),
        ("without_reference", pa.int32()),
        ("broken", pa.int32()),
        *((name, pa.int32()) for name in _COUNTED[1:]),
        ("seconds", pa.float64()),  # of audio that was transcribed
        ("mean_log_probability", pa.float64()),  # mean over utterances
        ("normaliser", pa.string()),
        ("primary", pa.string()),  # metric that decides which exit is best
        *((f"{m}{end}", pa.float64()) for m in (*RATES, *SCORES) for end in ("", "_low", "_high")),
        ("bleu_signature", pa.string()),
        ("chrf_signature", pa.string()),
        ("gain", pa.float64()),  # of the primary metric over the final state; above 0 is better
        ("gain_low", pa.float64()),
        ("gain_high", pa.float64()),
        ("best", pa.bool_()),
    ]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of one exit of one language.

    Attributes:
      exit: of the encoder.
      row: of the summary, without the columns that compare exits.
      scored: rows of its transcripts that have a reference.
      primary: resamples of the primary metric.
    """

    exit: Exit
    row: dict[str, object]
    scored: pa.Table
    primary: Resampled


def primary(task: str, normal: Normaliser) -> str:
    """Primary metric: BLEU, WER, or CER for languages written without spaces."""
    if task == "translate":
        return "bleu"
    return "wer_normalised" if normal.spaces else "cer_normalised"


def rows(table: pa.Table, chosen: Sequence[Exit], task: str, normal: Normaliser) -> list[dict[str, object]]:
    """Rows of one language, in the order of the `chosen` exits, from its rows of transcripts.parquet."""
    states = np.asarray(table["state"].to_pylist(), object)
    norms = np.asarray(table["exit_norm"].to_pylist(), bool)
    measured = [
        _measure(table.filter(pa.array((states == e.state) & (norms == e.exit_norm))), e, task, normal)
        for e in chosen
    ]
    smaller = task != "translate"
    best = _best(measured, smaller_is_better=smaller)
    final = next((m for m in measured if m.exit == early_exit.FINAL), None)
    for one in measured:
        gain = error_rates.NOTHING
        if final is not None:
            ours, theirs = _comparable(one, final, task, normal)
            gain = ours.gain_over(theirs, smaller_is_better=smaller)
        ends = {f"gain{end}": value for end, value in gain.by_suffix().items()}
        one.row.update(ends, best=one is best)
    return [one.row for one in measured]


def _comparable(one: Measured, final: Measured, task: str, normal: Normaliser) -> tuple[Resampled, Resampled]:
    """Primary metric of two exits on the utterances scored at both."""
    # An exit whose output isn't finite for an utterance has no text there; the gain must not depend on it.
    names = [exit.scored["utterance"].to_pylist() for exit in (one, final)]
    if names[0] == names[1]:
        return one.primary, final.primary
    both, name = set(names[0]) & set(names[1]), primary(task, normal)
    ours, theirs = (
        _metrics(exit.scored.filter(pa.array([utterance in both for utterance in own])), normal, [name])[0]
        for exit, own in zip((one, final), names, strict=True)  # rows of all exits have one order
    )
    return ours[name], theirs[name]


def _best(measured: Sequence[Measured], *, smaller_is_better: bool) -> Measured | None:
    """Exit with the best primary metric, the latest of equals; None if nothing is scored."""
    # Reversed, because min and max keep the first of equals, and the latest exit is the usual one.
    known = [one for one in reversed(measured) if not np.isnan(one.primary.value)]
    pick: Callable[..., Measured] = min if smaller_is_better else max
    return pick(known, key=lambda one: one.primary.value) if known else None


def _measure(table: pa.Table, exit: Exit, task: str, normal: Normaliser) -> Measured:
    column = {name: table[name].to_pylist() for name in table.column_names}
    flags = {name: np.asarray(column[name], bool) for name in _COUNTED}
    decoded = np.asarray([text is not None for text in column["text"]], bool)
    tokens = [token for token, there in zip(column["language_token"], decoded, strict=True) if there]
    common = sorted(set(tokens), key=lambda token: (-tokens.count(token), token))
    likely = np.asarray(column["mean_log_probability"], np.float64)[decoded]
    scored = table.filter(pa.array(flags["scored"]))
    metrics, signatures = _metrics(scored, normal, SCORES if task == "translate" else RATES)
    figures = {m: made.figure() for m, made in ((m, metrics.get(m, NO_RATE)) for m in (*RATES, *SCORES))}
    name = primary(task, normal)
    row: dict[str, object] = {
        "language": next(iter(column["language"]), ""),
        "task": task,
        "state": exit.state,
        "exit_norm": exit.exit_norm,
        "language_token": " ".join(common),
        "language_token_by": next(iter(column["language_token_by"]), ""),
        "utterances": table.num_rows,
        "without_reference": int((decoded & ~flags["scored"]).sum()),
        "broken": int((~decoded & ~flags["left_out"]).sum()),
        **{flag: int(values.sum()) for flag, values in flags.items()},
        "seconds": round(float(np.asarray(column["seconds"], np.float64)[decoded].sum()), 3),
        "mean_log_probability": float(likely.mean()) if likely.size else float("nan"),
        "normaliser": normal.name,
        "primary": name,
        **{f"{m}{end}": v for m, f in figures.items() for end, v in f.by_suffix().items()},
        **signatures,
    }
    return Measured(exit=exit, row=row, scored=scored, primary=metrics[name])


def _metrics(
    scored: pa.Table, normal: Normaliser, names: Iterable[str]
) -> tuple[dict[str, Resampled], dict[str, str]]:
    """Some metrics, and sacrebleu's signatures, "" for error rates."""
    metrics: dict[str, Resampled] = {}
    signatures = {"bleu_signature": "", "chrf_signature": ""}
    texts, references = (scored[of].to_pylist() for of in ("text", "reference"))
    for name in names:
        if name in RATES:
            edits, lengths = (np.asarray(scored[of].to_pylist(), np.int64) for of in RATES[name])
            metrics[name] = error_rates.rate(edits, lengths)
        else:
            score, _, normalised = name.partition("_")
            ours, theirs = ([normal(t) for t in of] if normalised else of for of in (texts, references))
            metrics[name], signature = (
                bleu_chrf.bleu(ours, theirs, normal.tokenizer)
                if score == "bleu"
                else bleu_chrf.chrf(ours, theirs)
            )
            if not normalised:
                signatures[f"{name}_signature"] = signature
    return metrics, signatures


def tabulate(summary: Sequence[Mapping[str, object]]) -> pa.Table:
    """Table of the rows of all languages."""
    arrays = [pa.array([row[field.name] for row in summary], field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)

"""Tables of one language pair: sentences, challenge sets, factors, and agreement of the rules.

Cost of 350 sentences, at a state: about 0.3 s, most of it bootstrap and random removals.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from isogloss.engine.control import agreement, challenge, overlap, permutation, regression, rules, tables
from isogloss.engine.control.challenge import Answers
from isogloss.engine.control.inputs import ControlInputs
from isogloss.engine.control.pair_data import LENGTH, MEANING, PairData
from isogloss.engine.control.regression import Fit
from isogloss.engine.retrieval import contrasts
from isogloss.engine.retrieval.grid_store import Pair
from isogloss.engine.retrieval.table import arrows

AS_IS = "as they are"
ADVANTAGE = "advantage"
"""Removal of queries that sound alone could find, which is no rule about sentences but one about answers."""
NOTHING = "nothing"
_TOUCH = 1e-9  # similarities that differ by less are equal: k/m is not exact

Marks = Mapping[str, Bool[np.ndarray, " n"]]
Row = dict[str, object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Removal:
    """Sentences that are removed from a set in one direction.

    Attributes:
      name: rules that remove, joined by "+".
      alike: similarity from which words are alike; NaN where that is no rule of it.
      kept: sentences that stay, in a->b and in b->a.
    """

    name: str
    alike: float
    kept: Bool[np.ndarray, "2 n"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Options that change the figures of a pair.

    Attributes:
      alike: similarity from which two words are alike.
      curve: all similarities that are tried, in ascending order.
      permutations: of the QAP test.
    """

    alike: float
    curve: tuple[float, ...]
    permutations: int


def compute(inputs: ControlInputs, pair: Pair, data: PairData, options: Thresholds) -> tuple[pa.Table, ...]:
    """Tables of a pair, in the order of `tables.PARTS`."""
    marks = _marks(inputs, data, options.alike)
    names = {"language_a": pair[0], "language_b": pair[1]}
    fits = _fits(inputs, data)
    rows = (
        _sentence_pairs(data, marks),
        _control_rows(inputs, pair, data, removals(data, marks, options), fits),
        list(_factor_rows(inputs, data, fits, options.permutations)),
        _rule_agreement(marks),
    )
    return tuple(
        tables.made(name, [names | row for row in found])
        for name, found in zip(tables.PARTS, rows, strict=True)
    )


def _marks(inputs: ControlInputs, data: PairData, alike: float) -> dict[str, Bool[np.ndarray, " n"]]:
    """Sentences that each rule marks, by rule; rules that can't be asked are missing."""
    evidence, marks = inputs.evidence, {}
    if evidence.named is not None:
        marks["names"] = np.isin(data.sentences, list(evidence.named))
    marks["numbers"] = np.isin(data.sentences, list(evidence.numbered))
    if data.sound is not None:
        marks["alike"] = data.sound.closest >= alike - _TOUCH
    return marks


def removals(data: PairData, marks: Marks, options: Thresholds) -> list[Removal]:
    """All removals: nothing, each rule alone, cumulated, the curve of `alike`, sentences with advantage."""
    n = len(data.sentences)

    def both(name: str, gone: Bool[np.ndarray, "*d n"], alike: float = np.nan) -> Removal:
        return Removal(name=name, alike=alike, kept=np.broadcast_to(~gone, (2, n)))

    found = [both(NOTHING, np.zeros(n, bool))]
    for chosen in rules.removals(tuple(marks)):
        gone = np.logical_or.reduce([marks[rule] for rule in chosen])
        found.append(both("+".join(chosen), gone, options.alike if "alike" in chosen else np.nan))
    if data.sound is not None:
        found += [
            both("alike", data.sound.closest >= limit - _TOUCH, limit)
            for limit in options.curve
            if limit != options.alike
        ]
        found.append(both(ADVANTAGE, overlap.advantage(data.sound.scores) > 0))
    return found


def _sentence_pairs(data: PairData, marks: Marks) -> list[Row]:
    rows: list[Row] = []
    columns: dict[str, Float[np.ndarray, " n"]] = {}
    if data.sound is not None:
        columns["closest"] = data.sound.closest
        for name, matrix in (
            ("overlap", data.sound.scores),
            ("overlap_precision", data.sound.precision),
            ("overlap_recall", data.sound.recall),
        ):
            columns[name] = np.diagonal(matrix)
        columns["advantage_ab"], columns["advantage_ba"] = overlap.advantage(data.sound.scores)
    for name in (MEANING, LENGTH):
        if name in data.factors:
            columns[name] = np.diagonal(data.factors[name])
    for i, sentence in enumerate(data.sentences):
        row: Row = {"sentence": sentence, "word_a": data.closest[i][0], "word_b": data.closest[i][1]}
        row |= {rule: bool(marked[i]) for rule, marked in marks.items()}
        row |= {name: float(values[i]) for name, values in columns.items()}
        if data.words is not None:
            row |= {"words_a": int(data.words[0, i]), "words_b": int(data.words[1, i])}
        rows.append(row)
    return rows


def _fits(inputs: ControlInputs, data: PairData) -> tuple[Fit | None, Fit | None]:
    """Regressions of the states of both encoders, in the order of the states of the first."""
    factors = list(data.factors.values())
    if not factors:
        return None, None
    own = regression.fit([data.scores[state] for state in inputs.states], factors)
    if inputs.against is None:
        return own, None
    others = [data.other_scores[inputs.other_state(state)] for state in inputs.states]
    return own, regression.fit(others, factors)


def _factor_rows(
    inputs: ControlInputs, data: PairData, fits: tuple[Fit | None, Fit | None], permutations: int
) -> Iterator[Row]:
    own, other = fits
    if own is None:
        return
    error, (low, high), p = regression.jackknife(own.weights, own.left_out)
    scores, factors = [data.scores[state] for state in inputs.states], list(data.factors.values())
    shuffled = permutation.qap(scores, factors, permutations) if permutations else np.full(p.shape, np.nan)
    compared = _weight_differences(own, other)
    for (s, state), (f, name) in itertools.product(enumerate(inputs.states), enumerate(data.factors)):
        row: Row = {"state": inputs.grid.states[state], "factor": name, "n": len(data.sentences)}
        values = {"weight": own.weights, "error": error, "ci_low": low, "ci_high": high, "p": p}
        values |= {"p_permutation": shuffled, "slope": own.slopes}
        row |= {key: float(value[s, f]) for key, value in values.items()}
        row |= {"vif": float(own.vif[f]), "r_squared": float(own.r_squared[s]), "q": np.nan}
        if other is not None and compared is not None and inputs.against is not None:
            row["other_state"] = inputs.against.states[inputs.other_state(state)]
            row["other_weight"] = float(other.weights[s, f])
            row |= {f"other_{key}": float(compared[k, s, f]) for k, key in enumerate(tables.OTHER)}
        yield row


def _weight_differences(own: Fit, other: Fit | None) -> Float[np.ndarray, "4 S F"] | None:
    """Difference of weights, its interval and p, by the jackknife of the difference; None without another."""
    if other is None:
        return None
    difference = own.weights - other.weights
    _, ends, p = regression.jackknife(difference, own.left_out - other.left_out)
    return np.stack([difference, *ends, p])


def _control_rows(
    inputs: ControlInputs,
    pair: Pair,
    data: PairData,
    sets: Sequence[Removal],
    fits: tuple[Fit | None, Fit | None],
) -> list[Row]:
    """Rows by state and direction. All states of a set come together, because they share resamples."""
    own = [_scorings(data, data.scores[state], fits[0], s) for s, state in enumerate(inputs.states)]
    others, names = [None] * len(own), [Row()] * len(own)
    if inputs.against is not None:
        there = [inputs.other_state(state) for state in inputs.states]
        others = [_scorings(data, data.other_scores[state], fits[1], s) for s, state in enumerate(there)]
        names = [{"other_state": inputs.against.states[state]} for state in there]
    cells: dict[tuple[int, int], list[Row]] = {
        (s, d): [] for s, d in itertools.product(range(len(own)), range(2))
    }
    for removal, form in itertools.product(sets, challenge.FORMS):
        if removal.name == NOTHING and form == challenge.FORMS[1]:
            continue  # equal to the other form
        for (s, d), rows in cells.items():
            whole, other = own[s][AS_IS][d], others[s]
            row = _set_row(whole, removal.kept[d], form)
            row |= _compared(whole, other[AS_IS][d] if other else None, removal.kept[d], form)
            rows.append({"scores": AS_IS, "removed": removal.name, "alike": removal.alike} | row)
    every = np.ones(len(data.sentences), bool)
    for (s, d), rows in cells.items():
        for name, found in own[s].items():
            if name == AS_IS:
                continue
            other = (others[s] or {}).get(name)
            row = _factor_row(found[d], own[s][AS_IS][d])
            row |= _compared(found[d], other[d] if other else None, every, "queries")
            rows.append({"scores": name, "removed": NOTHING, "alike": np.nan} | row)
    directions = arrows([pair])
    return [
        {"state": inputs.grid.states[inputs.states[s]], "direction": directions[d]} | names[s] | row
        for (s, d), rows in cells.items()
        for row in rows
    ]


def _scorings(
    data: PairData, scores: Float[np.ndarray, "n n"], fit: Fit | None, s: int
) -> dict[str, tuple[Answers, Answers]]:
    """Answers of the scores as they are, without each factor, and of each factor alone."""
    found = {AS_IS: challenge.answers(scores)}
    for f, (name, factor) in enumerate(data.factors.items()):
        if fit is not None and np.isfinite(fit.slopes[s, f]):
            found[f"without {name}"] = challenge.answers(scores - fit.slopes[s, f] * factor)
        found[f"{name} alone"] = challenge.answers(factor)
    return found


def _set_row(found: Answers, kept: Bool[np.ndarray, " n"], form: str) -> Row:
    made = challenge.figures(found, kept, form)
    queries = int(kept.sum())
    candidates = queries if form == "both" else len(kept)
    row: Row = {"form": form, "queries": queries, "candidates": candidates}
    row |= {"recall_at_1": made.recall, "ci_low": made.low, "ci_high": made.high}
    row["chance"] = 1 / candidates if candidates else np.nan
    names = ("expected", "difference", "difference_low", "difference_high", "random_low", "random_high")
    return row | {name: getattr(made, name) for name in names}


def _factor_row(found: Answers, whole: Answers) -> Row:
    """R@1 of other scores of all sentences, compared with that of the scores as they are."""
    every = np.ones(len(whole.ranks), bool)
    row = _set_row(found, every, "queries")
    difference, low, high, _ = contrasts.contrast(found.hits[None], whole.hits[None])[0].tolist()
    row |= {"expected": float(whole.hits.mean()), "difference": difference}
    return row | {"difference_low": low, "difference_high": high, "random_low": np.nan, "random_high": np.nan}


def _compared(own: Answers, other: Answers | None, kept: Bool[np.ndarray, " n"], form: str) -> Row:
    """Difference from the other encoder's hits of the same queries among the same candidates."""
    if other is None:
        return {}
    if not kept.any():
        return dict.fromkeys(("other_recall_at_1", *(f"other_{name}" for name in tables.OTHER)), np.nan)
    hits = [challenge.hits_of(each, kept, form)[kept] for each in (own, other)]
    values = contrasts.contrast(hits[0][None], hits[1][None])[0].tolist()
    row: Row = {"other_recall_at_1": float(hits[1].mean())}
    return row | {f"other_{name}": value for name, value in zip(tables.OTHER, values, strict=True)}


def _rule_agreement(marks: Marks) -> list[Row]:
    return [
        {"between": "rules"} | agreement_row(a, marks[a], b, marks[b])
        for a, b in itertools.combinations(marks, 2)
    ]


def agreement_row(a: str, x: Bool[np.ndarray, " n"], b: str, y: Bool[np.ndarray, " n"]) -> Row:
    """Row of two raters by name and their marks."""
    counts = {
        "n": len(x),
        "marked_a": int(x.sum()),
        "marked_b": int(y.sum()),
        "marked_both": int((x & y).sum()),
    }
    return {"rater_a": a, "rater_b": b, **counts, "kappa": agreement.kappa(x, y)}

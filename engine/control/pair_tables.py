"""Tables of one language pair: sentences, challenge sets, factors, and agreement of the rules.

Cost of 350 sentences and 34 states: 2 s on a core, 3 s with another encoder beside, most of it random
removals. All states come together, because they share resamples.
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
from isogloss.engine.grid.grid_store import Pair
from isogloss.engine.retrieval import contrasts
from isogloss.engine.retrieval.table import arrows

AS_IS = "as they are"
ADVANTAGE = "advantage"
"""Removal of queries that sound alone could find. It isn't a rule about sentences, but about answers."""
NOTHING = "nothing"
_TOUCH = 1e-9  # similarities that differ by less are equal: k/m is not exact

Marks = Mapping[str, Bool[np.ndarray, " n"]]
Row = dict[str, object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Removal:
    """Sentences that are removed from a set in one direction.

    Attributes:
      name: rules that remove, joined by "+".
      alike: similarity from which words are alike; NaN where that isn't among its rules.
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
        # k/m in floating point may fall just below the threshold that it equals.
        marks["alike"] = data.sound.closest >= alike - _TOUCH
    return marks


def removals(data: PairData, marks: Marks, options: Thresholds) -> list[Removal]:
    """All removals: nothing, each rule alone, cumulated, the curve of `alike`, sentences with advantage."""
    n = len(data.sentences)

    def both(name: str, gone: Bool[np.ndarray, "*d n"], alike: float = np.nan) -> Removal:
        return Removal(name=name, alike=alike, kept=np.broadcast_to(~gone, (2, n)))

    # The whole set comes first: the page shows all others beside it.
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
        # Advantage differs by direction, unlike the rules, which mark sentences.
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
    # One fit for all states, because factors, their means and their inverse are shared.
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
    # The jackknife leaves out the same sentence of both, so what makes a sentence odd cancels.
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
    # Rows are made set by set, because states share resamples, but stand state by state in the table.
    cells: dict[tuple[int, int], list[Row]] = {
        (s, d): [] for s, d in itertools.product(range(len(own)), range(2))
    }
    for removal, form in itertools.product(sets, challenge.FORMS):
        if removal.name == NOTHING and form == challenge.FORMS[1]:
            continue  # equal to the other form
        for d in range(2):
            whole = [each[AS_IS][d] for each in own]
            made = _set_rows(whole, removal.kept[d], form)
            there = [each[AS_IS][d] if each else None for each in others]
            compared = _compared(whole, there, removal.kept[d], form)
            for s, row in enumerate(made):
                start: Row = {"scores": AS_IS, "removed": removal.name, "alike": removal.alike}
                cells[s, d].append(start | row | compared[s])
    names_of_scores = dict.fromkeys(name for each in own for name in each if name != AS_IS)
    for name, d in itertools.product(names_of_scores, range(2)):
        known = [s for s, each in enumerate(own) if name in each]
        found = [own[s][name][d] for s in known]
        made = _factor_rows_of(found, [own[s][AS_IS][d] for s in known])
        there = [each[name][d] if (each := others[s]) and name in each else None for s in known]
        compared = _compared(found, there, np.ones(len(data.sentences), bool), "queries")
        for s, row, beside in zip(known, made, compared, strict=True):
            start = {"scores": name, "removed": NOTHING, "alike": np.nan}
            cells[s, d].append(start | row | beside)
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
        # A factor that is constant has no slope, and nothing could be taken out.
        if fit is not None and np.isfinite(fit.slopes[s, f]):
            found[f"without {name}"] = challenge.answers(scores - fit.slopes[s, f] * factor)
        found[f"{name} alone"] = challenge.answers(factor)
    return found


def _set_rows(found: Sequence[Answers], kept: Bool[np.ndarray, " n"], form: str) -> list[Row]:
    """Row of each of several score matrices, of the same challenge set."""
    queries = int(kept.sum())
    candidates = queries if form == "both" else len(kept)
    size: Row = {"form": form, "queries": queries, "candidates": candidates}
    size["chance"] = 1 / candidates if candidates else np.nan
    names = ("expected", "difference", "difference_low", "difference_high", "random_low", "random_high")
    rows = []
    for made in challenge.figures(found, kept, form):
        row = size | {"recall_at_1": made.recall, "ci_low": made.low, "ci_high": made.high}
        rows.append(row | {name: getattr(made, name) for name in names})
    return rows


def _factor_rows_of(found: Sequence[Answers], whole: Sequence[Answers]) -> list[Row]:
    """R@1 of other scores of all sentences, compared with that of the scores as they are."""
    rows = _set_rows(found, np.ones(len(whole[0].ranks), bool), "queries")
    hits = [np.stack([each.hits for each in side]) for side in (found, whole)]
    nothing = {"random_low": np.nan, "random_high": np.nan}
    for row, all_hits, values in zip(rows, hits[1], contrasts.contrast(*hits).tolist(), strict=True):
        names = ("difference", "difference_low", "difference_high")
        row |= {"expected": float(all_hits.mean()), **dict(zip(names, values[:3], strict=True)), **nothing}
    return rows


def _compared(
    own: Sequence[Answers], others: Sequence[Answers | None], kept: Bool[np.ndarray, " n"], form: str
) -> list[Row]:
    """Differences from the other encoder's hits of the same queries among the same candidates."""
    rows: list[Row] = [{} for _ in own]
    known = [s for s, other in enumerate(others) if other is not None]
    names = ("other_recall_at_1", *(f"other_{name}" for name in tables.OTHER))
    # NaN, not null: the other encoder is there, but nothing is left to ask.
    if known and not kept.any():
        for s in known:
            rows[s] = dict.fromkeys(names, np.nan)
    elif known:
        sides = [(own[s], other) for s, other in enumerate(others) if other is not None]
        hits = [
            np.stack([challenge.hits_of(each, kept, form)[kept] for each in side])
            for side in zip(*sides, strict=True)
        ]
        for s, there, values in zip(known, hits[1], contrasts.contrast(*hits).tolist(), strict=True):
            rows[s] = dict(zip(names, (float(there.mean()), *values), strict=True))
    return rows


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

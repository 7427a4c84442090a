"""HTML page of a report, with all figures of the grid inside, see `page`.

Figures are stored as counts out of n in 16 bits, compressed, a block per measure: about 12 MB for 102
languages, 34 states and 5 measures. All text that comes from a grid is escaped.
"""

import html
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from isogloss.engine.corpora.languages import language_group
from isogloss.engine.drawing import page, style
from isogloss.engine.retrieval import language_order, metrics
from isogloss.engine.retrieval.measures import MEASURES
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.kernels import bootstrap

UNKNOWN = 65535  # value of a cell that isn't computed or has n = 0
MRR_STEPS = 65534  # an MRR of 1 is stored as this number; other figures as counts out of n
PLANES = {
    "recall_at_1": (0, 1),
    "recall_at_5": (2, 3),
    "mrr": (4, 5),
    "mutual_nn": (6, 6),  # equal in both directions
    "ci_low": (7, 8),
    "ci_high": (9, 10),
}
"""Planes of a block that hold a figure's two directions."""

_FOLDER = pathlib.Path(__file__).parent
_SCRIPTS = tuple(_FOLDER / f"report_page{part}.js" for part in ("", "_map", "_curve", "_tables", "_view"))
_METHOD = (
    "A tie counts against the right answer. Only sentences that both languages have take part, so chance is "
    f"1/n. Intervals: {bootstrap.CONFIDENCE:.0%} percentile bootstrap of R@1 over sentences, "
    f"{bootstrap.RESAMPLES:,} resamples, the same for all states and measures of one n. Mutual nearest: "
    "share of sentences that are each other's nearest neighbour. Clustering: average linkage on 1 - R@1, the "
    "mean of both directions; unknown pairs count as averagely distant."
)
_UNKNOWN_CELL = "<td>-</td>"


def render(results: metrics.Results, attributes: Mapping[str, Json], *, name: str, sentences: int) -> str:
    """HTML of the whole page.

    Args:
      results: all figures.
      attributes: attributes of the grid, which are shown; "languages" has facts about each language.
      name: name of the grid.
      sentences: number of sentences of the grid's query axis.
    """
    heading = f"Retrieval across {len(results.languages)} languages"
    model = attributes.get("model")
    body = page.filled(
        _FOLDER / "report_page.html",
        heading=html.escape(heading + (f" in {model}" if isinstance(model, str) else "")),
        sentences=html.escape(_sentences(results)),
        alerts=_alerts(results),
        coverage=_coverage(results.languages, attributes.get("languages"), sentences),
        settings=_settings(attributes, name),
        method=html.escape(f"{_meanings(results.measures)} {_METHOD}"),
    )
    return page.render(
        body,
        title=f"{heading} · {name}",
        scripts=_SCRIPTS,
        meta=_meta(results),
        blocks={f"block-{m}": _block(results, m) for m in range(len(results.measures))},
    )


def _meanings(names: Sequence[str]) -> str:
    """Sentences with the meaning of each measure, and its name from b to a if that differs."""
    chosen = [MEASURES[name] for name in names]
    meanings = [f"{measure.label}: {measure.described}." for measure in chosen]
    swapped = [
        f"{measure.label} from b to a is {MEASURES[measure.transpose].label} from a to b, transposed."
        for measure in chosen
        if measure.transpose
    ]
    return " ".join(meanings + swapped)


def _block(results: metrics.Results, measure: int) -> bytes:
    """Figures of a measure: uint16 little-endian (plane, state, pair)."""
    largest = int(np.max(results.n, initial=0))
    if largest >= UNKNOWN:
        raise Refusal(f"the page counts up to {UNKNOWN - 1} sentences a pair, there are {largest}")
    shape = (max(b for _, b in PLANES.values()) + 1, len(results.states), len(results.pairs))
    packed = np.full(shape, UNKNOWN, "<u2")
    for figure, planes in PLANES.items():
        values = np.moveaxis(results.figure(figure)[:, :, measure], 0, 1)  # (state, pair, direction)
        whole = MRR_STEPS if figure == "mrr" else results.n[None, :, None]
        counts = np.where(np.isnan(values), UNKNOWN, np.rint(np.nan_to_num(values) * whole))
        for direction, plane in enumerate(planes):
            packed[plane] = counts[..., direction]
    return packed.tobytes()


def _meta(results: metrics.Results) -> dict[str, Json]:
    """Data for the script beside the blocks: languages, pairs, measures, orders, colours."""
    position = {language: i for i, language in enumerate(results.languages)}
    recall = [
        [results.matrix("recall_at_1", measure, state) for state in range(len(results.states))]
        for measure in results.measures
    ]
    return {
        "languages": [
            {"code": code, "name": name, "group": language_group(code)}
            for code, name in zip(results.languages, language_order.names(results.languages), strict=True)
        ],
        "pairs": [[position[a], position[b]] for a, b in results.pairs],
        "n": results.n.tolist(),
        "states": results.states,
        "measures": [{"key": key, "label": MEASURES[key].label} for key in results.measures],
        "best": [results.best_state(measure) for measure in results.measures],
        "byGroup": language_order.by_group(results.languages),
        "byCluster": [[language_order.by_cluster(matrix) for matrix in row] for row in recall],
        "planes": PLANES,
        "unknown": UNKNOWN,
        "mrrSteps": MRR_STEPS,
        "palette": style.SEQUENTIAL,
    }


def _sentences(results: metrics.Results) -> str:
    known = results.n[results.n > 0]
    if not known.size:
        return "No two languages here have a sentence in common."
    low, high = int(known.min()), int(known.max())
    count = f"{low}" if low == high else f"{low} to {high}"
    chance = f"{1 / high:.1%}" if low == high else f"{1 / high:.1%} to {1 / low:.1%}"
    return f"Two languages share {count} sentences, so chance is {chance}."


def _alerts(results: metrics.Results) -> str:
    alerts = []
    if missing := int((~results.computed).sum()):
        alerts.append(
            f"{missing:,} of {results.computed.size:,} cells aren't computed yet: they are hatched and enter "
            "no mean. Run the grid job to its end, then the report again."
        )
    if empty := int((results.n == 0).sum()):
        alerts.append(f"{empty:,} of {len(results.pairs):,} pairs have no sentence in common.")
    return "".join(map(page.alert, alerts))


def _coverage(languages: Sequence[str], known: Json, sentences: int) -> str:
    """Table of facts about each language; a dash where the grid's attributes don't have them."""
    rows, names = [], language_order.names(languages)
    for i in language_order.by_group(languages):
        code = languages[i]
        entry = known.get(code) if isinstance(known, Mapping) else None
        facts = entry if isinstance(entry, Mapping) else {}
        name, group = names[i], language_group(code)
        rows.append(
            f"<tr><th scope=row>{html.escape(name)}</th>"
            f"<td class=soft>{html.escape(code)}</td><td>{html.escape(group)}</td>"
            f"{_present(facts.get('sentences'), sentences)}{_number(facts.get('truncated'))}"
            f"{_number(facts.get('seconds'), 3600)}{_left_out(facts.get('missing'))}</tr>"
        )
    heads = ("Language", "Code", "Group", f"Sentences of {sentences:,}", "Cut at 30 s", "Hours", "Left out")
    head = "".join(
        f"<th scope=col{' class=number' if text in ('Cut at 30 s', 'Hours') else ''}>{text}</th>"
        for text in heads
    )
    body = "".join(rows)
    return f"<table class=coverage><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _present(count: Json, whole: int) -> str:
    if not isinstance(count, int):
        return _UNKNOWN_CELL
    share = 100 * count / max(whole, 1)
    return f'<td class=bar>{count:,}<i style="width:{share:.1f}%"></i></td>'


def _number(value: Json, unit: int = 1) -> str:
    if not isinstance(value, (int, float)):
        return _UNKNOWN_CELL
    return f"<td class=number>{value / unit:.2f}</td>" if unit > 1 else f"<td class=number>{value:,}</td>"


def _left_out(names: Json) -> str:
    """Cell with the number of recordings left out, which opens to their names."""
    if not isinstance(names, Sequence) or isinstance(names, str):
        return _UNKNOWN_CELL
    if not names:
        return "<td>none</td>"
    listed = html.escape(", ".join(map(str, names)))
    return f"<td><details><summary>{len(names):,}</summary>{listed}</details></td>"


def _settings(attributes: Mapping[str, Json], name: str) -> str:
    """Table of the grid's attributes, nested ones by dotted name, except those shown elsewhere."""
    rows: dict[str, Json] = {"grid": name}
    elsewhere = ("languages", "pairs", "states", "measures")
    for key, value in attributes.items():
        inner = value if isinstance(value, Mapping) else {"": value}
        for sub, setting in inner.items() if key not in elsewhere else ():
            rows[f"{key}.{sub}" if sub else key] = setting
    return page.settings_table(rows)

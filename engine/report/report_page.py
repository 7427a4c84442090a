"""HTML page of a report, with all figures of the grid inside, see `page`.

All text that comes from a grid is escaped.
"""

import html
import pathlib
from collections.abc import Mapping, Sequence

from isogloss.engine.corpora.languages import find, language_group
from isogloss.engine.drawing import colophon, page
from isogloss.engine.report import language_order, report_page_data
from isogloss.engine.report.report_tables import Collected
from isogloss.engine.retrieval import answers, metrics
from isogloss.engine.retrieval.derived import record
from isogloss.engine.retrieval.report_terms import FDR, RETRIEVAL, TERMS
from isogloss.engine.retrieval.scorings import scoring
from isogloss.engine.runtime.json_values import Json

_FOLDER = pathlib.Path(__file__).parent
_SCRIPTS = tuple(
    _FOLDER / f"report_page{part}.js"
    for part in ("", "_map", "_curve", "_tables", "_export", "_sentences", "_view")
)
_METHOD = (
    "Only sentences that both languages have take part, so chance is 1/n. Clustering: average linkage on "
    "1 - R@1, the mean of both directions; unknown pairs count as averagely distant."
)
_UNKNOWN_CELL = "<td>-</td>"


def render(
    collected: Collected,
    attributes: Mapping[str, Json],
    *,
    name: str,
    sentences: int,
    maps: str,
    answer_files: Mapping[str, str],
    texts: bool,
    date: str,
) -> str:
    """HTML of the whole page.

    Args:
      collected: all figures and tables.
      attributes: attributes of the grid, which are shown; "languages" has facts about each language.
      name: name of the grid.
      sentences: number of sentences of the grid's query axis.
      maps: sentence about the page of maps, which it names maps.html if there is one.
      answer_files: names of the files beside the page with single queries, by name of the pair.
      texts: True if the texts of sentences are beside the page, too.
      date: day on which the page is made.
    """
    results = collected.results
    heading = f"Retrieval across {len(results.languages)} languages"
    body = page.filled(
        _FOLDER / "report_page.html",
        head=_head(heading, results, attributes, maps, collected.fdr),
        coverage=page.table_section(
            "coverage", "Coverage", _coverage(results.languages, attributes.get("languages"), sentences)
        ),
        settings=_settings(attributes, name, collected),
        method=html.escape(_METHOD),
        colophon=colophon.of_grid(attributes, name, date),
    )
    return page.render(
        body,
        title=f"{heading} · {name}",
        scripts=(*page.TO_WORK_IN, *_SCRIPTS),
        meta=report_page_data.meta(collected) | _answers(results, answer_files, texts=texts),
        blocks=report_page_data.blocks(collected),
        numbers="retrieval.csv",
        beside=True,
    )


def _head(heading: str, results: metrics.Results, attributes: Mapping[str, Json], maps: str, fdr: str) -> str:
    return page.head(
        heading + _in_model(attributes),
        [
            f"{RETRIEVAL} {html.escape(_sentences(results))}",
            html.escape(maps).replace("maps.html", '<a href="maps.html">maps.html</a>'),
        ],
        alerts=_alerts(results.uncorrected),
        terms=_terms(results.uncorrected.measures, fdr),
    )


def _in_model(attributes: Mapping[str, Json]) -> str:
    model = attributes.get("model")
    return f" in {model}" if isinstance(model, str) else ""


def _answers(results: metrics.Results, files: Mapping[str, str], *, texts: bool) -> dict[str, Json]:
    """Files of single queries by pair, "" where there is none."""
    found: list[Json] = [files.get("-".join(pair), "") for pair in results.pairs]
    return {"answers": found if files else [], "folder": answers.FOLDER, "texts": texts}


def _terms(names: Sequence[str], fdr: str) -> dict[str, str]:
    """Meanings of each measure and each term."""
    chosen = [record(name) for name in names]
    if "seqsim" in names:  # is made of both
        chosen += [record(name) for name in ("precision", "recall") if name not in names]
    meanings = {each.label: f"{each.described[0].upper()}{each.described[1:]}." for each in chosen}
    for measure in chosen:
        # Precision of one direction is recall of the other.
        if measure.transpose and record(measure.transpose).retrieves:
            other = record(measure.transpose).label
            meanings[measure.label] += f" From b to a it is {other} from a to b, transposed."
    return meanings | dict(TERMS) | {"q": f"{TERMS['q']} By {FDR[fdr]}."}


def _sentences(results: metrics.Results) -> str:
    known = results.n[results.n > 0]
    if not known.size:
        return "No two languages here have a sentence in common."
    low, high = int(known.min()), int(known.max())
    count = f"{low}" if low == high else f"{low} to {high}"
    # More sentences make chance smaller, so the ends are turned round.
    chance = " to ".join(f"{metrics.chance(n):.1%}" for n in dict.fromkeys((high, low)))
    return f"Two languages share {count} sentences, so chance is {chance}."


def _alerts(results: metrics.Results) -> list[str]:
    alerts = []
    if missing := int((~results.computed).sum()):
        alerts.append(
            f"{missing:,} of {results.computed.size:,} cells aren't computed yet: they are hatched and enter "
            "no mean. Run the grid job to its end, then the report again."
        )
    if empty := int((results.n == 0).sum()):
        alerts.append(f"{empty:,} of {len(results.pairs):,} pairs have no sentence in common.")
    return alerts


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
            f"{_number(facts.get('seconds'), 3600)}{_in_whisper(code)}{_left_out(facts.get('missing'))}</tr>"
        )
    numbers = ("Cut at 30 s", "Hours", "Hours in Whisper")
    heads = ("Language", "Code", "Group", f"Sentences of {sentences:,}", *numbers, "Left out")
    head = "".join(f"<th scope=col{' class=number' if text in numbers else ''}>{text}</th>" for text in heads)
    body = "".join(rows)
    return f"<table id=coverage class=coverage><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _present(count: Json, whole: int) -> str:
    if not isinstance(count, int):
        return _UNKNOWN_CELL
    share = 100 * count / max(whole, 1)
    return f'<td class=bar>{count:,}<i style="width:{share:.1f}%"></i></td>'


def _number(value: Json, unit: int = 1) -> str:
    if not isinstance(value, (int, float)):
        return _UNKNOWN_CELL
    return f"<td class=number>{value / unit:.2f}</td>" if unit > 1 else f"<td class=number>{value:,}</td>"


def _in_whisper(code: str) -> str:
    """Cell with the hours of a language in Whisper's training."""
    language = find(code)
    if language is None:
        return _UNKNOWN_CELL
    if language.whisper_hours is None:
        return f"<td class=number>{'none published' if language.whisper else 'not in it'}</td>"
    return f"<td class=number>{language.whisper_hours:,.6g}</td>"


def _left_out(names: Json) -> str:
    """Cell with the number of recordings left out, which opens to their names."""
    if not isinstance(names, Sequence) or isinstance(names, str):
        return _UNKNOWN_CELL
    if not names:
        return "<td>none</td>"
    listed = html.escape(", ".join(map(str, names)))
    return f"<td><details><summary>{len(names):,}</summary>{listed}</details></td>"


def _settings(attributes: Mapping[str, Json], name: str, collected: Collected) -> str:
    """Section of the grid's attributes, nested ones by dotted name, and of the report's options."""
    elsewhere = ("languages", "pairs", "states", "measures")
    shown = {key: value for key, value in attributes.items() if key not in elsewhere}
    rows: dict[str, Json] = {"grid": name, **page.dotted(shown)}
    prefix = "recall_at_1_of_"
    candidates = [each for each in collected.tables["retrieval"].column_names if each.startswith(prefix)]
    corrections = dict.fromkeys(scoring(each).correction for each in collected.results.measures)
    rows |= {
        "report.corrections": ", ".join(corrections),
        "report.candidates": candidates[0].removeprefix(prefix),
        "report.fdr": f"{collected.fdr}, {FDR[collected.fdr]}",
    }
    heading = "Settings of the grid and of the report"
    return page.table_section("settings", heading, page.settings_table(rows))

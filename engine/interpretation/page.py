"""HTML page to browse the word matches of all sentence pairs, see `drawing.page`.

Words are stored once per language, matches once per language pair and state, each as a block of JSON with
numbers as small integers. Word pairs that don't match and have less than 0.005% of a score are left out. All
text is escaped.
"""

import html
import json
import pathlib
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool

from isogloss.engine.corpora.languages import language_name
from isogloss.engine.drawing import page
from isogloss.engine.drawing.colophon import colophon
from isogloss.engine.interpretation import match_tests
from isogloss.engine.runtime import atomic_write
from isogloss.engine.runtime.json_values import Json

STEPS = 1000
"""Similarities, meanings and distances are stored in units of 1 / STEPS, scores and shares in a tenth."""
CELLS = 48
"""Cells along each side of the plane in which random word pairs that don't match are counted."""

_FOLDER = pathlib.Path(__file__).parent
_SCRIPTS = tuple(_FOLDER / f"page{part}.js" for part in ("", "_words", "_plane", "_view"))
_LEAD = (
    "Two recordings of one sentence in two languages, word by word: which words stand behind the similarity "
    "of their frames, and do these <b>sound alike</b> or <b>mean alike</b>?"
)
_UNCOMPARED = "Sentence pairs that can't be compared"
_REASONS = "sentence_pairs.parquet has the reasons."
_REPORT = "Retrieval across these languages"
_REPORTS = ("report.html", "../report/report.html", "../report.html")
"""Where a report usually lies, seen from the page's folder."""
_FINE = 10 * STEPS
_COLUMNS = {
    "similarity": STEPS,
    "share": _FINE,
    "transport": _FINE,
    "meaning": STEPS,
    "sound_distance": STEPS,
}
_ALIKE = {name: code for code, name in enumerate(match_tests.ALIKE)}
_KEY = ["language_a", "language_b", "state"]
_SENTENCES = ["query", "candidate", "utterance_a", "utterance_b"]

_Block = Mapping[str, list[list[Json]]] | Sequence[dict[str, Json]]


def write(
    path: pathlib.Path,
    checked: match_tests.CheckedMatches,
    sentence_pairs: pd.DataFrame,
    settings: Mapping[str, Json],
    *,
    name: str,
    model: str,
    made_from: Mapping[str, str] | None = None,
) -> None:
    """Write the page whole; arguments as of `render`. It links to the report if that lies beside it."""
    report = next((place for place in _REPORTS if (path.parent / place).is_file()), "")
    text = render(
        checked, sentence_pairs, settings, name=name, model=model, report=report, made_from=made_from
    )
    atomic_write.write_whole(path, lambda file: file.write_text(text, "utf-8"))


def render(
    checked: match_tests.CheckedMatches,
    sentence_pairs: pd.DataFrame,
    settings: Mapping[str, Json],
    *,
    name: str,
    model: str = "",
    report: str = "",
    made_from: Mapping[str, str] | None = None,
) -> str:
    """HTML of the whole page.

    Args:
      checked: word pairs, of `tables.WORD_PAIRS`, with the columns that `match_tests` adds.
      sentence_pairs: as `tables.SENTENCE_PAIRS`; those with a problem are counted, not shown.
      settings: of the run, shown at the end.
      name: of the run.
      model: whose encoder states were compared.
      report: address of the report of the same grid.
      made_from: facts for the colophon, by name; see `colophon.facts`.
    """
    shown = sentence_pairs.loc[sentence_pairs["problem"] == ""]
    sets = {key: part for key, part in shown.groupby(_KEY, sort=False)}
    languages = {*shown["language_a"], *shown["language_b"]}
    heading = f"Words that match across {len(languages)} languages"
    body = page.filled(
        _FOLDER / "page.html",
        head=_head(heading + (f" in {model}" if model else ""), report, len(sentence_pairs) - len(shown)),
        settings=page.table_section(
            "settings", "Settings of the run", page.settings_table({"run": name, **settings})
        ),
        tail=f"{match_tests.TAIL:.0%}",
        draws=str(match_tests.DRAWS),
        colophon=colophon(made_from or {}),
    )
    return page.render(
        body,
        title=f"{heading} · {name}",
        styles=(_FOLDER / "page.css",),
        scripts=_SCRIPTS,
        meta=_meta(checked, sets),
        blocks={key: _json(value) for key, value in _blocks(checked.pairs, sets).items()},
        needs="matches",
        numbers="word_pairs.parquet",
    )


def _head(heading: str, report: str, left_out: int) -> str:
    link = [f'<a href="{html.escape(report)}">{_REPORT}</a>'] if report else []
    return page.head(
        heading,
        [_LEAD, *link],
        alerts=[f"{_UNCOMPARED}: {left_out:,}; {_REASONS}"] if left_out else [],
    )


def _blocks(pairs: pd.DataFrame, sets: Mapping[Hashable, pd.DataFrame]) -> dict[str, _Block]:
    """Words of each language, and sentence pairs with their matches by language pair and state."""
    # A block for each of `sets`: the scripts unpack it when a reader chooses it.
    blocks: dict[str, _Block] = {f"words-{code}": words for code, words in _words(pairs).items()}
    matches = {key: part for key, part in pairs.loc[shown_pairs(pairs)].groupby(_KEY, sort=False)}
    for i, (key, part) in enumerate(sets.items()):
        blocks[f"set-{i}"] = _set(part, matches.get(key, pairs.iloc[:0]))
    return blocks


def shown_pairs(pairs: pd.DataFrame) -> Bool[np.ndarray, " P"]:
    """True for word pairs of the page: matches, and those whose share of a score isn't rounded to 0."""
    # Most word pairs neither match nor carry a share; with them the page would be many times as large.
    matched = pairs["mutual"].to_numpy(bool) | pairs["transported"].to_numpy(bool)
    return matched | (pairs["share"].to_numpy(float) >= 0.5 / _FINE)


def _words(pairs: pd.DataFrame) -> dict[str, dict[str, list[list[Json]]]]:
    """Words by language and utterance, with index, and start and end in centiseconds."""
    found: dict[str, dict[str, list[list[Json]]]] = {}
    for side in "ab":
        names = [f"{name}_{side}" for name in ("language", "utterance", "word_index", "word", "start", "end")]
        words = pairs.loc[pairs[names[2]] >= 0, names].drop_duplicates(names[:3]).sort_values(names[:3])
        for key, part in words.groupby(names[:2], sort=True):
            language, utterance = map(str, np.asarray(key, object))
            index, text, start, end = (part[name].tolist() for name in names[2:])
            columns: list[list[Json]] = [text, index, _whole(start, 100), _whole(end, 100)]
            found.setdefault(language, {})[utterance] = columns
    return found


def _set(part: pd.DataFrame, matches: pd.DataFrame) -> list[dict[str, Json]]:
    """Sentence pairs of a language pair and state, each with its word pairs by column."""
    by = {key: rows for key, rows in matches.groupby(_SENTENCES, sort=False)}
    none = matches.iloc[:0]
    packed: list[dict[str, Json]] = []
    for row in part.to_dict("records"):
        rows = pd.DataFrame(by.get(tuple(row[name] for name in _SENTENCES), none))
        mutual, transported = (rows[name].to_numpy(int) for name in ("mutual", "transported"))
        entry: dict[str, Json] = {name: str(row[name]) for name in _SENTENCES}
        entry |= {name: _number(row[name], _FINE) for name in ("score", "precision", "recall", "share_gap")}
        entry |= {f"index_{side}": rows[f"word_index_{side}"].tolist() for side in "ab"}
        entry |= {name: _whole(rows[name].tolist(), steps) for name, steps in _COLUMNS.items()}
        entry |= {"gold": int(bool(row["gold"])), "flags": (mutual + 2 * transported).tolist()}
        packed.append(entry | {"alike": [_ALIKE.get(name) for name in rows["alike"]]})
    return packed


def _whole(values: Sequence[float], steps: int) -> list[Json]:
    return [_number(value, steps) for value in values]


def _number(value: float, steps: int) -> int | None:
    return None if not np.isfinite(value) else round(float(value) * steps)


def _json(value: _Block) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _meta(checked: match_tests.CheckedMatches, sets: Mapping[Hashable, pd.DataFrame]) -> dict[str, Json]:
    """Data of the scripts that aren't in blocks."""
    names: dict[str, Json] = {}
    found: list[Json] = []
    for key, part in sets.items():
        assert isinstance(key, tuple)
        a, b, state = map(str, key)
        names |= {code: language_name(code) for code in (a, b)}
        found.append({"a": a, "b": b, "state": state, "n": len(part)})
    return {
        "names": names,
        "sets": found,
        "tests": _records(checked.tests),
        "planes": _records(checked.plane),
        "random": [
            {"a": str(a), "b": str(b), "state": str(state), "cells": _cells(part)}
            for (a, b, state), part in checked.random.groupby(_KEY, sort=True)  # pyright: ignore[reportGeneralTypeIssues]
        ],
        "alike": list(match_tests.ALIKE),
        "side": CELLS,
        "steps": STEPS,
    }


def _records(table: pd.DataFrame) -> list[Json]:
    """Rows as objects, floats to six digits, unknown ones null."""
    rows: list[Json] = []
    for record in table.to_dict("records"):
        row: dict[str, Json] = {}
        for key, value in record.items():
            if isinstance(value, float):
                row[str(key)] = float(f"{value:.6g}") if np.isfinite(value) else None
            else:
                row[str(key)] = int(value) if isinstance(value, (int, np.integer)) else str(value)
        rows.append(row)
    return rows


def _cells(random: pd.DataFrame) -> list[Json]:
    """Counts of random word pairs on the plane, row by row: sound across, meaning up, both from 0 to 1."""
    known = random.dropna(subset=list(match_tests.CHECKS))
    meaning = known["meaning"].clip(0, 1)
    edges = np.linspace(0, 1, CELLS + 1)
    counts, _, _ = np.histogram2d(meaning, 1 - known["sound_distance"], (edges, edges))
    return counts.astype(int).ravel().tolist()

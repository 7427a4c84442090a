"""HTML page of several grids, see `page`: their curves, the differences between every two, and all contrasts.

It is made of the tables that were written before, read in pieces. The contrasts are packed as counts out of n
in 16 bits. Those at the best states are in the page; those of all states are scripts beside it, one for every
two grids and scoring, which the page loads when asked: of 102 languages and 34 states 3.5 MB before they are
deflated.
"""

import html
import itertools
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int, Shaped, UInt16

from isogloss.engine.drawing import page
from isogloss.engine.drawing.colophon import colophon, corpora
from isogloss.engine.report import grid_curves, grid_differences, report_page_data
from isogloss.engine.report.grid_differences import COMPARED, Two
from isogloss.engine.report.report_page_data import STEPS, UNKNOWN
from isogloss.engine.report.reported_grids import Reported
from isogloss.engine.retrieval import contrasts
from isogloss.engine.retrieval.derived import BASELINE, record
from isogloss.engine.retrieval.report_terms import CORRECTIONS, RETRIEVAL, TERMS
from isogloss.engine.retrieval.scorings import Scoring, corrected
from isogloss.engine.runtime import table_files
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.kernels import bootstrap

PLANES = ("recall_at_1", "other_recall_at_1", "ci_low", "ci_high", "q")
"""Planes of a block (plane, state, pair, direction)."""
FOLDER = "contrasts"
"""Folder of the scripts beside the page."""
PAGE = "report.html"
MEANS = ("recall_at_1", "sentences_low", "sentences_high", "languages_low", "languages_high")
DIFFERENCES = ("recall_at_1", "other_recall_at_1", "difference", *MEANS[1:], "p", "q")
_FOLDER = pathlib.Path(__file__).parent
_SCRIPTS = tuple(_FOLDER / f"grids_page{part}.js" for part in ("", "_charts", "_view"))
_ELSEWHERE = ("languages", "pairs", "states", "measures")
_COMPARED_ON = "Every two grids are compared on the sentences that a language pair has in both."
_TERMS = ("asks", "answers", "R@1", "Duration alone", "State", "final", "Best state", "n")
_OWN_TERMS = {
    "Difference": "R@1 of the first grid minus that of the second, on the sentences that a language pair has "
    "in both: where these are fewer than it has, both are ranked anew among them.",
    "95% interval": f"Percentile bootstrap over sentences, {bootstrap.RESAMPLES:,} resamples. A mean over "
    "pairs has a second one, over languages.",
    "q": "False discovery rate of the exact sign-flip test, over all rows of the same kind (states of one "
    f"name, or best states). For means, whole sentences change sides, {contrasts.FLIPS:,} times.",
}


def render(out: pathlib.Path, of_each: Mapping[str, Reported], *, date: str) -> tuple[str, dict[str, str]]:
    """HTML of the whole page, and the scripts in `FOLDER` beside it by name.

    Args:
      out: folder of the tables.
      of_each: grids by label; their pages lie in OUT/LABEL.
      date: day on which the page is made.

    Raises:
      Refusal: a pair has more sentences than a count holds.
    """
    twos = grid_differences.twos(of_each)
    codes = list(
        dict.fromkeys(code for each in of_each.values() for pair in each.grid.pairs for code in pair)
    )
    heading = (
        f"{' and '.join(of_each)} side by side" if len(of_each) < 4 else f"{len(of_each)} grids side by side"
    )
    body = page.filled(
        _FOLDER / "grids_page.html",
        head=page.head(
            heading,
            [f"{RETRIEVAL} {_COMPARED_ON}"],
            terms={name: TERMS[name] for name in _TERMS} | _OWN_TERMS,
        ),
        grids=page.table_section("grids", "Grids, each with a page of its own", _grids(out, of_each)),
        settings=page.table_section("settings", "Settings that differ", _settings(of_each)),
        colophon=colophon(_made_from(of_each, date)),
    )
    blocks, scripts, counts = _contrasts(out, twos, codes)
    shown = page.render(
        body,
        title=heading,
        styles=[_FOLDER / "grids_page.css"],
        scripts=(*page.TO_WORK_IN, *_SCRIPTS),
        meta=_meta(out, of_each, twos, codes, counts),
        blocks=blocks,
        numbers="grid_means.csv and grid_contrasts.csv",
        beside=True,
    )
    return shown, scripts


def _made_from(of_each: Mapping[str, Reported], date: str) -> dict[str, str]:
    """Models, corpora and grids, and the day, as far as they are known."""
    grids = [each.grid for each in of_each.values()]
    made = {
        "Models": [str(grid.attributes.get("model", "")) for grid in grids],
        "Corpus": [corpus for grid in grids for corpus in corpora(grid.attributes)],
        "Grids": [grid.path.name for grid in grids],
        "Date": [date],
    }
    joined = {name: ", ".join(dict.fromkeys(filter(None, texts))) for name, texts in made.items()}
    return {name: text for name, text in joined.items() if text}


def _grids(out: pathlib.Path, of_each: Mapping[str, Reported]) -> str:
    """Table of the grids with links to their own pages."""
    heads = ("Grid", "Model", "Languages", "Pairs", "Sentences", "States", "Maps")
    rows = []
    for label, each in of_each.items():
        grid, address = each.grid, html.escape(page.address(label))
        languages = {code for pair in grid.pairs for code in pair}
        maps = f'<a href="{address}/maps.html">maps</a>' if (out / label / "maps.html").is_file() else "-"
        numbers = (len(languages), len(grid.pairs), len(grid.sentences), len(grid.states))
        rows.append(
            f'<tr><th scope=row><a href="{address}/report.html">{html.escape(label)}</a></th>'
            f"<td>{html.escape(str(grid.attributes.get('model', '-')))}</td>"
            + "".join(f"<td class=number>{number:,}</td>" for number in numbers)
            + f"<td>{maps}</td></tr>"
        )
    head = "".join(
        f"<th scope=col{' class=number' if 2 <= k < 6 else ''}>{t}</th>" for k, t in enumerate(heads)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _settings(of_each: Mapping[str, Reported]) -> str:
    """Table of the settings in which the grids differ, one column a grid."""
    settings = [
        page.dotted({key: v for key, v in each.grid.attributes.items() if key not in _ELSEWHERE})
        for each in of_each.values()
    ]
    names = list(dict.fromkeys(name for each in settings for name in each))
    rows = []
    for name in names:
        values = [each.get(name) for each in settings]
        # Settings that all grids share would bury those that explain a difference.
        if any(value != values[0] for value in values):
            cells = (f"<td>{html.escape('-' if v is None else page.written(v))}</td>" for v in values)
            rows.append(f"<tr><th scope=row>{html.escape(name)}</th>{''.join(cells)}</tr>")
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th scope=col>{html.escape(label)}</th>" for label in ("Setting", *of_each))
    return f"<table class=settings><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _meta(
    out: pathlib.Path,
    of_each: Mapping[str, Reported],
    twos: Sequence[Two],
    codes: Sequence[str],
    counts: Sequence[Int[np.ndarray, " P"]],
) -> dict[str, Json]:
    """Data that the scripts show at once, and those they need to read the blocks."""
    measures = list(dict.fromkeys(s.measure for each in of_each.values() for s in each.scorings))
    corrections = list(dict.fromkeys(s.correction for each in of_each.values() for s in each.scorings))
    place = {code: i for i, code in enumerate(codes)}
    means = table_files.read_parquet(out / "means.parquet")
    differences = table_files.read_parquet(out / "grid_means.parquet")
    return {
        "grids": [
            {
                "label": label,
                "address": page.address(label),
                "states": list(each.grid.states),
                "across": grid_curves.across(each.grid.states),
                "means": _by_scoring(means, {"grid": label}, MEANS),
            }
            for label, each in of_each.items()
        ],
        "languages": report_page_data.languages(codes),
        "measures": [
            {"key": key, "label": record(key).label, "corrected": corrected(key)}
            for key in measures
            if key != BASELINE
        ],
        "corrections": [
            {"key": key, "label": CORRECTIONS[key][0], "about": CORRECTIONS[key][1]} for key in corrections
        ],
        "twos": [
            _two(two, list(of_each), place, n, differences) for two, n in zip(twos, counts, strict=True)
        ],
        "folder": FOLDER,
        "file": PAGE,
        "baseline": BASELINE,
        "planes": list(PLANES),
        "ends": {"means": list(MEANS), "differences": list(DIFFERENCES)},
        "unknown": UNKNOWN,
        "steps": STEPS,
    }


def _two(
    two: Two, labels: Sequence[str], place: Mapping[str, int], n: Int[np.ndarray, " P"], differences: pa.Table
) -> dict[str, Json]:
    """Data of two grids for the scripts."""
    wanted: dict[str, str] = dict(zip(("grid", "other_grid"), two.labels, strict=True))
    return {
        "grids": [labels.index(label) for label in two.labels],
        "scorings": [each.name for each in two.scorings],
        "states": [two.one.grid.states[here] for here, _ in two.states],
        "pairs": [[place[a], place[b]] for a, b in two.pairs],
        "n": n.tolist(),
        "means": _by_scoring(differences, wanted, DIFFERENCES),
    }


def _by_scoring(table: pa.Table, wanted: Mapping[str, str], columns: Sequence[str]) -> dict[str, Json]:
    """Rows of some grids by scoring, each a list of numbers to four digits, null where unknown."""
    found: dict[str, list[Json]] = {}
    for row in table.to_pylist():
        if all(row[name] == value for name, value in wanted.items()):
            numbers: list[Json] = [None if np.isnan(row[n]) else float(f"{row[n]:.4g}") for n in columns]
            found.setdefault(Scoring(row["measure"], row["correction"]).name, []).append(numbers)
    return dict(found)


def _contrasts(
    out: pathlib.Path, twos: Sequence[Two], codes: Sequence[str]
) -> tuple[dict[str, bytes], dict[str, str], list[Int[np.ndarray, " P"]]]:
    """Blocks and scripts of every two grids and scoring, and the numbers of sentences of their pairs."""
    place = {code: i for i, code in enumerate(codes)}
    packed = []
    for two in twos:
        shape = len(PLANES), len(two.states) + 1, len(two.pairs), 2
        planes = [np.full(shape, UNKNOWN, "<u2") for _ in two.scorings]
        best = [np.full((2, len(two.pairs)), UNKNOWN, "<u2") for _ in two.scorings]
        packed.append((planes, best, np.zeros(len(two.pairs), np.int64)))
    # In pieces: 8 million rows as Python objects would take gigabytes.
    for piece in table_files.read_parquet_in_pieces(out / "grid_contrasts.parquet"):
        for two, (planes, best, n) in zip(twos, packed, strict=True):
            _fill(piece, two, place, planes, best, n)
    largest = max((int(n.max(initial=0)) for _, _, n in packed), default=0)
    # Ends of differences are counted from -n, so they take twice the range of a share.
    if 2 * largest >= UNKNOWN:
        raise Refusal(f"the page counts up to {UNKNOWN // 2} sentences a pair, there are {largest}")
    blocks, scripts = {}, {}
    for k, (of_two, bests, _) in enumerate(packed):
        for v, (planes, best) in enumerate(zip(of_two, bests, strict=True)):
            blocks[f"best-{k}-{v}"] = planes[:, -1].tobytes() + best.tobytes()
            scripts[f"{k}-{v}.js"] = page.script_beside(f"{k}-{v}.js", planes[:, :-1].tobytes())
    return blocks, scripts, [n for _, _, n in packed]


def _fill(
    piece: pa.Table,
    two: Two,
    place: Mapping[str, int],
    planes: Sequence[UInt16[np.ndarray, "F C P 2"]],
    best: Sequence[UInt16[np.ndarray, "2 P"]],
    n: Int[np.ndarray, " P"],
) -> None:
    """Put the rows of these two grids into their planes."""
    of = np.asarray(piece["grid"].to_numpy() == two.labels[0])
    of &= piece["other_grid"].to_numpy() == two.labels[1]
    if not of.any():
        return
    piece = piece.filter(pa.array(of))
    pairs = np.full((len(place), len(place)), -1)
    for p, (a, b) in enumerate(two.pairs):
        pairs[place[a], place[b]] = p
    a, b = (_index(piece[name], place) for name in ("language_a", "language_b"))
    pair = pairs[a, b]
    arrows = {
        f"{x}->{y}": place[x] for x, y in itertools.chain(two.pairs, (pair[::-1] for pair in two.pairs))
    }
    direction = (_index(piece["direction"], arrows) != a).astype(int)
    names = {Scoring(s.measure, s.correction).name: v for v, s in enumerate(two.scorings)}
    keys = zip(piece["measure"].to_pylist(), piece["correction"].to_pylist(), strict=True)
    scoring = np.array([names[Scoring(*key).name] for key in keys])
    chosen = _index(piece["compared"], {name: i for i, name in enumerate(COMPARED)}) == COMPARED.index(
        "best state"
    )
    shared = {two.one.grid.states[here]: i for i, (here, _) in enumerate(two.states)}
    states = [{name: i for i, name in enumerate(each.grid.states)} for each in (two.one, two.other)]
    state = np.where(chosen, len(two.states), _index(piece["state"], shared))
    count = piece["n"].to_numpy().astype(np.int64)
    n[pair] = count
    ends = [_index(piece[name], of) for name, of in zip(("state", "other_state"), states, strict=True)]
    for v in np.unique(scoring):
        mine = scoring == v
        for f, name in enumerate(PLANES):
            values = piece[name].to_numpy()
            counts = _counted(name, values, count)
            # The last state of a plane is the best one of each pair.
            planes[v][f, state[mine], pair[mine], direction[mine]] = counts[mine]
        for side in (0, 1):
            best[v][side, pair[mine & chosen]] = ends[side][mine & chosen]


def _counted(
    name: str, values: Float[np.ndarray, " K"], n: Int[np.ndarray, " K"]
) -> Shaped[np.ndarray, " K"]:
    """Values as 16-bit numbers: shares as counts, ends of differences as counts from -n, q in steps."""
    if name == "q":
        return np.rint(values * STEPS).astype(np.uint16)
    return np.rint(values * n + (n if name.startswith("ci_") else 0)).astype(np.uint16)


def _index(column: pa.ChunkedArray, places: Mapping[str, int]) -> Int[np.ndarray, " K"]:
    """Index of each text of a column; -1 for one that has none."""
    # Texts repeat millions of times: each is looked up once.
    coded = column.combine_chunks().dictionary_encode()
    found = np.array([places.get(name, -1) for name in coded.dictionary.to_pylist()] or [-1])
    return found[coded.indices.to_numpy()]

"""The page: its packed figures are decoded here independently of the script that does it in a browser."""

import html.parser
import itertools
import json
import pathlib
import re

import numpy as np
import pages
import pyarrow as pa
import pytest
import yaml
from pages import script

from isogloss.engine.drawing import colophon, page as drawing_page, page_script
from isogloss.engine.report import report_page, report_page_data, report_tables
from isogloss.engine.retrieval import corrections, metrics, table

nan = np.nan
NASTY = '</script><script>alert("x")</script>&<b>'
ATTRIBUTES = {
    "model": "openai/whisper-base",
    "languages": {
        "en": {"sentences": 19, "missing": ["7.0", "8.0"], "seconds": 7200.0, "truncated": 4},
        "fr": {"sentences": 20, "missing": [], "seconds": 1800.0, "truncated": 0},
    },
    "pairs": ["en-fr", "en-es", "fr-es"],
    "flags": {"memory_gb": 8.0},
}


def results(languages=("en", "fr", "es")):
    """Figures that are k / n, as ranks give them; the last pair has no sentences, one cell is missing."""
    pairs = tuple(itertools.combinations(languages, 2))
    rng = np.random.default_rng(0)
    n = np.array([20, 350, 0])[: len(pairs)]
    values = np.full((len(pairs), 2, 2, 2, len(metrics.ALL_FIGURES)), nan)
    for pair in np.flatnonzero(n):
        ranks = rng.integers(1, 8, (2, 2, 2, n[pair]))
        values[pair, ..., : len(metrics.FIGURES)] = metrics.figures(ranks)
    values[0, 1, 0] = nan
    computed = ~np.isnan(values[..., 0, 0])
    computed[n == 0] = True
    values[..., metrics.ALL_FIGURES.index("hub_queries")] = np.where(np.isnan(values[..., 0]), nan, 3)
    return metrics.Results(
        pairs=pairs,
        states=("6", "final"),
        measures=("seqsim", "seqsim+csls"),
        n=n,
        computed=computed,
        values=values,
    )


def named_hubs(shape):
    """The second sentence, which is first for 3 queries, and the first one, for 2."""
    return np.broadcast_to(np.int32([(1, 3), (0, 2), corrections.NO_HUB]), (*shape, corrections.HUBS, 2))


def page(given, attributes=ATTRIBUTES, maps=""):
    """A page as a browser has it."""
    return pages.opened(rendered(given, attributes, maps))


def rendered(given, attributes=ATTRIBUTES, maps=""):
    """Page of figures; the hub of every cell is its pair's second sentence, every onset is the last state."""
    sentences = [[f"s{i}" for i in range(max(n, 2))] for n in given.n]
    hubs = named_hubs(given.values.shape[:-1])
    rows = [
        (a, b, "seqsim", correction, f"{x}->{y}", "6", "none", "final", 0.25)
        for a, b in given.pairs[:2]
        for correction in ("none", "csls")
        for x, y in ((a, b), (b, a))
    ]
    names = ("language_a", "language_b", "measure", "correction", "direction", *report_page_data.ONSETS)
    order = [*names[:5], "onset_low", "onset", "onset_high", "recall_at_1_held_out"]
    best = pa.table(dict(zip(order, map(list, zip(*rows, strict=True)), strict=True)))
    above = np.where(np.isnan(given.figure("recall_at_1")), nan, np.arange(2))  # from b to a all cells are
    tables = {"retrieval": table.tabulate(given, hubs, sentences, "bh", 100, above), "best_states": best}
    count = len(given.measures) * len(given.states)
    ends = {name: np.full(count, (k + 1) / 8) for k, name in enumerate(report_tables.MEAN_ENDS)}
    tables["means"] = pa.table({"pairs": np.full(count, (given.n > 0).sum(), np.int32), **ends})
    collected = report_tables.Collected(results=given, tables=tables, fdr="by", above=above)
    return report_page.render(
        collected,
        attributes,
        name="grid.zarr",
        sentences=20,
        maps=maps,
        answer_files={"en-fr": "en-fr.0.js"},
        texts=False,
        date="2026-01-31",
    )


class Reader(html.parser.HTMLParser):
    """Collects tags, and text by the tag it stands in."""

    def __init__(self):
        """Start empty."""
        super().__init__()
        self.tags, self.texts, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.texts.append(data.strip())


def read(text):
    reader = Reader()
    reader.feed(text)
    return reader


def numbers(text, name):
    low, high = np.frombuffer(pages.inflated(script(text, name)), np.uint8).reshape(2, -1).astype(np.uint16)
    return low | high << 8


def test_the_blocks_hold_every_figure():
    given = results()
    text = page(given)
    meta = json.loads(script(text, "meta"))
    assert meta["n"] == [20, 350, 0]
    assert meta["pairs"] == [[0, 1], [0, 2], [1, 2]]
    assert [len(meta[name]) for name in ("measures", "corrections")] == [1, 2]
    assert (meta["scorings"], meta["blocks"], meta["baseline"]) == ([[0], [1]], [[0], [1]], -1)
    figures = [name for name in report_page_data.PLANES if name in metrics.ALL_FIGURES]
    for m, name in itertools.product(range(2), figures):
        block = numbers(text, f"block-{m}").reshape(-1, 2, 3)  # plane, state, pair
        for direction, plane in enumerate(meta["planes"][name]):
            wanted = given.figure(name)[:, :, m, direction].T
            whole = {"mrr": meta["steps"], "hub_queries": 1}.get(name, np.array(meta["n"]))
            assert ((block[plane] == meta["unknown"]) == np.isnan(wanted)).all()
            step = 0.5 / meta["steps"] if name == "mrr" else 1e-12  # counts are exact
            with np.errstate(divide="ignore"):
                found = block[plane] / whole
            known = ~np.isnan(wanted)
            assert np.abs(found - wanted)[known].max() <= step


def test_files_of_single_queries_are_named_by_pair():
    meta = json.loads(script(page(results()), "meta"))
    assert (meta["answers"], meta["folder"], meta["texts"]) == (["en-fr.0.js", "", ""], "sentences", False)


def test_q_hub_and_onset_of_each_cell_are_those_of_the_tables():
    given = results()
    text = page(given)
    meta = json.loads(script(text, "meta"))
    sentences = [[f"s{i}" for i in range(max(n, 2))] for n in given.n]
    shape = (3, 2, 2, 2)
    made = table.tabulate(given, named_hubs(shape), sentences, "bh", 100, np.ones(shape))
    rows = made.to_pylist()
    assert {row["n"] for row in rows} == {0, 20, 350}
    for row in rows:
        if row["n"] and not np.isnan(row["q"]):
            hits = str(round(row["recall_at_1"] * row["n"]))
            assert meta["q"][str(row["n"])][hits] == pytest.approx(row["q"], rel=0.05)
    block = numbers(text, "block-1").reshape(-1, 2, 3)
    hubs = [
        [block[meta["planes"][f"{name}{k}"][0], 1, 0] for name in ("hub", "hub_queries")] for k in ("", "_2")
    ]
    assert [(meta["hubs"][at], queries) for at, queries in hubs] == [("s1", 3), ("s0", 2)]
    assert block[meta["planes"]["hub_queries_3"][0], 1, 0] == 0
    assert "hub_2" not in report_page_data.planes(67)
    assert [set(block[plane, 0, :2]) for plane in meta["planes"]["above"]] == [{0}, {1}]
    assert (block[meta["planes"]["above"][0], :, 2] == meta["unknown"]).all()
    onsets = numbers(text, "onsets").reshape(4, 2, 3, 2)
    assert onsets[:, 1, 1, 0].tolist() == [2, 0, 1, round(0.25 * meta["steps"])]  # 2: past both states, none
    assert (onsets[:, :, 2] == meta["unknown"]).all()


def test_the_intervals_of_means_are_those_of_the_table():
    text = page(results())
    steps = json.loads(script(text, "meta"))["steps"]
    found = numbers(text, "means").reshape(4, 2, 2) / steps
    assert (np.abs(found - np.arange(1, 5)[:, None, None] / 8) < 1e-4).all()
    alone = results(languages=("en", "fr"))
    ends = numbers(page(alone), "means").reshape(4, -1)
    assert (ends[2:] == report_page_data.UNKNOWN).all()  # one pair has no other languages to draw
    assert (ends[:2] < report_page_data.UNKNOWN).all()


def test_the_page_says_what_it_is_made_from_and_how_to_cite_it():
    attributes = ATTRIBUTES | {
        "languages": {"en": {"corpus": "fleurs:test"}, "fr": {"corpus": "fleurs:test"}}
    }
    texts = read(page(results(), attributes)).texts
    for name, value in (("Model", "openai/whisper-base"), ("Corpus", "fleurs:test"), ("Date", "2026-01-31")):
        assert texts[texts.index(name) + 1] == value
    citation = yaml.safe_load((pathlib.Path(__file__).parents[3] / "CITATION.cff").read_text())
    assert citation["title"] == colophon.TITLE
    assert citation["license"] == colophon.LICENCE
    assert [author["name"] for author in citation["authors"]] == [colophon.AUTHORS]
    for paper, reference in zip(colophon.PAPERS, citation["references"], strict=True):
        assert reference["title"] in paper
        assert all(author["family-names"] in paper for author in reference["authors"])


def test_maps_are_linked_where_they_are():
    assert read(page(results(), maps="See maps.html.")).links == ["data:,", "maps.html"]


def test_a_page_of_few_figures_is_small_and_says_what_it_is_without_scripts():
    text = rendered(results())
    assert len(text.encode()) < 41_000  # that of the demo, with eight times the figures, stays below 49 kB
    assert "<h1>Retrieval across 3 languages · grid.zarr</h1>" in text
    assert "The same numbers are in retrieval.csv beside it." in text


def test_the_scripts_are_all_there():
    shared = pathlib.Path(drawing_page.__file__).with_name("page.js")
    wanted = page_script.bare(shared, *drawing_page.TO_WORK_IN, *report_page._SCRIPTS)
    assert script(page(results()), "script") == wanted


def test_nothing_is_loaded_from_elsewhere():
    text = page(results())
    assert read(text).links == ["data:,"]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "@import" not in text
    assert "default-src 'none'; script-src 'unsafe-inline' 'self' file:;" in text


def test_text_from_the_grid_is_escaped_everywhere():
    given = results(languages=("en", NASTY, "es"))
    entry = {"sentences": 1, "missing": [NASTY], "seconds": 1.0, "truncated": 0}
    attributes = {"model": NASTY, NASTY: NASTY, "flags": {NASTY: [NASTY]}, "languages": {NASTY: entry}}
    text = page(given, attributes)
    reader, plain = read(text), read(page(results()))
    assert reader.tags.count("script") == plain.tags.count("script")
    assert "<script>alert" not in text
    assert json.loads(script(text, "meta"))["languages"][1]["code"] == NASTY
    assert NASTY in reader.texts  # and still reads as it was written
    assert "<b>" not in script(text, "meta")


def test_coverage_says_what_each_language_has_and_lacks():
    rows = re.findall(r"<tr>(.*?)</tr>", page(results()).split("class=coverage")[1].split("</table>")[0])
    cells = {row[0]: row[1:] for row in ([t for t in read(row).texts if t] for row in rows)}
    assert cells["Language"][2] == "Sentences of 20"
    assert cells["English"] == ["en", "Western Europe", "19", "4", "2.00", "438,218", "2", "7.0, 8.0"]
    assert cells["French"] == ["fr", "Western Europe", "20", "0", "0.50", "9,752", "none"]
    assert cells["Spanish"] == ["es", "Western Europe", "-", "-", "-", "11,100", "-"]


def test_settings_are_listed_by_name():
    texts = read(page(results())).texts
    assert texts[texts.index("flags.memory_gb") + 1] == "8.0"
    assert texts[texts.index("model") + 1] == "openai/whisper-base"
    assert "pairs" not in texts
    assert texts[texts.index("report.fdr") + 1] == "by, Benjamini and Yekutieli, for any dependence"
    assert texts[texts.index("report.candidates") + 1] == "100"
    assert texts[texts.index("report.corrections") + 1] == "none, csls"
    assert any("Its family: all pairs" in line and "Yekutieli" in line for line in texts)


def test_missing_and_empty_cells_are_announced():
    alerts = [
        text for text in read(page(results())).texts if "pairs have" in text or "aren't computed" in text
    ]
    assert alerts[0].startswith("1 of 6 cells aren't computed yet")
    assert alerts[1] == "1 of 3 pairs have no sentence in common."


def test_a_page_of_nothing_known():
    given = results()
    given.values[:] = nan
    given.computed[:] = False
    meta = json.loads(script(page(given), "meta"))
    assert meta["best"] == [None, None]


def test_more_sentences_than_a_count_holds_are_refused():
    given = results()
    given.n[0] = report_page_data.UNKNOWN
    with pytest.raises(ValueError, match="65534"):
        page(given)

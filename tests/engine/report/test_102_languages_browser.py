"""Pages of a report of all 102 languages of FLEURS in a real browser, worked with as an analyst would.

The truth is planted: languages of one family meet at the last state, those of one branch more so, others
less, and one sentence is a hub of every pair.
"""

import itertools
import os
import re
import xml.etree.ElementTree as ET

import browser as chromium
import numpy as np
import pandas as pd
import pytest
from browser import READY, choose, click, text, texts

from isogloss.engine.corpora.languages import LANGUAGES
from isogloss.engine.report import associations, language_distances, report
from isogloss.engine.retrieval import dali, pair_metrics
from isogloss.kernels import bootstrap
from small_grids import made_grid

pytestmark = [
    pytest.mark.deep,
    pytest.mark.timeout(1800),  # the report takes minutes
    pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine"),
]
CODES = tuple(LANGUAGES)
PAIRS = [*itertools.combinations(CODES, 2)]
N = 16
SENTENCES = [f"s{i:02}" for i in range(N)]
HUB = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The report; what its numbers cost, and not what the pages do with them, is made cheap."""
    folder = tmp_path_factory.mktemp("all")
    load, kept = pair_metrics.load, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(bootstrap, "RESAMPLES", 40)
        patch.setattr(dali, "GROUPS", 20)
        patch.setattr(associations, "PERMUTATIONS", 999)
        patch.setattr(language_distances, "RESAMPLES", 5)
        patch.setattr(report, "_draw", lambda out, results: None)
        patch.setattr(
            pair_metrics,
            "load",
            lambda parts, name: kept.get(name) or kept.setdefault(name, load(parts, name)),
        )
        bootstrap.resamples.cache_clear()
        dali.groups.cache_clear()
        options = {"corrections": (), "answers": "uncorrected"}
        grid = planted(folder / "grid.zarr")
        assert report.run(report.ReportConfig(grid=grid, out=folder / "out", **options)).complete
    bootstrap.resamples.cache_clear()
    dali.groups.cache_clear()
    return folder / "out"


def planted(path):
    """Grid of all pairs at two states; at the first one no language meets another."""
    rng = np.random.default_rng(0)
    frames = {code: dict(zip(SENTENCES, rng.integers(50, 400, N).tolist(), strict=True)) for code in CODES}
    facts = {"sentences": N, "missing": [], "seconds": 3600.0, "truncated": 0}
    grid = made_grid(
        path, PAIRS, SENTENCES, states=("0", "final"), measures=("seqsim",), frames=frames, model="base",
        languages=dict.fromkeys(CODES, facts),
    )  # fmt: skip
    for p, (a, b) in enumerate(grid.pairs):
        one, other = LANGUAGES[a], LANGUAGES[b]
        near = 0.5 + 1.5 * (one.family == other.family) + 3 * (one.branch == other.branch)
        for s in (0, 1):
            scores = rng.standard_normal((N, N)) + s * near * np.eye(N)
            scores[:, HUB] += 2
            grid.write(p, s, {"seqsim": np.float32(scores)})
    return grid.path


@pytest.fixture
def address(folder):
    return (folder / "report.html").as_uri()


def test_tables_of_all_pairs_sort_and_filter(page, folder):
    table = pd.read_parquet(folder / "retrieval.parquet").query("measure == 'seqsim'")
    assert text(page, "#best-count") == "5,151 rows"
    together = page.run("[...document.querySelectorAll('#best tbody th')].map((each) => each.innerText)")
    branches = {each.name: each.branch for each in LANGUAGES.values()}
    dash = " \N{EN DASH} "
    assert all(len({branches[name] for name in pair.split(dash)}) == 1 for pair in together)
    box = page.run(
        "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('#map'))"
    )
    assert box <= 0, "all columns of the map are in sight"
    last = table[table.state == "final"]
    choose(page, "#form", "table")
    choose(page, "#state", "1")
    assert text(page, "#cells-count") == "10,302 rows"
    click(page, "#cells thead th:nth-child(3) button")
    assert text(page, "#cells tbody td:nth-child(3)") == f"{100 * last.recall_at_1.max():.1f}%"
    choose(page, "#cells-filter", "slavic french")
    slavic = [each.name for each in LANGUAGES.values() if each.branch == "Slavic"]
    assert text(page, "#cells-count") == f"{2 * len(slavic)} of 10,302 rows"
    choose(page, "#cells-filter", "")
    click(page, "#cells-more")
    assert page.run("document.querySelectorAll('#cells tbody tr').length") == 10_302
    choose(page, "#coverage-filter", "kore")
    assert texts(page, "#coverage tbody tr")[0].split("\t")[:2] == ["Korean", "ko_kr"]


def test_a_hub_is_named_and_a_cell_opens_to_its_sentences(page):
    choose(page, "#state", "1")
    assert f"sentence {SENTENCES[HUB]}" in text(page, "#detail")
    values = page.run(
        "Object.fromEntries([...document.querySelectorAll('#query option')]"
        ".map((each) => [each.text, each.value]))"
    )
    assert len(values) == 103
    choose(page, "#query", values["Polish"])
    choose(page, "#candidate", values["Korean"])
    chromium.wait(lambda: "Polish → Korean" in text(page, "#sentences-title"))
    assert f"{SENTENCES[HUB]} for" in text(page, "#sentences-note")
    assert "pair=pl_pl%2Cko_kr" in page.run("location.hash")
    choose(page, "#lines", "slavic")
    names = page.run("[...document.querySelectorAll('#curve text')].map((each) => each.textContent)")
    assert {"Czech", "Ukrainian"} <= set(names)


def test_the_matrix_is_read_by_keyboard_and_its_file_names_every_language(page):
    canvas = "document.querySelector('#map canvas')"
    page.run(f"{canvas}.focus()")
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        page.run(f"{canvas}.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true }}))")
    chromium.wait(lambda: "missed" in text(page, "#sentences-title"))
    assert "first" in text(page, "#live")
    click(page, "#map-svg")
    [path] = chromium.downloaded(page, "isogloss-map-*.svg").values()
    drawn = ET.parse(path).getroot()
    words = [*drawn.iter("{http://www.w3.org/2000/svg}text")]
    names = [each for each in words if each.text in {each.name for each in LANGUAGES.values()}]
    assert sorted(each.text for each in names) == sorted(2 * [each.name for each in LANGUAGES.values()])
    # Sent to a printer of A4 it has 688 pixels, 7 of which are 5 points.
    assert float(drawn.get("width")) <= 688
    assert all(float(re.search(r"([\d.]+)px", each.get("style"))[1]) >= 7 for each in names)


def test_maps_of_all_languages(browser, folder):
    address = (folder / "maps.html").as_uri()
    browser.open(f"{address}#map=from&from=ta_in&state=final", 1400, READY)
    assert "As seen from Tamil" in text(browser, "#map-title")
    assert browser.run("document.querySelectorAll('#map .cell').length") == 102
    words = browser.run("[...document.querySelectorAll('#tree text')].map((each) => each.textContent)")
    assert {each.name for each in LANGUAGES.values()} <= set(words)
    browser.open(f"{address}#map=beams&state=0", 1400, READY)
    assert browser.run("document.querySelectorAll('#map .line').length") > 102
    rows = pd.read_parquet(folder / "associations.parquet")
    kin = rows.query("state == 'final' and predictor == 'same_family' and measure == 'seqsim'")
    assert (kin.q < 0.05).all()
    assert "final" in texts(browser, "#onset-legend")[0]
    assert browser.errors == []


@pytest.mark.parametrize(("name", "width"), [*itertools.product(("report", "maps"), (1400, 390))])
def test_nothing_overflows_and_everything_can_be_reached(browser, folder, name, width):
    browser.open((folder / f"{name}.html").as_uri(), width, READY)
    chromium.assert_accessible(browser, width)
    assert browser.errors == []

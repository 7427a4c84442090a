"""The page of several grids in a real browser: clicked through and read against the tables beside it."""

import itertools
import pathlib
import xml.etree.ElementTree as ET

import browser as chromium
import numpy as np
import pandas as pd
import pytest
from browser import choose, click, text, texts

from isogloss.engine.report import report
from small_grids import made_grid

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
LANGUAGES, N = ("en", "es", "fr"), 24
STATES = {"base": ("0", "1", "final"), "large": ("0", "1", "2", "final")}
READY = f"{chromium.READY} && !!document.querySelector('#contrasts tbody tr')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, undrawn):
    """Reports of two grids; the languages meet in large more than in base."""
    folder = tmp_path_factory.mktemp("grids")
    pairs, sentences = list(itertools.combinations(LANGUAGES, 2)), [f"s{i}" for i in range(N)]
    frames = {code: dict.fromkeys(sentences, 100) for code in LANGUAGES}
    for g, (name, states) in enumerate(STATES.items()):
        grid = made_grid(
            folder / f"{name}.zarr", pairs, sentences, states=states, measures=("seqsim",), frames=frames,
            model=name, languages={code: {} for code in LANGUAGES},
        )  # fmt: skip
        rng = np.random.default_rng(g)
        for p, s in itertools.product(range(3), range(len(states))):
            scores = rng.standard_normal((N, N)) + (1 + 2 * g) * np.eye(N) * (s > 0)
            grid.write(p, s, {"seqsim": np.float32(scores)})
    both = pathlib.Path(",".join(str(folder / f"{name}.zarr") for name in ("large", "base")))
    assert report.run(report.ReportConfig(grid=both, out=folder / "out")).complete
    return folder / "out"


@pytest.fixture
def address(folder):
    return (folder / "report.html").as_uri()


def cells(page):
    return [row.split("\t") for row in texts(page, "#contrasts tbody tr")]


def test_the_page_says_what_the_tables_say(page, folder):
    rows = pd.read_parquet(folder / "grid_contrasts.parquet").query(
        "measure == 'seqsim' and correction == 'none'"
    )
    best = rows[rows.compared == "best state"]
    shown = cells(page)
    assert len(shown) == len(best) == 6
    for row, wanted in zip(shown, best.itertuples(), strict=True):
        assert row[2:6] == [
            wanted.state,
            wanted.other_state,
            f"{100 * wanted.recall_at_1:.1f}%",
            f"{100 * wanted.other_recall_at_1:.1f}%",
        ]
        ends = f"[{100 * wanted.ci_low:.1f}, {100 * wanted.ci_high:.1f}]"
        assert row[6] == f"+{100 * wanted.difference:.1f} {ends}"
        assert row[7] == ("< 0.001" if wanted.q < 0.001 else f"{wanted.q:.3f}")
    assert (rows.difference[rows.state == "1"] > 0).all()
    assert text(page, "#contrasts-note").startswith("Of 6 directions, large is better in 6 and worse in 0")
    means = pd.read_parquet(folder / "grid_means.parquet").query(
        "measure == 'seqsim' and correction == 'none'"
    )
    gain = means[means.compared == "best state"].difference.item()
    assert f"At each pair's best states: +{100 * gain:.1f} points" in text(page, "#gain-best")
    assert [
        page.run(f"document.querySelectorAll('#gain {mark}').length") for mark in ("polygon", ".bars")
    ] == [1, 1]
    choose(page, "#form", "table")
    drawn = [row.split("\t") for row in texts(page, "#gain-table tbody tr")]
    assert [row[0] for row in drawn] == [*STATES["base"], "best of each pair"]
    assert drawn[1][3] == f"+{100 * means[means.state == '1'].difference.item():.1f}"
    assert {"large", "base"} == {row.split("\t")[0] for row in texts(page, "#curve-table tbody tr")}
    assert text(page, "#settings-title ~ div tbody tr") == "modellargebase"


def test_it_sorts_filters_and_leads_to_the_cell_of_each_grid(page, folder):
    choose(page, "#correction", "1")
    choose(page, "#state", "1")
    chromium.wait(lambda: "CSLS, state 1" in text(page, "#contrasts-title"))
    click(page, "#contrasts thead th:nth-child(6) button")
    assert texts(page, "#contrasts [aria-sort=descending]") == ["q"]
    choose(page, "#contrasts-filter", "spanish")
    choose(page, "#contrasts-q", "yes")
    seen = cells(page)
    assert 0 < len(seen) < 6
    assert all("Spanish" in row[:2] for row in seen)
    link = page.run("location.href")
    page.open(link, 1400, READY)
    assert cells(page) == seen
    assert page.run("location.href") == link
    there = page.run("document.querySelector('#contrasts tbody a').href")
    page.open(there, 1400, "document.querySelector('main')?.hidden === false")
    assert pathlib.Path(page.run("decodeURI(location.pathname)")) == folder / "large" / "report.html"
    assert text(page, "#map-title") == "R@1 of SeqSim, CSLS, state 1"
    assert text(page, "#detail tbody tr:first-child td").startswith(seen[0][2])


def test_a_copy_without_its_folder_keeps_the_best_states(page, folder, tmp_path):
    (tmp_path / "mailed.html").write_bytes((folder / "report.html").read_bytes())
    page.open((tmp_path / "mailed.html").as_uri(), 1400, READY)
    assert len(cells(page)) == 6
    choose(page, "#state", "1")
    chromium.wait(lambda: "doesn't have" in text(page, "#contrasts-note"))
    assert cells(page) == []
    choose(page, "#state", "best")
    chromium.wait(lambda: len(cells(page)) == 6)
    page.errors.clear()  # the file that isn't there


def test_what_is_seen_can_be_downloaded(page):
    choose(page, "#contrasts-filter", "french")
    forms = [f"{figure}-{form}" for figure in ("curve", "gain") for form in ("svg", "png", "csv")]
    for button in ("contrasts-csv", *forms):
        click(page, f"#{button}")
    files = chromium.downloaded(page, "isogloss-*[gv]", 7)
    assert len(pd.read_csv(files["isogloss-contrasts.csv"])) == 4
    for stem, word, rows in (("grids", "large", 7), ("large-minus-base", "final", 4)):
        drawn = ET.parse(files[f"isogloss-{stem}-seqsim.svg"]).getroot()
        assert word in [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
        assert files[f"isogloss-{stem}-seqsim.png"].read_bytes()[1:4] == b"PNG"
        assert len(pd.read_csv(files[f"isogloss-{stem}-seqsim.csv"])) == rows


@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (390, "light"), (390, "dark")])
def test_nothing_overflows_and_everything_can_be_reached(page, width):
    chromium.assert_accessible(page, width)

"""Pages of a report of 24 languages in a real browser, worked with as an analyst would."""

import itertools
import pathlib

import browser as chromium
import numpy as np
import pandas as pd
import pytest
from browser import READY, choose, click, text, texts

from isogloss.engine.corpora.languages import LANGUAGES
from isogloss.engine.report import associations, language_distances, report
from small_grids import made_grid

pytestmark = [
    pytest.mark.usefixtures("undrawn"),
    pytest.mark.deep,
    pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine"),
]
CODES = (
    "en_us fr_fr de_de es_419 it_it nl_nl sv_se pl_pl ru_ru uk_ua el_gr fi_fi "
    "tr_tr ar_eg he_il fa_ir hi_in ur_pk ta_in th_th vi_vn cmn_hans_cn ja_jp sw_ke"
).split()
N = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Report of languages that meet at the last state, those of one family the most."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    sentences = [str(i) for i in range(N)]
    frames = {code: dict(zip(sentences, rng.integers(50, 400, N).tolist(), strict=True)) for code in CODES}
    grid = made_grid(
        folder / "grid.zarr", [*itertools.combinations(CODES, 2)], sentences, states=("0", "final"),
        measures=("seqsim",), frames=frames, model="base", languages={code: {} for code in CODES},
    )  # fmt: skip
    for p, (a, b) in enumerate(grid.pairs):
        near = 3 if LANGUAGES[a].family == LANGUAGES[b].family else 1
        for s in (0, 1):
            scores = rng.standard_normal((N, N)) + s * near * np.eye(N)
            grid.write(p, s, {"seqsim": np.float32(scores)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(associations, "PERMUTATIONS", 99)
        patch.setattr(language_distances, "RESAMPLES", 5)
        options = {"corrections": ("csls",), "answers": "uncorrected"}
        assert report.run(report.ReportConfig(grid=grid.path, out=folder / "out", **options)).complete
    return folder / "out"


def test_from_the_map_to_a_family_a_cell_and_its_sentences(browser, folder):
    address = (folder / "report.html").as_uri()
    browser.open(address, 1400, READY)
    table = pd.read_parquet(folder / "retrieval.parquet").query(
        "measure == 'seqsim' and correction == 'none'"
    )
    choose(browser, "#form", "table")
    choose(browser, "#cells-filter", "dravidian")
    assert text(browser, "#cells-count") == f"46 of {24 * 23} rows"
    choose(browser, "#state", "0")
    choose(browser, "#cells-q", "yes")
    early = table[table.state == "0"]
    kept = early[early.direction.str.contains("ta_in") & (early.q < 0.05)]
    assert text(browser, "#cells-count") == f"{len(kept)} of {24 * 23} rows"
    choose(browser, "#cells-q", "")
    choose(browser, "#cells-filter", "")
    choose(browser, "#state", "1")
    click(browser, "#cells thead th:nth-child(3) button")
    best = table[table.state == "final"].recall_at_1.max()
    assert text(browser, "#cells tbody td:nth-child(3)") == f"{100 * best:.1f}%"
    click(browser, "#cells tbody button")
    chromium.wait(lambda: " missed, " in text(browser, "#sentences-title"))
    asks, answers = texts(browser, "#cells tbody tr")[0].split("\t")[:2]
    assert text(browser, "#sentences-title").startswith(f"{asks} → {answers}: ")
    link = browser.run("location.href")
    browser.open(link, 1400, READY)
    chromium.wait(lambda: " missed, " in text(browser, "#sentences-title"))
    assert asks in text(browser, "#onset")
    choose(browser, "#form", "chart")
    choose(browser, "#lines", "slavic")
    names = browser.run("[...document.querySelectorAll('#curve text')].map((each) => each.textContent)")
    assert {"Polish", "Russian", "Ukrainian"} <= set(names)
    assert browser.errors == []


def test_the_map_page_follows_its_slider_and_its_address(browser, folder):
    browser.open(f"{(folder / 'maps.html').as_uri()}#map=from&from=ta_in&state=final", 1400, READY)
    assert "As seen from Tamil" in text(browser, "#map-title")
    assert len(browser.run("[...document.querySelectorAll('#map .cell')].map((each) => each.tagName)")) == 24
    browser.run(
        "{ const each = document.querySelector('#state'); each.value = 0;"
        "each.dispatchEvent(new Event('input')); }"
    )
    assert "state 0" in text(browser, "#map-title")
    assert "state=0" in browser.run("location.hash")
    assert "Tamil" in text(browser, "#tree")
    assert browser.errors == []


@pytest.mark.parametrize(("name", "width"), [*itertools.product(("report", "maps"), (1400, 390))])
def test_nothing_overflows_and_everything_can_be_reached(browser, folder, name, width):
    address = pathlib.Path(folder / f"{name}.html").as_uri()
    browser.open(address, width, READY)
    chromium.assert_accessible(browser, width)
    assert browser.errors == []

"""The page of control in a real browser: chosen, drawn, and read against the tables beside it."""

import browser as chromium
import pandas as pd
import pytest
from browser import choose, text, texts

from isogloss.engine.control import control
from isogloss.engine.control.pair_tables import AS_IS
from isogloss.engine.drawing import style
from isogloss.engine.grid import grid_store

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
READY = f"{chromium.READY} && !!document.querySelector('#sets tbody tr')"


@pytest.fixture(scope="module")
def folder(given):
    config = given.configure(against=given.other)
    assert control.run(config).complete
    return config.out


@pytest.fixture
def address(folder):
    return (folder / "control.html").as_uri()


@pytest.fixture(params=[1200, 390])
def width(request):
    return request.param


def percent(value):
    return "\N{EN DASH}" if pd.isna(value) else f"{100 * value:.1f}%"


def drawn(page, figure):
    """Texts in a figure; what is drawn has no innerText."""
    return page.run(f"[...document.querySelectorAll('#{figure} svg text')].map((each) => each.textContent)")


def test_the_page_says_what_the_tables_say(page, folder, width):
    control_table = pd.read_parquet(folder / "control.parquet")
    choose(page, "#languages", "1")
    chromium.wait(lambda: "aa → cc" in text(page, "#sets-title"))
    choose(page, "#direction", "1")
    choose(page, "#state", "2")
    assert text(page, "#sets-title") == "Challenge sets, cc → aa, state 2"
    rows = control_table[
        (control_table.language_a == "aa")
        & (control_table.language_b == "cc")
        & (control_table.direction == "cc->aa")
        & (control_table.state == "2")
        & (control_table.scores == AS_IS)
    ]
    if not page.run("document.querySelector('#sets-more').hidden"):
        chromium.click(page, "#sets-more")
    shown = [row.split("\t") for row in texts(page, "#sets tbody tr")]
    assert len(shown) == len(rows) > 6
    for cells, row in zip(shown, rows.itertuples(), strict=True):
        assert cells[0] == row.removed
        assert cells[2] == ("both sides" if row.form == "both" else "queries only")
        assert cells[3:6] == [str(row.queries), str(row.candidates), percent(row.recall_at_1)]
        assert cells[7:9] == [percent(row.expected), percent(row.difference)]
        assert cells[11] == percent(row.other_recall_at_1)
    sentences = pd.read_parquet(folder / "sentence_pairs.parquet")
    mine = sentences[(sentences.language_a == "aa") & (sentences.language_b == "cc")]
    gone = mine[mine.names | mine.numbers | mine.alike]
    assert [row.split("\t")[0] for row in texts(page, "#why tbody tr")] == gone.sentence.tolist()
    for figure, wanted in (
        ("factors", {"sound", "meaning", "length", "sound, other", "meaning, other", "length, other"}),
        ("partial", {"as they are", "other encoder", "without sound, other", "length alone"}),
        ("curve", {"queries only", "both sides", "both sides, random", "queries only, other"}),
    ):
        assert wanted <= set(drawn(page, figure))
    chromium.assert_accessible(page, width)


CURVE = "document.querySelector('#partial path').getAttribute('stroke')"


@pytest.mark.parametrize(("width", "theme"), [(1200, "dark")])
def test_it_prints_on_white(page, width, theme):
    chromium.wait(lambda: page.run("!!document.querySelector('#partial path')"))
    assert page.run(CURVE) == style.DARK["ink"]
    assert chromium.on_paper(page, CURVE) == style.LIGHT["ink"]
    assert page.run(CURVE) == style.DARK["ink"]


@pytest.mark.parametrize("width", [1200])
def test_states_stand_at_their_distances_and_the_tip_compares(page, folder, width, given):
    chromium.wait(lambda: page.run("!!document.querySelector('#factors path')"))
    names, places = (
        page.run(f"[...document.querySelectorAll('#factors text')].map((each) => {what})")
        for what in ("each.textContent", "Number(each.getAttribute('x'))")
    )
    at = dict(zip(names, places, strict=True))
    states = [name for name in ("0", "1", "2", "final") if name in at]
    assert states[-1] == "final"
    assert at["final"] - at[states[-2]] == pytest.approx((at[states[-2]] - at[states[-3]]) / 2, rel=0.01)
    page.run(
        "{ const chart = document.querySelector('#partial svg'), { left, width, top } = "
        "chart.getBoundingClientRect(); chart.dispatchEvent(new PointerEvent('pointermove', "
        "{ clientX: left + 46, clientY: top + 50 })); }"
    )
    rows = page.run(
        "[...document.querySelectorAll('#tip dt')].map((each) => [each.textContent, "
        "each.nextSibling.textContent])"
    )
    table = pd.read_parquet(folder / "control.parquet")
    first = table[
        (table.language_a == "aa")
        & (table.language_b == "bb")
        & (table.direction == "aa->bb")
        & (table.state == states[0])
        & (table.scores == "without sound")
    ].iloc[0]
    ends = f"{percent(first.other_difference_low)} to {percent(first.other_difference_high)}"
    place = [name for name, _ in rows].index("without sound, other")
    assert rows[place : place + 2] == [
        ["without sound, other", percent(first.other_recall_at_1)],
        ["difference", f"{percent(first.other_difference)} ({ends})"],
    ]


@pytest.mark.parametrize("width", [1200])
def test_the_colophon_says_what_it_is_made_from(page, folder, width, given):
    shown = text(page, ".colophon")
    grids = [grid_store.open_grid(path) for path in (given.configure().grid, given.other)]
    for name in ("Corpus", "Date", "Made by", "licence Apache-2.0", *(grid.path.name for grid in grids)):
        assert name in shown


@pytest.mark.parametrize("width", [1200])
def test_the_address_names_the_pair_and_the_table_sorts_and_is_saved(page, address, folder, width):
    page.run("location.hash = '#pair=bb-cc&state=final&asks=cc&sets-sort=5'")
    chromium.wait(lambda: "cc → bb, state final" in text(page, "#sets-title"))
    queries = [int(row.split("\t")[3]) for row in texts(page, "#sets tbody tr")]
    table = pd.read_parquet(folder / "control.parquet")
    mine = table[(table.direction == "cc->bb") & (table.state == "final") & (table.scores == AS_IS)]
    by_candidates = mine.sort_values("candidates", kind="stable")
    assert queries == by_candidates["queries"].tolist()[: len(queries)]
    choose(page, "#languages", "0")
    chromium.wait(lambda: "pair=aa-bb" in page.run("location.hash"))
    assert "sets-sort=5" in page.run("location.hash")
    chromium.click(page, "#sets-csv")
    [saved] = chromium.downloaded(page, "isogloss-sets.csv").values()
    rows = pd.read_csv(saved)
    assert len(rows) == len(mine)
    assert rows.columns.is_unique
    assert {"R@1", "R@1, 95% from", "R@1, 95% to"} <= {*rows.columns}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(control.outputs.page, "MOST_PAIRS", 1)


@pytest.mark.parametrize("width", [1200])
def test_pairs_of_a_large_grid_are_loaded_from_files_beside_the_page(small, given, browser, width):
    config = given.configure(against=given.other)
    assert control.run(config).complete
    beside = config.out / control.outputs.page.FOLDER
    assert {path.name for path in beside.iterdir()} == {"aa-cc.js", "bb-cc.js"}
    (beside / "aa-cc.js").unlink()
    browser.open((config.out / "control.html").as_uri() + "#pair=bb-cc", width, READY)
    assert "bb → cc" in text(browser, "#sets-title")
    assert browser.run("document.querySelector('#lost').hidden")
    before = len(browser.errors)
    choose(browser, "#languages", "1")
    chromium.wait(lambda: not browser.run("document.querySelector('#lost').hidden"))
    del browser.errors[before:]  # the file that isn't there

"""The page in a real browser: it is opened, clicked through and read; axe finds nothing serious."""

import itertools
import pathlib
import xml.etree.ElementTree as ET

import browser as chromium
import numpy as np
import pandas as pd
import pytest
import soundfile
from browser import READY, choose, click, text, texts

from isogloss.engine.report import report
from small_grids import made_grid

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
LANGUAGES, N = ("en", "es", "fr"), 24
STATES = ("0", "1", "final")
DASH = "\N{EN DASH}"
BAND, MARKS = "Band: 95% interval of the mean over sentences.", ("polygon", ".bars")
PAIR = f"Pair, a {DASH} b"


@pytest.fixture(scope="module")
def address(tmp_path_factory, undrawn):
    """Page of a grid whose languages meet at state 1, with a hub; es and fr don't meet at the last one."""
    folder = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    pairs, sentences = list(itertools.combinations(LANGUAGES, 2)), [f"s{i}" for i in range(N)]
    frames = {
        code: dict(zip(sentences, rng.integers(50, 400, N).tolist(), strict=True)) for code in LANGUAGES
    }
    facts = {
        code: {"sentences": N, "missing": [], "seconds": 100.0, "truncated": i}
        for i, code in enumerate(LANGUAGES)
    }
    grid = made_grid(
        folder / "grid.zarr", pairs, sentences, states=STATES, frames=frames, model="base", languages=facts
    )
    for p, s in itertools.product(range(3), range(3)):
        meet = s == 1 or (s == 2 and p < 2)
        scores = rng.standard_normal((N, N)) + (1.5 + p) * np.eye(N) * meet
        scores[:, 7] += 1.5 * s
        grid.write(p, s, {"seqsim": np.float32(scores), "dtw": np.float32(100 - scores)})
    speech = f"manifest:{spoken(folder / 'my speech', sentences)}"
    assert report.run(report.ReportConfig(grid=grid.path, out=folder / "out", corpus=speech)).complete
    return (folder / "out" / "report.html").as_uri()


def spoken(folder, sentences):
    """Manifest of a recording of each sentence in each language."""
    rows = ["language\tsentence\taudio\ttranscription"]
    for code in LANGUAGES:
        (folder / code).mkdir(parents=True)
        for sentence in sentences:
            soundfile.write(folder / code / f"{sentence}.wav", np.zeros(1600), 16_000)
            rows.append(f"{code}\t{sentence}\t{code}/{sentence}.wav\t{code} text of {sentence}")
    (folder / "speech.tsv").write_text("\n".join(rows) + "\n")
    return folder / "speech.tsv"


def test_a_correction_changes_cards_curves_and_tables(page):
    assert texts(page, ".card .name") == ["SeqSim", "DTW", "DTW / (N + M)", "DTW / longer"]
    assert "Duration alone" in text(page, "#curve")
    seen = [text(page, part) for part in (".card b", "#detail", "#best tbody")]
    choose(page, "#correction", "1")
    chromium.wait(lambda: "CSLS" in text(page, "#map-title"))
    assert all(
        now != before
        for now, before in zip(
            [text(page, part) for part in (".card b", "#detail", "#best tbody")], seen, strict=True
        )
    )
    assert text(page, "#best-title") == "Best state of each pair, SeqSim, CSLS"
    assert "10 largest scores" in text(page, "#correction-note")
    assert "correction=csls" in page.run("location.hash")


def test_a_pair_says_its_onset_q_and_hub_by_name(page):
    choose(page, "#query", "0")
    choose(page, "#candidate", "2")
    choose(page, "#state", "0")
    assert text(page, "#curve-title") == "R@1 along the states, English → French (dashed: back)"
    assert "English → French: R@1 first exceeds that of duration alone at state 1" in text(page, "#onset")
    assert "state 0 doesn't exceed it (q of 0.05 or more): no more than length is shown" in text(
        page, "#onset"
    )
    choose(page, "#state", "1")
    rows = {row.split("\t")[0]: row.split("\t")[1:] for row in texts(page, "#detail tbody tr")}
    best = pd.read_parquet(
        pathlib.Path(page.run("decodeURI(location.pathname)")).with_name("retrieval.parquet")
    )
    cell = best.query(
        "direction == 'en->fr' and state == '1' and measure == 'seqsim' and correction == 'none'"
    )
    assert rows["R@1"][0].startswith(f"{100 * cell.recall_at_1.item():.1f}% [")
    assert rows["q"][0] == ("< 0.001" if cell.q.item() < 0.001 else f"{cell.q.item():.3f}")
    others = [(cell[f"hub_{k}"].item(), cell[f"hub_queries_{k}"].item()) for k in (2, 3)]
    assert others[0][1] > 1
    words = [f"sentence {cell.hub.item()}, first for {cell.hub_queries.item():.0f}"]
    words += [f"{name} for {queries}" for name, queries in others if queries]
    assert rows["Hub"][0] == f"{', '.join(words)} of {N}"
    assert page.run("document.querySelector('#detail abbr').title").startswith("Share of queries")


def test_a_state_after_the_onset_that_length_explains_is_named(page, address):
    page.open(f"{address}#pair=es,fr&state=final", 1400, READY)
    there, back = text(page, "#onset").splitlines()
    for way, line in (("Spanish → French", there), ("French → Spanish", back)):
        assert line.startswith(f"{way}: R@1 first exceeds that of duration alone at state 1")
        assert line.endswith(
            "; state final doesn't exceed it (q of 0.05 or more): no more than length is shown."
        )
    choose(page, "#state", "1")
    assert "no more than length" not in text(page, "#onset")
    choose(page, "#query", "-1")
    choose(page, "#state", "2")
    cells = pd.read_parquet(
        pathlib.Path(page.run("decodeURI(location.pathname)")).with_name("retrieval.parquet")
    )
    last = cells.query("state == 'final' and measure == 'seqsim' and correction == 'none'")
    below = (last["above_duration"] == False).sum()  # noqa: E712 NA is neither
    assert 2 <= below < 6
    assert text(page, "#onset").endswith(
        f"State final doesn't exceed it in {below} directions (q of 0.05 or more): "
        "no more than length is shown there."
    )


def test_means_have_both_intervals(page):
    choose(page, "#state", "1")
    rows = {row.split("\t")[0]: row.split("\t")[-1] for row in texts(page, "#detail tbody tr")}
    out = pathlib.Path(page.run("decodeURI(location.pathname)")).parent
    mean = pd.read_parquet(out / "means.parquet").query(
        "state == '1' and measure == 'seqsim' and correction == 'none'"
    )
    for name in ("sentences", "languages"):
        low, high = (f"{100 * mean[f'{name}_{end}'].item():.1f}%" for end in ("low", "high"))
        assert rows[f"Over {name}"] == f"{low} to {high}"
    assert [page.run(f"document.querySelectorAll('#curve {mark}').length") for mark in MARKS] == [1, 1]
    assert text(page, "#bands") == f"{BAND} Bars: over languages."
    bars = page.run("document.querySelector('#curve .bars').getAttribute('d')").split("M")[1:]
    assert len(bars) == len(STATES)
    assert page.run("document.querySelector('#state').parentElement.title").startswith("An encoder state: 0 ")
    assert "final LayerNorm" in page.run("document.querySelector('#curve g title').textContent")


def test_of_one_pair_only_the_interval_over_sentences_is_drawn_and_named(page, tmp_path, undrawn):
    sentences = [f"s{i}" for i in range(N)]
    grid = made_grid(
        tmp_path / "grid.zarr", [LANGUAGES[:2]], sentences, states=STATES[:2], measures=("seqsim",),
        frames={code: dict.fromkeys(sentences, 100) for code in LANGUAGES[:2]}, model="base",
        languages={code: {} for code in LANGUAGES[:2]},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for s in (0, 1):
        grid.write(0, s, {"seqsim": np.float32(rng.standard_normal((N, N)) + 2 * np.eye(N))})
    assert report.run(report.ReportConfig(grid=grid.path, out=tmp_path / "out")).complete
    page.open((tmp_path / "out" / "report.html").as_uri(), 1400, READY)
    assert [page.run(f"document.querySelectorAll('#curve {mark}').length") for mark in MARKS] == [1, 0]
    assert text(page, "#bands") == BAND


def test_a_cell_opens_to_its_sentences(page, address):
    assert text(page, "#sentences-note").startswith("Select a pair")
    page.open(f"{address}#pair=en,fr&state=final", 1400, READY)
    chromium.wait(lambda: "missed" in text(page, "#sentences-title"))
    out = pathlib.Path(page.run("decodeURI(location.pathname)")).parent
    cell = pd.read_parquet(out / "retrieval.parquet").query(
        "direction == 'en->fr' and state == 'final' and measure == 'seqsim' and correction == 'none'"
    )
    missed = round(N * (1 - cell.recall_at_1.item()))
    assert text(page, "#sentences-title") == f"English → French: {missed} of {N} missed, SeqSim, state final"
    hub = sorted(f"s{i}" for i in range(N))[7]
    assert cell.hub.item() == hub
    rows = page.run(
        "[...document.querySelectorAll('#sentences tbody tr')].map((row) => "
        "[...row.cells].map((cell) => (cell.querySelector('div') ?? cell).textContent))"
    )
    assert len(rows) == missed
    instead = [row for row in rows if row[3] == f"fr text of {hub}" and row[5].endswith("hub")]
    assert len(instead) == cell.hub_queries.item() - 1  # it finds itself
    assert all(row[0].startswith("en text of") for row in instead)
    choose(page, "#answers", "all")
    chromium.wait(lambda: text(page, "#sentences-count") == f"{N} rows")
    choose(page, "#sentences-filter", "text of s11")
    assert "answers=all" in page.run("location.hash")
    click(page, "#swap")
    chromium.wait(lambda: text(page, "#sentences-title").startswith("French → English"))
    assert "fr text of s11" in text(page, "#sentences tbody th")


def test_recordings_play_where_they_are(page, address):
    page.open(f"{address}#pair=en,fr&answers=all", 1400, READY)
    chromium.wait(lambda: texts(page, "#sentences .play") != [])
    played = page.run(
        "new Promise((resolve) => { const real = Audio.prototype.play;"
        "Audio.prototype.play = function () { Audio.prototype.play = real;"
        "this.addEventListener('loadeddata', () => resolve(decodeURI(this.src)));"
        "this.addEventListener('error', () => resolve('lost')); return Promise.resolve(); };"
        "document.querySelector('#sentences .play').click(); })"
    )
    assert "/my speech/en/" in played


def test_a_copy_without_its_folder_keeps_the_figures(page, address, tmp_path):
    whole = pathlib.Path(page.run("decodeURI(location.pathname)"))
    (tmp_path / "mailed.html").write_bytes(whole.read_bytes())
    page.open((tmp_path / "mailed.html").as_uri() + "#pair=en,fr", 1400, READY)
    chromium.wait(lambda: "doesn't have" in text(page, "#sentences-note"))
    assert "English → French" in text(page, "#onset")
    page.errors.clear()  # the file that isn't there


def test_languages_are_lines_charts_are_tables_and_the_address_has_both(page, address):
    choose(page, "#query", "0")
    choose(page, "#lines", "spanish, french")
    named = page.run("[...document.querySelectorAll('#curve text')].map((each) => each.textContent)")
    assert {"Spanish", "French"} <= set(named)
    assert text(page, "#curve-title") == "R@1 along the states, English asking others"
    choose(page, "#form", "table")
    assert len(texts(page, "#points tbody tr")) == len(STATES)
    assert page.run("document.querySelector('#map').hidden")
    choose(page, "#cells-q", "no")
    kept = texts(page, "#cells tbody tr")
    choose(page, "#cells-q", "yes")
    assert len(kept) + len(texts(page, "#cells tbody tr")) == 6
    choose(page, "#cells-filter", "latn spanish")
    link = page.run("location.href")
    seen = texts(page, "#cells tbody tr")
    page.open(link, 1400, READY)
    assert texts(page, "#cells tbody tr") == seen
    assert page.run("document.querySelector('#lines').value") == "spanish, french"


def test_states_stand_at_their_depths_and_thin_lines_have_names(page):
    places = page.run(
        "Object.fromEntries([...document.querySelectorAll('#curve text')]"
        ".map((each) => [each.textContent, +each.getAttribute('x')]))"
    )
    assert places["final"] - places["1"] == pytest.approx((places["1"] - places["0"]) / 2)
    assert any(" → " in name for name in places)
    heights = page.run(
        "[...document.querySelectorAll('#curve text[style]')].map((each) => each.getAttribute('y'))"
    )
    heights = sorted(map(float, heights))
    assert heights[0] >= 12  # inside the figure
    assert min(np.diff(heights)) >= 14.9  # and none over another


def test_tables_sort_and_filter_and_the_address_keeps_both(page):
    click(page, "#best thead th:nth-child(6) button")
    assert texts(page, "#best [aria-sort=descending]") != []
    page.run("document.querySelector('#best thead button').focus()")
    for kind in ("keyDown", "keyUp"):
        page.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key="Enter",
            code="Enter",
            windowsVirtualKeyCode=13,
            text="\r",
        )
    names = texts(page, "#best tbody th")
    assert names == sorted(names)
    assert texts(page, "#best [aria-sort=ascending]") == [PAIR]
    choose(page, "#best-filter", "spanish")
    choose(page, "#coverage-filter", "fr")
    assert texts(page, "#best tbody th") == [f"English {DASH} Spanish", f"Spanish {DASH} French"]
    assert text(page, "#best-count") == "2 of 3 rows"
    assert texts(page, "#coverage tbody th") == ["French"]
    link = page.run("location.href")
    page.open(link, 1400, READY)
    assert texts(page, "#best tbody th") == [f"English {DASH} Spanish", f"Spanish {DASH} French"]
    assert texts(page, "#best [aria-sort=ascending]") == [PAIR]
    assert page.run("location.href") == link


def test_what_is_seen_can_be_downloaded(page):
    choose(page, "#best-filter", "french")
    for button in (
        "best-csv",
        *(f"{figure}-{form}" for figure in ("map", "curve") for form in ("svg", "png", "csv")),
    ):
        click(page, f"#{button}")
    files = chromium.downloaded(page, "isogloss-*[gv]", 7)
    table = pd.read_csv(files["isogloss-best.csv"])
    assert len(table) == 2
    assert table[PAIR].str.contains("French").all()
    seen = text(page, "#best tbody td:nth-child(5)")
    assert f"{100 * table['R@1 a → b'][0]:.1f}%" in seen
    state = text(page, "#state-name")
    for figure, word in (("map", "Spanish"), ("curve", "Duration alone")):
        stem = f"isogloss-{figure}-seqsim-none-{state}"
        drawn = ET.parse(files[f"{stem}.svg"]).getroot()
        assert word in [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
        assert files[f"{stem}.png"].read_bytes()[1:4] == b"PNG"
        assert len(pd.read_csv(files[f"{stem}.csv"])) == (6 if figure == "map" else 3)


@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (390, "light"), (390, "dark")])
def test_nothing_overflows_and_everything_can_be_reached(page, address, width):
    page.open(f"{address}#pair=en,fr", width, READY)
    chromium.assert_accessible(page, width)

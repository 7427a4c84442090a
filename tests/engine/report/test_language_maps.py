"""From a grid to the page of maps and the table of association tests."""

import csv
import itertools
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import browser as chromium
import numpy as np
import pages
import pytest
from browser import READY
from processes import PATIENCE

from isogloss.engine.corpora.languages import LANGUAGES
from isogloss.engine.report import associations, language_distances, map_plane, report
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.runtime.table_files import read_parquet
from isogloss.engine.runtime.version import today
from small_grids import made_grid

pytestmark = pytest.mark.usefixtures("undrawn")

CODES = ("de_de", "en_us", "es_419", "fr_fr", "hi_in", "it_it", "ko_kr", "nl_nl", "sv_se", "ur_pk")
STATES = ("0", "final")
CHROMIUM = shutil.which("chromium")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """With fewer draws."""
    monkeypatch.setattr(associations, "PERMUTATIONS", 999)
    monkeypatch.setattr(language_distances, "RESAMPLES", 20)


def planted(path, codes, n=24, unknown=()):
    """Grid whose scores at state 0 are noise, and at the last one follow the distance on the globe."""
    rng = np.random.default_rng(1)
    pairs = list(itertools.combinations(codes, 2))
    known = [LANGUAGES.get(code, LANGUAGES["en_us"]) for code in codes]
    places = np.array([(language.longitude, language.latitude) for language in known])
    far = map_plane.great_circle(*places.T)
    frames = {code: {str(i): int(rng.integers(100, 400)) for i in range(n)} for code in codes}
    grid = made_grid(
        path, pairs, list(map(str, range(n))), states=STATES, measures=("seqsim",), frames=frames
    )
    for pair, (a, b) in enumerate(grid.pairs):
        near = 3.5 - 0.4 * far[codes.index(a), codes.index(b)]
        for state, strength in enumerate((0, near)):
            scores = rng.normal(size=(n, n)) + strength * np.eye(n)
            if (a, b) not in unknown:
                grid.write(pair, state, {"seqsim": scores.astype(np.float32)})
    return path


def run(grid, out, **options):
    return report.run(ReportConfig(grid=grid, out=out, corrections=("csls",), **options))


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def meta(page):
    [data] = re.findall(
        r'<script type="application/json" id="meta">(.*?)</script>', pages.opened(page.read_text("utf-8"))
    )
    return json.loads(data)


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ten")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(associations, "PERMUTATIONS", 999)
        run(planted(folder / "g.zarr", CODES), folder / "out")
    return folder


def test_planted_distance_is_found(ten):
    table = rows(ten / "out" / "associations.csv")
    assert read_parquet(ten / "out" / "associations.parquet").num_rows == len(table)
    p = {
        (row["test"], row["predictor"], row["state"]): float(row["p"])
        for row in table
        if (row["measure"], row["correction"]) == ("seqsim", "none")
    }
    names = ("same_family", "same_branch", "distance", "length")
    assert {name for _, name, _ in p} == set(names)
    assert p["mantel", "distance", "final"] < 0.01
    assert p["mrqap", "distance", "final"] < 0.01
    assert p["mantel", "distance", "0"] > 0.05
    assert {row["languages"] for row in table} == {"10"}
    assert {row["correction"] for row in table} == {"none", "csls"}
    # The length baseline is equal at all states.
    baseline = [row["p"] for row in table if row["measure"] == "duration" and row["test"] == "mantel"]
    assert len(set(baseline)) == len(names)


def test_page_of_maps(ten):
    page = ten / "out" / "maps.html"
    data = meta(page)
    assert data["whole"]
    assert [entry["name"] for entry in data["languages"]][:2] == ["German", "English"]
    assert data["scorings"][data["leading"]]["key"] == "seqsim"
    assert data["states"][data["best"][data["leading"]]] == "final"
    assert len(data["plane"]["cells"]) == len(CODES)
    assert len(data["tests"][0][0]) == 8
    text = pages.opened(page.read_text("utf-8"))
    blocks = set(re.findall('id="(block-[a-z]+)"', text))
    assert blocks == {
        f"block-{name}" for name in "distances land scaling variance trees support onsets".split()
    }
    assert not re.search(r"""(src|href)=["']?(?!data:|report\.html)[a-z]""", text)
    assert '<a href="maps.html">' in pages.opened((ten / "out" / "report.html").read_text("utf-8"))
    assert f"<dt>Date</dt><dd>{today()}</dd>" in text
    assert "How to cite" in text


@pytest.fixture
def address(ten):
    return (ten / "out" / "maps.html").as_uri()


@pytest.mark.deep
@pytest.mark.skipif(not CHROMIUM, reason="needs a browser: install chromium")
@pytest.mark.parametrize("fragment", ["", "#map=beams&state=0", "#map=from&from=ur_pk&measure=seqsim%2Bcsls"])
def test_page_draws_itself(ten, tmp_path, fragment):
    """In a real browser, whose document is read after its scripts ran."""
    assert CHROMIUM
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    url = (ten / "out" / "maps.html").as_uri() + fragment
    command = [CHROMIUM, *options, "--virtual-time-budget=5000", url]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    shown = shown.partition("<script")[0]  # the scripts' own text stands after the document
    assert "can't be shown" not in shown
    assert shown.count("<svg") > 3
    assert shown.count('class="cell"') == (0 if "beams" in fragment else len(CODES))
    title = {"": "Isoglosses of SeqSim, state final", "#map=b": "Beams of SeqSim, state 0"}
    assert title.get(fragment[:6], "As seen from Urdu: SeqSim, CSLS") in shown


@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (390, "dark")])
def test_maps_are_accessible_and_fit_a_telephone(page, width):
    chromium.assert_accessible(page, width)


@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
def test_maps_explain_their_words_and_who_asks(page):
    drawn = page.run("[...document.querySelectorAll('#onset text')].map((text) => text.textContent)")
    assert {"asks ↓", "answers →"} <= set(drawn)
    terms = page.run("document.querySelector('#terms dl').textContent")
    assert all(
        word in terms
        for word in ("First state whose R@1 exceeds", "final LayerNorm", "The language of the query")
    )


@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
def test_figures_can_be_downloaded_as_they_are_seen(page, address):
    figures, forms = ("map", "scaling", "onset", "tree"), ("svg", "png", "csv")
    stems = {figure: f"isogloss-{figure}-seqsim-final" for figure in figures}
    for figure, stem in stems.items():  # Chromium lets a page start ten downloads
        page.open(f"{address}#state=final", 1400, READY)
        for form in forms:
            chromium.click(page, f"#{figure}-{form}")
        chromium.downloaded(page, f"{stem}.*[gv]", len(forms))
    for figure, stem in stems.items():
        drawn = ET.parse(page.downloads / f"{stem}.svg").getroot()
        words = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
        assert "Urdu" in words
        assert words[0] == chromium.text(page, f"#{figure}-title")
        assert (page.downloads / f"{stem}.png").read_bytes()[1:4] == b"PNG"
    kept = {figure: rows(page.downloads / f"{stem}.csv") for figure, stem in stems.items()}
    assert [len(kept[figure]) for figure in figures] == [45, 10, 90, 9]
    assert {row["onset"] for row in kept["onset"]} <= {*STATES, "none"}
    assert all(0 <= float(row["1 - R@1"]) <= 1 for row in kept["map"])
    assert len(kept["tree"][-1]["clade"].split("; ")) == len(CODES)


def test_table_of_languages_and_nexus_file(ten):
    found = rows(ten / "out" / "languages.csv")
    assert [row["language"] for row in found] == list(CODES)
    assert (found[9]["name"], found[9]["branch"], found[9]["script"]) == ("Urdu", "Indo-Aryan", "Arab")
    assert (float(found[9]["latitude"]), float(found[9]["whisper_hours"])) == (25, 104)
    text = (ten / "out" / "distances.nex").read_text("utf-8")
    assert "[1 - R@1 of seqsim, state final, mean of both directions]" in text


def test_distances_that_a_user_gives_are_a_predictor(tmp_path):
    codes = CODES[:6]
    table = tmp_path / "far.tsv"
    pairs = itertools.combinations(["en", "de", "it", "hi", "fr", "es"], 2)
    lines = [f"{b}\t{a}\t{k}\t{k % 3}" for k, (a, b) in enumerate(pairs)]
    table.write_text("\n".join(["language_a\tlanguage_b\tlexical\ttypology", *lines]))
    run(planted(tmp_path / "g.zarr", codes, n=8), tmp_path / "out", distances=table)
    found = {row["predictor"] for row in rows(tmp_path / "out" / "associations.csv")}
    assert found >= {"lexical", "typology", "distance"}
    assert "same_family" not in found  # all are Indo-European


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["language_a\tlanguage_b"], "a name for each distance"),
        (["language_a\tlanguage_b\tx", "en\tde\tfar"], "line 2: a distance must be a number"),
        (["language_a\tlanguage_b\tx", "en\tde\tnan"], "finite"),
        (["language_a\tlanguage_b\tx", "en\tde\t1", "de\ten_us\t2"], "line 3: another distance"),
        (["language_a\tlanguage_b\tx", "en\tde"], "must have 3 fields"),
        (["language_a\tlanguage_b\tx", "en\tde\t1"], "no distance between es_419 and de_de"),
    ],
)
def test_given_distances_are_checked_before_anything_is_computed(tmp_path, lines, message):
    grid = planted(tmp_path / "g.zarr", CODES[:3], n=4)
    (tmp_path / "far.tsv").write_text("\n".join(lines))
    with pytest.raises(Refusal, match=re.escape(message)):
        run(grid, tmp_path / "out", distances=tmp_path / "far.tsv")
    assert not (tmp_path / "out").exists()


def test_three_languages_have_no_maps_and_old_ones_are_removed(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "maps.html").write_text("of an earlier grid")
    run(planted(tmp_path / "g.zarr", CODES[:3], n=6), tmp_path / "out")
    assert not {"maps.html", "distances.nex", "associations.csv"} & {
        p.name for p in (tmp_path / "out").iterdir()
    }
    assert "No maps: they say something of 4 languages or more, here are 3." in (
        pages.opened((tmp_path / "out" / "report.html").read_text("utf-8"))
    )


def test_few_places_have_scaling_and_tree_but_no_map(tmp_path):
    codes = ("en_us", "fr_fr", "de_de", "xa", "xb")
    run(planted(tmp_path / "g.zarr", codes, n=6), tmp_path / "out")
    page = tmp_path / "out" / "maps.html"
    data = meta(page)
    assert data["whole"]
    assert data["plane"] is None
    assert "No map: 3 languages have a place, it needs 4." in pages.opened(page.read_text("utf-8"))


def test_unknown_pairs_and_a_language_without_a_place(tmp_path, caplog):
    codes = (*CODES[:6], "zz")
    grid = planted(tmp_path / "g.zarr", codes, n=6, unknown=[("de_de", "en_us")])
    run(grid, tmp_path / "out")
    page = tmp_path / "out" / "maps.html"
    data = meta(page)
    assert not data["whole"]
    assert data["tests"] is None
    assert data["placed"] == [0, 1, 2, 3, 4, 5]
    text = pages.opened(page.read_text("utf-8"))
    assert "FLEURS doesn't have them: zz." in text.replace("&#x27;", "'")
    assert "No association tests: they need every pair of languages" in text
    assert not (tmp_path / "out" / "distances.nex").exists()

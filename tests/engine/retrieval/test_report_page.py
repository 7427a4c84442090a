"""The page: its packed figures are decoded here independently of the script that does it in a browser."""

import base64
import html.parser
import itertools
import json
import re
import zlib

import numpy as np
import pytest

from isogloss.engine.retrieval import metrics, report_page

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
    values = np.full((len(pairs), 2, 2, 2, len(metrics.FIGURES)), nan)
    for pair in np.flatnonzero(n):
        ranks = rng.integers(1, 8, (2, 2, 2, n[pair]))
        values[pair] = metrics.figures(ranks)
    values[0, 1, 0] = nan
    computed = ~np.isnan(values[..., 0, 0])
    computed[n == 0] = True
    return metrics.Results(
        pairs=pairs,
        states=("6", "final"),
        measures=("seqsim", "dtw"),
        n=n,
        computed=computed,
        values=values,
    )


def page(given, attributes=ATTRIBUTES):
    return report_page.render(given, attributes, name="grid.zarr", sentences=20)


def script(text, name):
    return re.search(rf'<script [^>]*id="{name}">(.*?)</script>', text, re.DOTALL)[1]


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


def test_the_blocks_hold_every_figure():
    given = results()
    text = page(given)
    meta = json.loads(script(text, "meta"))
    assert meta["n"] == [20, 350, 0]
    assert meta["pairs"] == [[0, 1], [0, 2], [1, 2]]
    for m, f in itertools.product(range(2), range(len(metrics.FIGURES))):
        raw = np.frombuffer(zlib.decompress(base64.b64decode(script(text, f"block-{m}"))), "<u2")
        block = raw.reshape(-1, 2, 3)  # plane, state, pair
        name = metrics.FIGURES[f]
        for direction, plane in enumerate(meta["planes"][name]):
            wanted = given.values[:, :, m, direction, f].T
            whole = meta["mrrSteps"] if name == "mrr" else np.array(meta["n"])
            assert ((block[plane] == meta["unknown"]) == np.isnan(wanted)).all()
            step = 0.5 / meta["mrrSteps"] if name == "mrr" else 1e-12  # counts are exact
            with np.errstate(divide="ignore"):
                found = block[plane] / whole
            known = ~np.isnan(wanted)
            assert np.abs(found - wanted)[known].max() <= step


def test_nothing_is_loaded_from_elsewhere():
    text = page(results())
    assert read(text).links == ["data:,"]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text


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
    assert cells["English"] == ["en", "Western Europe", "19", "4", "2.00", "2", "7.0, 8.0"]
    assert cells["French"] == ["fr", "Western Europe", "20", "0", "0.50", "none"]
    assert cells["Spanish"] == ["es", "Western Europe", "-", "-", "-", "-"]


def test_settings_are_listed_by_name():
    texts = read(page(results())).texts
    assert texts[texts.index("flags.memory_gb") + 1] == "8.0"
    assert texts[texts.index("model") + 1] == "openai/whisper-base"
    assert "pairs" not in texts


def test_missing_and_empty_cells_are_announced():
    alerts = [
        text for text in read(page(results())).texts if "pairs have" in text or "aren't computed" in text
    ]
    assert alerts[0].startswith("1 of 12 cells aren't computed yet")
    assert alerts[1] == "1 of 3 pairs have no sentence in common."


def test_a_page_of_nothing_known():
    given = results()
    given.values[:] = nan
    given.computed[:] = False
    meta = json.loads(script(page(given), "meta"))
    assert meta["best"] == [None, None]


def test_more_sentences_than_a_count_holds_are_refused():
    given = results()
    given.n[0] = report_page.UNKNOWN
    with pytest.raises(ValueError, match="65534"):
        page(given)

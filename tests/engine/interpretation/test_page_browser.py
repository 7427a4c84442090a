"""The page of matches in a real browser: what it shows, who can read it, and how it prints."""

import browser as chromium
import pytest
from browser import text, texts

from isogloss.engine.drawing import style
from isogloss.engine.interpretation import page as interpret_page

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
READY = f"{chromium.READY} && !!document.querySelector('#words svg')"


@pytest.fixture(scope="module")
def address(checked, tmp_path_factory):
    keys = ["language_a", "language_b", "state", "query", "candidate", "utterance_a", "utterance_b", "gold"]
    pairs = checked.pairs.groupby(keys, as_index=False, sort=False)["share"].sum()
    pairs = pairs.assign(score=pairs["share"], precision=0.5, recall=0.25, share_gap=0.1, problem="")
    path = tmp_path_factory.mktemp("matches") / "interpret.html"
    made_from = {"Model": "whisper-nano", "Corpus": "manifest:speech.tsv", "Date": "2024-07-01"}
    interpret_page.write(path, checked, pairs, {}, name="run", model="nano", made_from=made_from)
    return path.as_uri()


@pytest.mark.parametrize("width", [1400, 390])
def test_words_and_colophon_are_shown_and_axe_finds_nothing(page, checked, width):
    assert "4 sentence pairs, English \N{EN DASH} German" in text(page, "#list-title")
    shown = set(page.run("[...document.querySelectorAll('#words text')].map((each) => each.textContent)"))
    first = text(page, "#shown-title").split()[1]
    words = checked.pairs[(checked.pairs["query"] == first) & (checked.pairs["word_index_a"] >= 0)]
    assert set(words["word_a"]) <= shown
    assert text(page, ".colophon").startswith(
        "Modelwhisper-nanoCorpusmanifest:speech.tsvDate2024-07-01Made by"
    )
    assert "How to cite" in texts(page, "footer summary")
    chromium.assert_accessible(page, width)


BRIGHTEST = (
    "(() => { const canvas = document.querySelector('#plane canvas'), { width, height } = canvas;"
    "const { data } = canvas.getContext('2d').getImageData(0, height - 24, width, 24); let most = 0;"
    "for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 250) most = Math.max(most, data[i + 1]);"
    "return most; })()"
)


@pytest.mark.parametrize("theme", ["dark"])
def test_the_plane_prints_on_white(page, theme):
    """The name of the axis below, in the muted ink of each theme."""
    green = {name: int(of["muted"][3:5], 16) for name, of in (("dark", style.DARK), ("light", style.LIGHT))}
    chromium.wait(lambda: page.run(BRIGHTEST) > 0)
    assert abs(page.run(BRIGHTEST) - green["dark"]) < 12
    assert abs(chromium.on_paper(page, BRIGHTEST) - green["light"]) < 12

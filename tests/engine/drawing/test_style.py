"""Colours: text can be read in both themes, and no page asks for a colour that isn't there."""

import pathlib
import re

import pytest

from isogloss.engine import drawing
from isogloss.engine.drawing import style

ENGINE = pathlib.Path(drawing.__file__).parents[1]
TEXTS = ("ink", "muted", "accent", "chance", "mutual", "transport", *(f"line-{i}" for i in range(5)))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
@pytest.mark.parametrize("text", TEXTS)
def test_text_has_the_contrast_of_wcag(theme, text):
    low, high = sorted(luminance(theme[name]) for name in (text, "surface"))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_both_themes_have_what_pages_ask_for():
    assert style.LIGHT.keys() == style.DARK.keys()
    asked = set()
    for file in [*ENGINE.rglob("*.css"), *ENGINE.rglob("*.js")]:
        asked |= set(re.findall(r'(?:var\(|css\("|css\(`)--([\w-]+)[)"`]', file.read_text("utf-8")))
    assert {"ink", "mutual", "cloud"} <= asked
    assert asked - {"series"} <= style.LIGHT.keys()  # a card sets its own series
    assert style.css().count("--ink: ") == 2


def test_lines_beyond_the_last_colour_begin_again_with_the_first():
    """A report has as many measures as a grid, so a number that isn't bounded has no colour one day."""
    count = sum(name.startswith("line-") for name in style.LIGHT)
    numbers = [
        n for file in ENGINE.rglob("*.js") for n in re.findall(r"--line-\$\{(.*?)\}", file.read_text())
    ]
    assert numbers
    assert all(number.endswith(f" % {count}") for number in numbers)

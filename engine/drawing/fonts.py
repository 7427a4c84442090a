"""Fonts that have the glyphs of a text, for figures with words of any language.

Matplotlib's own font lacks Chinese, Japanese, Korean and the scripts of South Asia. For these, installed
fonts are used, the Noto family first; a character that none has is drawn as a box. The tables of all fonts
are read once, which takes up to a second, and only for text that Matplotlib's font can't write.
"""

import functools
import unicodedata
from collections.abc import Iterable, Sequence

from matplotlib import font_manager, ft2font

OWN = "DejaVu Sans"
BOX = "□"
_BLANK = ("Cc", "Zl", "Zp", "Zs")  # Unicode categories without a glyph: controls and spaces


def cover(texts: Iterable[str]) -> tuple[list[str], set[str]]:
    """Font families that together have the texts' glyphs, Matplotlib's first; and missing characters."""
    missing = {c for text in texts for c in text if unicodedata.category(c) not in _BLANK}
    families = [OWN]
    missing -= _glyphs(font_manager.findfont(OWN))
    # Greedy: the font with most of what is missing, so that a line has few typefaces.
    while missing:
        best = max(_installed(), key=lambda font: len(missing & _glyphs(font[1])), default=None)
        if best is None or not missing & _glyphs(best[1]):
            break
        families.append(best[0])
        missing -= _glyphs(best[1])
    return families, missing


def boxed(text: str, missing: set[str]) -> str:
    """The text with a box for each missing character; controls and missing format marks are removed."""
    drawn = []
    for c in text:
        category = unicodedata.category(c)
        # A joiner or direction mark that no font has would show as a box in the middle of a word.
        if category != "Cc" and not (c in missing and category == "Cf"):
            drawn.append(BOX if c in missing else c)
    return "".join(drawn)


@functools.cache
def _installed() -> Sequence[tuple[str, str]]:
    """Name and file of each upright font of normal weight, those of Noto Sans first, then by name."""
    fonts = {
        font.name: font.fname
        for font in sorted(font_manager.fontManager.ttflist, key=lambda font: font.fname, reverse=True)
        if font.style == "normal"
        and font.weight in (400, "normal", "regular")
        and not font.name.startswith("Last Resort")
    }
    return sorted(fonts.items(), key=lambda font: (not font[0].startswith("Noto Sans"), font))


@functools.cache
def _glyphs(file: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, ft2font.FT2Font(file).get_charmap()))
    except (OSError, RuntimeError):  # a font that was removed, or that FreeType can't read
        return frozenset()

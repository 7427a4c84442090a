"""Figures on disk, as PNG, SVG and PDF; equal figures give equal bytes.

Text stays text in SVG and PDF. Within `look`, figures have another width or font.
"""

import contextlib
import contextvars
import dataclasses
import pathlib
from collections.abc import Iterator

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from isogloss.engine.runtime import atomic_write
from isogloss.engine.runtime.refusal import Refusal

KINDS = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata by type of file, without the date."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """Width of figures in inches, all are scaled to it, and their font; 0 and None leave them as drawn."""

    width: float = 0.0
    font: str | None = None

    def __post_init__(self) -> None:
        """Refuse a font that isn't installed."""
        if self.font and self.font not in font_manager.get_font_names():
            raise Refusal(f"--figure_font={self.font}: no such font is installed; name one of fc-list")

    def apply(self, figure: Figure) -> None:
        """Scale a figure with its text and lines, and set its font."""
        factor = self.width / figure.get_figwidth() if self.width else 1.0
        figure.set_size_inches(*(factor * figure.get_size_inches()))
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            text.set_fontsize(factor * float(text.get_fontsize()))
            if self.font:
                text.set_fontfamily(self.font)
        for line in figure.findobj(Line2D):
            assert isinstance(line, Line2D)
            line.set_linewidth(factor * line.get_linewidth())


_LOOK: contextvars.ContextVar[Look | None] = contextvars.ContextVar("look", default=None)


@contextlib.contextmanager
def look(chosen: Look) -> Iterator[None]:
    """Block in which saved figures have this look."""
    token = _LOOK.set(chosen)
    try:
        yield
    finally:
        _LOOK.reset(token)


def save(figure: Figure, stem: pathlib.Path) -> list[pathlib.Path]:
    """Write a figure whole as STEM.png, STEM.svg and STEM.pdf.

    Raises:
      OSError: it can't be written.
    """
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in KINDS]
    if chosen := _LOOK.get():
        chosen.apply(figure)
    for path, kind in zip(paths, KINDS, strict=True):
        # The salt makes the ids within an SVG those of its name; by default they are random.
        with matplotlib.rc_context({"svg.hashsalt": stem.name, "svg.fonttype": "none", "pdf.fonttype": 42}):
            atomic_write.write_whole(path, lambda file, kind=kind: figure.savefig(file, metadata=KINDS[kind]))
    return paths

"""Figures on disk, as PNG, SVG and PDF; equal figures give equal bytes.

Text stays text in SVG and PDF. Figures saved by a conductor that `draws` have the width and font of its
options.
"""

import contextvars
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from isogloss.engine.runtime import atomic_write
from isogloss.engine.runtime.options import FigureOptions
from isogloss.engine.runtime.refusal import Refusal

if TYPE_CHECKING:
    import matplotlib.figure  # takes a second, and a run may draw nothing

Config = TypeVar("Config", bound=FigureOptions)
Summary = TypeVar("Summary")
KINDS = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata by type of file, without the date."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """Width of figures in inches, all are scaled to it, and their font; 0 and None leave them as drawn."""

    width: float = 0.0
    font: str | None = None

    def __post_init__(self) -> None:
        """Refuse a font that isn't installed."""
        if not self.font:
            return
        from matplotlib import font_manager  # noqa: PLC0415

        if self.font not in font_manager.get_font_names():
            raise Refusal(f"--figure_font={self.font}: no such font is installed; name one of fc-list")

    def apply(self, figure: "matplotlib.figure.Figure") -> None:
        """Scale a figure with all its parts, and set its font."""
        from matplotlib.text import Text  # noqa: PLC0415

        from isogloss.engine.drawing import figure_scale  # noqa: PLC0415

        if self.width:
            figure_scale.scale(figure, self.width / figure.get_figwidth())
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            if self.font:
                # Behind it the fonts that the text had, for scripts that this one can't write.
                text.set_fontfamily([self.font, *text.get_fontfamily()])


_LOOK: contextvars.ContextVar[Look | None] = contextvars.ContextVar("look", default=None)


def draws(run: Callable[[Config], Summary]) -> Callable[[Config], Summary]:
    """Conductor of a job, whose figures have the width and font of its options.

    It raises a Refusal before anything else if the font isn't installed.
    """

    @functools.wraps(run)
    def looking(config: Config) -> Summary:
        token = _LOOK.set(Look(width=config.figure_width, font=config.figure_font))
        try:
            return run(config)
        finally:
            _LOOK.reset(token)

    return looking


def files(stem: pathlib.Path) -> list[pathlib.Path]:
    """Paths of a figure: STEM.png, STEM.svg and STEM.pdf."""
    return [stem.with_name(f"{stem.name}.{kind}") for kind in KINDS]


def refuse_folders(figures: Iterable[pathlib.Path]) -> None:
    """Refuse folders where figures would go, before anything is computed."""
    for path in sorted(figures):
        if path.is_dir():
            raise Refusal(f"{path}: is a folder, and a figure goes there. Move it, or name another --out")


def remove(figures: Iterable[pathlib.Path]) -> None:
    """Remove those figures of an earlier run that are there."""
    for path in figures:
        if path.is_file():
            path.unlink(missing_ok=True)


def save(figure: "matplotlib.figure.Figure", stem: pathlib.Path) -> list[pathlib.Path]:
    """Write a figure whole as STEM.png, STEM.svg and STEM.pdf.

    Raises:
      OSError: it can't be written.
    """
    import matplotlib  # noqa: PLC0415

    paths = files(stem)
    if chosen := _LOOK.get():
        chosen.apply(figure)
    for path, kind in zip(paths, KINDS, strict=True):
        # The salt makes the ids within an SVG those of its name; by default they are random.
        with matplotlib.rc_context({"svg.hashsalt": stem.name, "svg.fonttype": "none", "pdf.fonttype": 42}):
            atomic_write.write_whole(path, lambda file, kind=kind: figure.savefig(file, metadata=KINDS[kind]))
    return paths

"""Options of every job that draws: width and font of its figures. Imports nothing heavy."""

import typing

from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.options import Field, option


@typing.runtime_checkable
class FigureOptions(typing.Protocol):
    """Configuration with the options below, as fields of these names."""

    @property
    def figure_width(self) -> float:
        """Inches; 0 leaves figures as drawn."""
        ...

    @property
    def figure_font(self) -> str | None:
        """Name of an installed font; None leaves figures as drawn."""
        ...


def width_option() -> Field:
    """Field `figure_width` of a job's configuration."""
    return option(
        "Width of the figures in inches, to which all their parts are scaled; 0: as drawn.", 0.0, minimum=0
    )


def font_option() -> Field:
    """Field `figure_font` of a job's configuration."""
    return option("Installed font of the figures; by default Matplotlib's own.", None)


def drawn_as(config: FigureOptions) -> list[Json]:
    """Both values, for the marks of outputs that have figures."""
    return [config.figure_width, config.figure_font]

"""Figures on disk, as PNG and SVG; equal figures give equal bytes."""

import pathlib
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from isogloss.engine.runtime import atomic_write

KINDS = {"png": {}, "svg": {"Date": None}}  # file type: metadata, without the date


def save(figure: Figure, stem: pathlib.Path, kinds: Sequence[str] = tuple(KINDS)) -> list[pathlib.Path]:
    """Write a figure whole in each of the kinds, STEM.png and STEM.svg.

    Raises:
      OSError: it can't be written.
    """
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in kinds]
    for path, kind in zip(paths, kinds, strict=True):
        # The salt makes the ids within an SVG those of its name; by default they are random.
        with matplotlib.rc_context({"svg.hashsalt": stem.name}):
            atomic_write.write_whole(path, lambda file, kind=kind: figure.savefig(file, metadata=KINDS[kind]))
    return paths

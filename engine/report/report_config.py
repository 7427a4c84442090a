"""Options of the report job."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.corpora.corpus import columns_option, corpus_option
from isogloss.engine.grid.grid_options import grid_option
from isogloss.engine.retrieval.statistics_options import CORRECTIONS, fdr_option
from isogloss.engine.runtime.options import FigureOptions, ShardedJobConfig, option
from isogloss.engine.runtime.place import Place


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig(ShardedJobConfig, FigureOptions):
    """Options of the report job; each definition has the field's help."""

    grid: Place = grid_option(more="; or several in folders, joined by commas, to be compared")
    out: pathlib.Path = option("Folder to write tables, figures and the page to.")
    corrections: tuple[str, ...] = option(
        "Corrections for candidates that are near to everything (hubs), reported beside the scores as they "
        "are: some of csls, centred, or none. Both look at the other queries of the test (transductive).",
        CORRECTIONS,
        choices=CORRECTIONS,
        empty="none",
    )
    candidates: int = option("Number of candidates that recall_at_1_of is for.", 100, minimum=2)
    fdr: Literal["bh", "by"] = fdr_option()
    contrast_pairs: tuple[str, ...] = option(
        "Language pairs a-b, up to 66, that are compared with each other; by default all, if no more.",
        (),
    )
    distances: pathlib.Path | None = option(
        "Tab-separated table of further distances between languages for the association tests: language_a, "
        "language_b, and a column of numbers for each distance.",
        None,
    )

    answers: Literal["all", "uncorrected", "none"] = option(
        "Scorings of which the page shows single queries, each with what was found in place of its "
        "translation; in files beside the page.",
        "all",
    )
    corpus: str | None = corpus_option(
        "Corpus that the grid was made of, for the text of these sentences", None
    )
    columns: tuple[str, ...] = columns_option()
    audio: Literal["link", "copy", "none"] = option(
        "Recordings of --corpus that the page plays: link those that are files, from where they lie; copy "
        "all of them beside the page; or none.",
        "link",
    )

    @property
    def grids(self) -> tuple[Place, ...]:
        """The grids that `grid` names; one whose own name has a comma is one."""
        several = isinstance(self.grid, pathlib.Path) and "," in str(self.grid) and not self.grid.exists()
        if not several:
            return (self.grid,)
        return tuple(pathlib.Path(text).expanduser() for text in str(self.grid).split(","))

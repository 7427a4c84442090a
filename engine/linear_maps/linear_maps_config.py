"""Options of the linear_maps job."""

import dataclasses
import pathlib

from isogloss.engine.runtime.options import FigureOptions, compilation_cache_option, option
from isogloss.engine.similarity.pair_config import PairJobConfig

MEASURES = ("meanpool", "seqsim")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearMapsConfig(PairJobConfig, FigureOptions):
    """Options of the linear_maps job; each definition has the field's help."""

    measures: tuple[str, ...] = option(
        "Measures that retrieve: meanpool, cosine of the mapped mean states; seqsim, SeqSim of the mapped "
        "frames, which reads and compares them.",
        ("meanpool",),
        choices=MEASURES,
    )
    folds: int = option("Parts of the sentences; each is held out once, and the others train.", 5, minimum=2)
    pivot: str | None = option(
        "Language to which pairs without it are mapped, too: learnt from each of the two to it.", None
    )
    compilation_cache: pathlib.Path | None = compilation_cache_option()

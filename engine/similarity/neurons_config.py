"""Options of the neurons job."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.runtime.options import ShardedJobConfig, option
from isogloss.engine.runtime.place import Place


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuronsConfig(ShardedJobConfig):
    """Options of the neurons job; each definition has the field's help."""

    store: Place = option("Folder or bucket path of activation stores made with extract --neurons.")
    out: pathlib.Path = option("Folder to write the table to.")
    languages: tuple[str, ...] = option("Languages by their codes, or all.", (), all_if_empty=True)
    weights: Literal["uniform", "depth"] = option(
        "Weights of blocks in their mean: uniform, or depth, t / sum t for block t, which NeuronXA has for "
        "causal models.",
        "uniform",
    )

"""Options of the neurons job."""

import dataclasses
from typing import Literal

from isogloss.engine.activations.store_options import store_option
from isogloss.engine.runtime.options import option
from isogloss.engine.runtime.place import Place
from isogloss.engine.similarity.unit_config import UnitJobConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuronsConfig(UnitJobConfig):
    """Options of the neurons job; each definition has the field's help."""

    store: Place = store_option("activation stores made with extract --neurons")
    weights: Literal["uniform", "depth"] = option(
        "Weights of blocks in their mean: uniform, or depth, t / sum t for block t, which NeuronXA has for "
        "causal models.",
        "uniform",
    )
    memory_gb: float = option(
        "Memory for neurons, in GB; languages are taken in blocks that fit, so that each is read seldom.",
        8.0,
        above=0,
    )

"""Options of jobs that compare the states of languages, a language at a state with all others at a time."""

import dataclasses
from typing import Literal

from isogloss.engine.activations.store_options import states_option
from isogloss.engine.retrieval.statistics_options import fdr_option
from isogloss.engine.similarity.unit_config import UnitJobConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairJobConfig(UnitJobConfig):
    """Options that these jobs share; each definition has the field's help."""

    states: tuple[str, ...] = states_option()
    fdr: Literal["bh", "by"] = fdr_option()

"""Options of the similarity job."""

import dataclasses

from isogloss.engine.similarity.pair_config import PairJobConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarityConfig(PairJobConfig):
    """Options of the similarity job, those that all comparisons of states share."""

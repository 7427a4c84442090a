"""Options of the grid job."""

import dataclasses
import pathlib

from isogloss.engine.activations.store_options import states_option, store_option
from isogloss.engine.corpora.corpus import languages_option
from isogloss.engine.grid.grid_options import grid_option, implementation_option, pairs_option
from isogloss.engine.grid.measures import MEASURES, choose
from isogloss.engine.runtime.options import ShardedJobConfig, compilation_cache_option, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

IMPLEMENTATIONS = ("auto", "xla", "xla_bfloat16", "numba", "numba_int8")
DTW_NORMALISATIONS = ("none", "length_sum", "path_length")
_MEANINGS = "; ".join(f"{name}: {each.described}" for name, each in MEASURES.items() if each.retrieves)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridConfig(ShardedJobConfig):
    """Options of the grid job; each definition has the field's help."""

    store: Place = store_option()
    grid: Place = grid_option("Grid of score matrices to write")
    measures: tuple[str, ...] = option(f"Some of {_MEANINGS}.", ("seqsim", "meanpool", "dtw"))
    rerank: int = option(
        "Compute transport only for the candidates that SeqSim likes best, so many of each query in either "
        "direction; 0: for all. The report then has the measure rerank in place of transport.",
        0,
        minimum=0,
    )
    languages: tuple[str, ...] = languages_option()
    pairs: tuple[str, ...] = pairs_option()
    self_pairs: bool = option(
        "Also compare each language with itself, and with the second recordings of its sentences where the "
        "store has them (extract --recordings=all): the ceiling and the anisotropy of a store.",
        False,
    )
    states: tuple[str, ...] = states_option()
    remove_language_mean: bool = option("Subtract each language's mean frame from every frame first.", False)
    dtw_normalise: str = option(
        "What a DTW cost is divided by: none, length_sum (frames of both), path_length (cells of the path).",
        "none",
        choices=DTW_NORMALISATIONS,
    )
    implementation: str = implementation_option(IMPLEMENTATIONS)
    memory_gb: float = option(
        "Memory for states, in GB; languages are taken in blocks that fit. Accelerators that say "
        "how much memory they have take that instead.",
        8.0,
        above=0,
    )
    dtw_memory_gb: float = option(
        "Memory of a device, in GB, for the distances of the pairs that xla's DTW takes at once; 0: 12.5, "
        "or 30% of a device that has less, of which 8.6 are used at most; on a CPU 1.",
        0.0,
        minimum=0,
    )
    compilation_cache: pathlib.Path | None = compilation_cache_option()

    def __post_init__(self) -> None:
        """Refuse measures that don't exist or don't go with other options.

        Raises:
          Refusal: the option, the rule and the value.
        """
        super().__post_init__()
        choose(self.measures, "--measures")
        if self.rerank and not {"seqsim", "transport"} <= set(self.measures):
            raise Refusal(
                f"--rerank={self.rerank} orders seqsim's best by transport; name both in --measures, got "
                f"{','.join(self.measures)}"
            )
        if self.implementation.endswith("int8"):
            for measure in ("dtw", "transport"):
                if measure in self.measures:
                    name = f"--implementation={self.implementation}"
                    raise Refusal(f"{name} knows no {measure}; leave it out of --measures, or name another")

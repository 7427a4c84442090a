"""Compare all utterances of every pair of languages, at every encoder state.

    python -m isogloss.jobs.grid --store=out/store --grid=out/grid.zarr
    python -m isogloss.jobs.grid --store=out/store --grid=out/grid.zarr --pairs=en_us-fr_fr --states=final

Stop it and run it again at will: pairs and states that are written are skipped.
"""

from typing import TYPE_CHECKING

from absl import flags

from isogloss.jobs import shared_flags

if TYPE_CHECKING:
    from isogloss.engine.retrieval import grid

STORE = shared_flags.store()
GRID = shared_flags.grid()
MEASURES = flags.DEFINE_list(
    "measures", ["seqsim", "meanpool", "dtw"], "Some of seqsim, precision, recall, meanpool, dtw."
)
LANGUAGES = shared_flags.languages()
PAIRS = shared_flags.pairs()
STATES = shared_flags.states()
REMOVE_MEAN = flags.DEFINE_boolean(
    "remove_language_mean", False, "Subtract each language's mean frame from every frame first."
)
IMPLEMENTATION = flags.DEFINE_enum(
    "implementation",
    "auto",
    ["auto", "xla", "numba", "pallas", "xla_int8", "numba_int8"],
    "Of the frame kernels.",
)
MEMORY = flags.DEFINE_float(
    "memory_gb", 8.0, "Memory for states; languages are taken in blocks that fit.", 0.0
)
COMPILATION_CACHE = shared_flags.compilation_cache()
SHARDING = shared_flags.sharding()
flags.adopt_module_key_flags(shared_flags)


def main() -> "grid.GridSummary":
    """Turn flags into one configuration and run it."""
    from isogloss.engine.retrieval import grid  # noqa: PLC0415  (--help must not wait for JAX)

    return grid.run(
        grid.GridConfig(
            store=shared_flags.path(STORE),
            grid=shared_flags.path(GRID),
            measures=tuple(MEASURES.value),
            languages=shared_flags.choice(LANGUAGES),
            pairs=shared_flags.choice(PAIRS),
            states=shared_flags.choice(STATES),
            remove_language_mean=REMOVE_MEAN.value,
            implementation="" if IMPLEMENTATION.value == "auto" else IMPLEMENTATION.value,
            memory_gb=MEMORY.value,
            compilation_cache=shared_flags.optional_path(COMPILATION_CACHE),
            share=SHARDING.share(),
            dry_run=SHARDING.dry_run.value,
        )
    )


if __name__ == "__main__":
    shared_flags.run(main)

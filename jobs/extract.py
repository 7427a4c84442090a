"""Encode every utterance of a corpus and store every encoder state.

    python -m isogloss.jobs.extract --corpus=fleurs:test --languages=en_us,fr_fr \
        --model=openai/whisper-large-v2 --store=out/store

Stop it and run it again at will: stored utterances are skipped.
"""

from typing import TYPE_CHECKING

from absl import flags

from isogloss.jobs import shared_flags

if TYPE_CHECKING:
    from isogloss.engine.activations import extract

CORPUS = shared_flags.corpus()
MODEL = shared_flags.model()
REVISION = shared_flags.revision()
STORE = shared_flags.store()
LANGUAGES = shared_flags.languages()
STATES = shared_flags.states()
RECORDINGS = shared_flags.recordings()
DTYPE = flags.DEFINE_enum("dtype", "float16", ["float16", "float32"], "Number format on disk.")
LONG = shared_flags.long()
ROWS = shared_flags.rows_per_device()
COMPUTE = shared_flags.compute()
IN_FLIGHT = flags.DEFINE_integer(
    "in_flight_mb",
    0,
    "Megabytes of host memory for waveforms and states under way; 0: what keeps the devices busy.",
    0,
)
COMPILATION_CACHE = shared_flags.compilation_cache()
SHARDING = shared_flags.sharding()
flags.adopt_module_key_flags(shared_flags)


def main() -> "extract.ExtractSummary":
    """Turn flags into one configuration and run it."""
    from isogloss.engine.activations import extract  # noqa: PLC0415  (--help must not wait for JAX)

    return extract.run(
        extract.ExtractConfig(
            corpus=shared_flags.text(CORPUS),
            model=shared_flags.text(MODEL),
            revision=REVISION.value,
            store=shared_flags.path(STORE),
            languages=shared_flags.choice(LANGUAGES),
            states=shared_flags.choice(STATES),
            recordings=RECORDINGS.value,
            dtype=DTYPE.value,
            long=LONG.value,
            rows_per_device=ROWS.value,
            compute=COMPUTE.value,
            in_flight_mb=IN_FLIGHT.value,
            compilation_cache=shared_flags.optional_path(COMPILATION_CACHE),
            share=SHARDING.share(),
            dry_run=SHARDING.dry_run.value,
        )
    )


if __name__ == "__main__":
    shared_flags.run(main)

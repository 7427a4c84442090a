"""Find when every word is said: a text is aligned with its recording by the decoder's attention.

    python -m isogloss.jobs.align --corpus=fleurs:test --languages=en_us,fr_fr \
        --model=openai/whisper-base --out=out/words
    python -m isogloss.jobs.align --store=out/store --model=openai/whisper-base --out=out/words --text=decoded

Writes words.parquet (a row per word: frames, seconds, probability), utterances.parquet and utterances.csv
(a row per utterance, with the reason where it couldn't be aligned). Stop it and run it again at will:
finished blocks of utterances are skipped. A store keeps an utterance's own frames only; the rest of the
window is filled with the states of silence, for one pass of the encoder.
"""

from typing import TYPE_CHECKING

from absl import flags

from isogloss.jobs import shared_flags

if TYPE_CHECKING:
    from isogloss.engine.alignment import align

CORPUS = shared_flags.corpus()
STORE = shared_flags.store()
MODEL = shared_flags.model()
REVISION = shared_flags.revision()
TOKENIZER = shared_flags.tokenizer()
OUT = shared_flags.out()
LANGUAGES = shared_flags.languages()
RECORDINGS = shared_flags.recordings()
LONG = shared_flags.long()
TEXT = flags.DEFINE_enum(
    "text", "reference", ["reference", "decoded"], "Align the transcription, or what the model hears."
)
STATE = shared_flags.state()
EXIT_NORM = shared_flags.exit_norm()
LANGUAGE = shared_flags.language()
STAND_IN = shared_flags.stand_in()
ROWS = shared_flags.rows_per_device()
COMPUTE = shared_flags.compute()
COMPILATION_CACHE = shared_flags.compilation_cache()
SHARDING = shared_flags.sharding()
flags.adopt_module_key_flags(shared_flags)


def main() -> "align.AlignSummary":
    """Turn flags into one configuration and run it."""
    from isogloss.engine.alignment import align  # noqa: PLC0415  (--help must not wait for JAX)

    return align.run(
        align.AlignConfig(
            corpus=CORPUS.value or None,
            store=shared_flags.path(STORE) if STORE.value else None,
            model=shared_flags.text(MODEL),
            revision=REVISION.value,
            tokenizer=TOKENIZER.value,
            out=shared_flags.path(OUT),
            languages=shared_flags.choice(LANGUAGES),
            recordings=RECORDINGS.value,
            long=LONG.value,
            text=TEXT.value,
            states=shared_flags.choice(STATE),
            exit_norm=EXIT_NORM.value,
            language=shared_flags.text(LANGUAGE),
            stand_in=tuple(STAND_IN.value),
            rows_per_device=ROWS.value,
            compute=COMPUTE.value,
            share=SHARDING.share(),
            dry_run=SHARDING.dry_run.value,
            compilation_cache=shared_flags.optional_path(COMPILATION_CACHE),
        )
    )


if __name__ == "__main__":
    shared_flags.run(main)

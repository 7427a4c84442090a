"""Transcribe or translate a corpus, with the final encoder state or with any other: early exit.

    python -m isogloss.jobs.transcribe --corpus=fleurs:test --languages=ky_kg,kk_kz \
        --model=openai/whisper-large-v2 --state=all --exit_norm=both --out=out/exits
    python -m isogloss.jobs.transcribe --store=out/store --model=openai/whisper-base --out=out/transcripts

Writes transcripts.parquet, summary.parquet, summary.csv and a figure per language. Stop it and run it again
at will: finished blocks of utterances are skipped. A store keeps an utterance's own frames only; with --store
the rest of the window is filled with the states of silence, without which most texts run on.
"""

from typing import TYPE_CHECKING

from absl import flags

from isogloss.jobs import shared_flags

if TYPE_CHECKING:
    from isogloss.engine.transcription import transcribe

CORPUS = shared_flags.corpus()
STORE = shared_flags.store()
MODEL = shared_flags.model()
REVISION = shared_flags.revision()
TOKENIZER = shared_flags.tokenizer()
OUT = shared_flags.out()
LANGUAGES = shared_flags.languages()
RECORDINGS = shared_flags.recordings()
LONG = shared_flags.long()
SILENCE = flags.DEFINE_boolean(
    "silence",
    True,
    "With --store, fill the window with silence; else the decoder sees the speech alone.",
)
TASK = flags.DEFINE_enum("task", "transcribe", ["transcribe", "translate"], "Into its own words or English.")
LANGUAGE = shared_flags.language()
STAND_IN = shared_flags.stand_in()
REFERENCES = flags.DEFINE_string(
    "references", None, "Language whose transcription of a sentence is its translation; default: English."
)
STATE = shared_flags.state()
EXIT_NORM = shared_flags.exit_norm()
BEAMS = flags.DEFINE_integer("num_beams", 1, "Beams; 1 is greedy.", 1)
ROWS = shared_flags.rows_per_device()
COMPUTE = shared_flags.compute()
COMPILATION_CACHE = shared_flags.compilation_cache()
SHARDING = shared_flags.sharding()
flags.adopt_module_key_flags(shared_flags)


def main() -> "transcribe.TranscribeSummary":
    """Turn flags into one configuration and run it."""
    from isogloss.engine.transcription import transcribe  # noqa: PLC0415  (--help must not wait for JAX)

    return transcribe.run(
        transcribe.TranscribeConfig(
            corpus=CORPUS.value or None,
            store=shared_flags.path(STORE) if STORE.value else None,
            model=shared_flags.text(MODEL),
            revision=REVISION.value,
            tokenizer=TOKENIZER.value,
            out=shared_flags.path(OUT),
            languages=shared_flags.choice(LANGUAGES),
            recordings=RECORDINGS.value,
            long=LONG.value,
            silence=SILENCE.value,
            task=TASK.value,
            language=shared_flags.text(LANGUAGE),
            stand_in=tuple(STAND_IN.value),
            references=REFERENCES.value,
            states=shared_flags.choice(STATE),
            exit_norm=EXIT_NORM.value,
            num_beams=BEAMS.value,
            rows_per_device=ROWS.value,
            compute=COMPUTE.value,
            share=SHARDING.share(),
            dry_run=SHARDING.dry_run.value,
            compilation_cache=shared_flags.optional_path(COMPILATION_CACHE),
        )
    )


if __name__ == "__main__":
    shared_flags.run(main)

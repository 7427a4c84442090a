r"""Transcribe or translate a corpus, with the final encoder state or with any other: early exit.

    python -m isogloss.jobs.transcribe --corpus=fleurs:test --languages=ky_kg,kk_kz \
        --model=openai/whisper-large-v2 --states=all --exit_norm=both --out=out/exits
    python -m isogloss.jobs.transcribe --store=out/store --model=openai/whisper-base --out=out/transcripts

Writes transcripts.parquet, summary.parquet, summary.csv and a figure per language. It can be stopped and run
again at any time: finished blocks of utterances are skipped. A store has only the frames of the utterance
itself; with --store the rest of the window is filled with the states of silence, because most texts don't
end without it.
"""

from isogloss.engine.transcription.transcribe_config import TranscribeConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(TranscribeConfig, "isogloss.engine.transcription.transcribe")

r"""Find the time of every word: a text is aligned with its recording by the decoder's attention.

    python -m isogloss.jobs.align --corpus=fleurs:test --languages=en_us,fr_fr \
        --model=openai/whisper-base --out=out/words
    python -m isogloss.jobs.align --store=out/store --model=openai/whisper-base --out=out/words --text=decoded

Writes words.parquet (a row per word: frames, seconds, probability), utterances.parquet and utterances.csv
(a row per utterance, with the reason if it couldn't be aligned). It can be stopped and run again at any time:
finished blocks of utterances are skipped. A store has only the frames of the utterance itself; the rest of
the window is filled with the states of silence, which takes one pass of the encoder.
"""

from isogloss.engine.alignment.align_config import AlignConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(AlignConfig, "isogloss.engine.alignment.align")

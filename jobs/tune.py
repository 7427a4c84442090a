r"""Train a decoder on stored encoder states: another language of text, the encoder left as it is.

    python -m isogloss.jobs.tune --store=out/store --model=openai/whisper-base --source=en --target=es \
        --out=out/es
    python -m isogloss.jobs.transcribe --store=out/store --model=out/es --task=translate --language=es \
        --references=es --languages=fr --sentences=out/es/held_out.txt --out=out/fr-es

Writes a model in Hugging Face's layout, steps.parquet, split.tsv and a figure of the losses. It can be
stopped and run again at any time: it goes on from its newest checkpoint and ends with equal bits.
"""

from isogloss.engine.training.tune_config import TuneConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(TuneConfig, "isogloss.engine.training.tune")

r"""Encode every utterance of a corpus and store every encoder state.

    python -m isogloss.jobs.extract --corpus=fleurs:test --languages=en_us,fr_fr \
        --model=openai/whisper-large-v2 --store=out/store

It can be stopped and run again at any time: stored utterances are skipped.
"""

from isogloss.engine.activations.extract_config import ExtractConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(ExtractConfig, "isogloss.engine.activations.extract")

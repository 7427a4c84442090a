r"""Fetch data sets and models for machines without a network.

    python -m isogloss.jobs.fetch --corpus=fleurs:test --languages=en_us,fr_fr --model=openai/whisper-large-v2
    export HF_HOME=... HF_HUB_OFFLINE=1

The second line is the one that the job ends with; after it any job runs on any machine that sees HF_HOME.
Fills the caches of the Hugging Face hub. It can be stopped and run again at any time: what is cached is not
fetched again.
"""

from isogloss.engine.operations.fetch_config import FetchConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(FetchConfig, "isogloss.engine.operations.fetch")

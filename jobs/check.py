r"""List what is wrong with a corpus, line by line, before anything is encoded.

    python -m isogloss.jobs.check --corpus=manifest:speech.tsv
    python -m isogloss.jobs.check --corpus=fleurs-dir:/data/fleurs \
        --model=openai/whisper-large-v2 --out=problems.tsv

It reads every recording once, and finds broken, silent, clipped, long and repeated ones, lines that break a
rule, repeated texts, and languages without a token. The table goes to stderr and to --out; exit code 3 says
that something was found.
"""

from isogloss.engine.operations.check_config import CheckConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(CheckConfig, "isogloss.engine.operations.check")

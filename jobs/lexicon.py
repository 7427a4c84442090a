"""Compare single words: cognates, synonyms and near-homophones of two languages, along the states.

    python -m isogloss.jobs.lexicon --store=out/words/store --out=out/lexicon

Needs a store of recordings of single words, with transcriptions, and espeak-ng (the extra phones). Writes
word_pairs and classes as Parquet and CSV, and classes.svg. It can be stopped and run again at any time:
finished language pairs are skipped.
"""

from isogloss.engine.lexicon.lexicon_config import LexiconConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(LexiconConfig, "isogloss.engine.lexicon.lexicon")

"""Options of jobs that compare the meaning and the sound of texts. Imports nothing heavy."""

from isogloss.engine.runtime.options import Field, option
from isogloss.engine.texts.encoder_names import LANGUAGES, NONE, USE


def sentence_encoder_option(what: str) -> Field:
    """Field `sentence_encoder` of a job's configuration; `what` is words or sentences."""
    return option(
        f"Meaning of {what}: {USE} ({' '.join(LANGUAGES)}; needs nothing more), a sentence-transformers "
        f"model or folder such as sentence-transformers/LaBSE, or {NONE}.",
        USE,
    )


def phones_option() -> Field:
    """Field `phones` of a job's configuration."""
    return option("Sound of words: espeak-ng's phones, or none.", "espeak")

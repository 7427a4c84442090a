"""Names of sentence encoders, for the options of jobs; imports nothing heavy, because --help loads it."""

from isogloss.engine.runtime.options import Field, option

USE, NONE = "use-multilingual", "none"
LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh")
"""Languages of `use-multilingual`, by Whisper's codes."""


def sentence_encoder_option(what: str) -> Field:
    """Field of the configuration of jobs that compare meaning, of words or of sentences."""
    return option(
        f"Meaning of {what}: {USE} ({' '.join(LANGUAGES)}; needs nothing more), a sentence-transformers "
        f"model or folder such as sentence-transformers/LaBSE, or {NONE}.",
        USE,
    )

"""Names of sentence encoders; imports nothing heavy, because --help loads it."""

USE, NONE = "use-multilingual", "none"
LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh")
"""Languages of `use-multilingual`, by Whisper's codes."""

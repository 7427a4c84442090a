"""Reference texts of a corpus: its own transcriptions, or for a translation those of another language."""

import dataclasses
import logging
from collections.abc import Mapping

from isogloss.engine.activations import activation_store, store_languages
from isogloss.engine.activations.state_source import StateSource
from isogloss.engine.corpora import corpus
from isogloss.engine.corpora.languages import whisper_code
from isogloss.engine.decoding import language_token
from isogloss.engine.decoding.job_input import DecoderInput
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.transcription import edit_counts
from isogloss.engine.transcription.edit_counts import Normaliser
from isogloss.engine.transcription.transcribe_config import TranscribeConfig

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class References:
    """Reference texts of all languages; those of a language are read when they are first asked for.

    Attributes:
      source: of the utterances.
      normal: normaliser of the references, by language.
      by_sentence: texts of a translation, which all recordings of a sentence share; None for transcriptions.
      known: texts read so far, by language; `key` of the job reads them all before threads need them.
    """

    source: StateSource
    normal: Mapping[str, Normaliser]
    by_sentence: Mapping[str, str] | None
    known: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    def by_utterance(self, language: str) -> dict[str, str]:
        """Text by name of the utterance; those without one are left out, and logged by name."""
        if language not in self.known:
            listed = self.source.utterances(language)
            texts = {
                u.name: u.transcription if self.by_sentence is None else self.by_sentence.get(u.sentence, "")
                for u in listed
            }
            usable = {
                name: text for name, text in texts.items() if edit_counts.usable(text, self.normal[language])
            }
            if without := [name for name in texts if name not in usable]:
                _LOG.warning(
                    "%s: %d of %d utterances have no letters or digits in their reference; they are "
                    "transcribed but not scored: %s",
                    language,
                    len(without),
                    len(listed),
                    first_names(without),
                )
            self.known[language] = usable
        return self.known[language]


def read(config: TranscribeConfig, given: DecoderInput, spellings: Mapping[str, str] | None) -> References:
    """References of all languages; those of a translation are read now.

    `spellings` is the model's table of English spellings, None if it has none.
    """
    translation, by_sentence = _translations(config) if config.task == "translate" else ("", None)
    written = {
        language: language_token.written_as(translation or language, given.tokens[language])
        for language in given.source.languages
    }
    normal = {language: edit_counts.normaliser(code, spellings) for language, code in written.items()}
    return References(source=given.source, normal=normal, by_sentence=by_sentence)


def _translations(config: TranscribeConfig) -> tuple[str, dict[str, str]]:
    """Language of the references of a translation, and its text by sentence.

    Without --references it is the corpus's English; both are empty if the corpus has none.
    """
    opened = None if config.corpus is None else corpus.open_corpus(config.corpus, config.columns)
    if opened:
        there = opened.languages()
    else:
        assert config.store is not None  # one of the two is given
        there = store_languages.codes(config.store)  # English that is still to be stored is refused below
    english = [code for code in there if whisper_code(code) == "en"]
    code = config.references or next(iter(english), "")
    if not code:
        _LOG.warning("the corpus has no English, so translations have no reference; see --references")
        return "", {}
    if opened:
        listed = opened.listing(code).utterances
        return code, {utterance.sentence: utterance.transcription for utterance in listed}
    assert config.store is not None
    store = activation_store.open_store(config.store, code)
    rows = zip(store.coordinate("sentence"), store.coordinate("transcription"), strict=True)
    return code, {str(sentence): str(text) for sentence, text in rows}

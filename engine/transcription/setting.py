"""What a transcription is made of: model, vocabulary, source of states, exits, language tokens, references.

Opened before anything is computed, so that all that can be refused is refused first. `settings` is what
decides the results as a whole, `key` what decides those of one unit.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping, Sequence

import jax

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.state_source import StateSource
from isogloss.engine.checkpoints import huggingface
from isogloss.engine.checkpoints.checkpoint import Checkpoint, load_checkpoint
from isogloss.engine.corpora import corpus
from isogloss.engine.corpora.languages import whisper_code
from isogloss.engine.decoding import decoder_cost, early_exit, job
from isogloss.engine.decoding.early_exit import Exit
from isogloss.engine.decoding.job import UtteranceBlock
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.runtime import devices, json_values
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.transcription import edit_counts
from isogloss.engine.transcription.transcribe_config import TranscribeConfig
from isogloss.engine.transcription.unit import DecodingTask, References
from isogloss.engine.whisper import encoder_program
from isogloss.engine.whisper.tokenizer import Tokens

_LOG = logging.getLogger(__name__)
_LAYOUT = 1  # of a part file; another number makes older parts unfindable


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranscriptionSetting:
    """What a transcription is made of, opened.

    Attributes:
      checkpoint: the model.
      tokens: its vocabulary.
      source: of states.
      task: what is asked of the decoder.
      texts: token, references and normaliser of each language.
      precision: of the computation.
      rows: utterances of a decoder's step on a device.
      settings: what decides the results as a whole; a folder is of one.
    """

    checkpoint: Checkpoint
    tokens: Tokens
    source: StateSource
    task: DecodingTask
    texts: Mapping[str, References]
    precision: encoder_program.Precision
    rows: int
    settings: Mapping[str, Json]

    @property
    def exits(self) -> tuple[Exit, ...]:
        """Where the encoder is left."""
        return self.task.exits

    def key(self, unit: UtteranceBlock) -> str:
        """Fingerprint of all that a unit's part depends on."""
        texts = self.texts[unit.language]
        return unit.key(
            self.source,
            texts.token,
            layout=_LAYOUT,
            settings=self.settings,
            normaliser=texts.normal.name,
            references=[texts.references.get(utterance.name, "") for utterance in unit.utterances],
        )


def open_setting(config: TranscribeConfig) -> TranscriptionSetting:
    """All that `config` names; Refusal for what can't be."""
    checkpoint = load_checkpoint(config.model, config.revision)
    vocabulary = job.vocabulary(config)
    layers = checkpoint.dimensions.encoder_layers
    task = DecodingTask(
        task=config.task,
        exits=early_exit.choose(config.states, config.exit_norm, layers),
        beams=config.num_beams,
    )
    source = job.open_source(config, checkpoint, [exit.state for exit in task.exits], silence=config.silence)
    spellings = _spellings(*config.vocabulary_source)
    platform = jax.default_backend()
    precision = encoder_program.precision_for(platform, config.compute)
    rows = decoder_cost.rows_per_device(
        platform, checkpoint.dimensions, precision.compute, devices.memory(), config.num_beams
    )
    common = job.settings(config, checkpoint, vocabulary, source, precision)
    return TranscriptionSetting(
        checkpoint=checkpoint,
        tokens=vocabulary,
        source=source,
        task=task,
        texts=_texts(config, source, vocabulary, spellings),
        precision=precision,
        rows=rows,
        settings={
            **common,
            "spellings_sha256": json_values.sha256(spellings),
            "exits": [dataclasses.asdict(exit) for exit in task.exits],
            **{name: getattr(config, name) for name in _RECORDED},
        },
    )


_RECORDED = ("silence", "task", "references", "num_beams")


def _spellings(name: str, revision: str | None) -> dict[str, str] | None:
    """The model's table of English spellings, None where it brings none."""
    found = huggingface.optional_file(name, "normalizer.json", revision)
    return edit_counts.read_spellings(found) if found else None


def _texts(
    config: TranscribeConfig, source: StateSource, vocabulary: Tokens, spellings: Mapping[str, str] | None
) -> dict[str, References]:
    """Token, references and normaliser of each language; what lacks a reference is named."""
    told = job.language_tokens(config, source.languages, vocabulary, config.task)
    code, asked = _asked(config) if config.task == "translate" else ("", {})
    made = {}
    for language in source.languages:
        normal = edit_counts.normaliser(_written(code or language, told[language], vocabulary), spellings)
        spoken = source.utterances(language)
        found = {u.name: asked.get(u.sentence, "") if code else u.transcription for u in spoken}
        if config.task == "translate" and not code:
            found = {}
        usable = {name: text for name, text in found.items() if edit_counts.usable(text, normal)}
        _tell(language, [u.name for u in spoken if u.name not in usable], len(spoken))
        made[language] = References(token=told[language], references=usable, normal=normal)
    return made


def _written(language: str, token: Token, vocabulary: Tokens) -> str:
    """The language that texts are normalised as: their own if Whisper knows it, else a given one."""
    own = whisper_code(language)
    return token.language if own not in vocabulary.languages and token.how == "given" else own


def _asked(config: TranscribeConfig) -> tuple[str, dict[str, str]]:
    """The language of the references of a translation, and its text of each sentence.

    Without --references that is the corpus's English, and no language if it has none.
    """
    opened = None if config.corpus is None else corpus.open_corpus(config.corpus)
    there = opened.languages() if opened else activation_store.languages(pathlib.Path(str(config.store)))
    english = [code for code in there if whisper_code(code) == "en"]
    code = config.references or next(iter(english), "")
    if not code:
        _LOG.warning("the corpus has no English, so translations have no reference; see --references")
        return "", {}
    if opened:
        listed = opened.listing(code).utterances
        return code, {utterance.sentence: utterance.transcription for utterance in listed}
    store = activation_store.open_store(pathlib.Path(str(config.store)), code)
    rows = zip(store.coordinate("sentence"), store.coordinate("transcription"), strict=True)
    return code, {str(sentence): str(text) for sentence, text in rows}


def _tell(language: str, without: Sequence[str], count: int) -> None:
    if without:
        _LOG.warning(
            "%s: %d of %d utterances have no reference of letters or digits; they are transcribed and not "
            "scored: %s",
            language,
            len(without),
            count,
            first_names(without),
        )

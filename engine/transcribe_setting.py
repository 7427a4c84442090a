"""What a transcription is made of: model, vocabulary, source of states, exits, language tokens, references.

Opened before anything is computed, so that all that can be refused is refused first. `settings` is what
decides the results as a whole, `key` what decides those of one unit.
"""

import dataclasses
import logging
import math
import pathlib
from collections.abc import Mapping, Sequence

import jax

from isogloss.engine import (
    activation_store,
    beam,
    corpus,
    decode,
    encode,
    exits,
    hearing,
    huggingface,
    stand_in,
    tokens,
    transcript_text,
)
from isogloss.engine.checkpoint import Checkpoint, load_checkpoint
from isogloss.engine.exits import Exit
from isogloss.engine.hearing import Hearing, Unit
from isogloss.engine.spoken import Source
from isogloss.engine.stand_in import Token
from isogloss.engine.tokens import Tokens
from isogloss.engine.transcribe_unit import Task, Texts
from isogloss.engine.zarr_group import Json

EARLY_STOPPING: Mapping[str, beam.EarlyStopping] = {"false": False, "true": True, "never": "never"}
_LOG = logging.getLogger(__name__)
_LAYOUT = 1  # of a part file; another number makes older parts unfindable
_NAMES = 20  # of utterances without a reference that a log line shows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Hearing):
    """What the transcribe job was asked for; its flags say what each field means."""

    silence: bool
    task: str
    references: str | None
    num_beams: int
    length_penalty: float
    early_stopping: str
    tokens_per_second: float

    def __post_init__(self) -> None:
        """Refuse words that aren't among the choices, and numbers out of range."""
        super().__post_init__()
        if self.task not in tokens.TASKS:
            raise ValueError(f"--task must be one of {tokens.TASKS}, got {self.task!r}")
        if self.early_stopping not in EARLY_STOPPING:
            raise ValueError(
                f"--early_stopping must be one of {tuple(EARLY_STOPPING)}, got {self.early_stopping!r}"
            )
        if self.num_beams < 1 or not 0 < self.tokens_per_second < math.inf:
            raise ValueError(
                "--num_beams must be at least 1 and --tokens_per_second a number above 0, "
                f"got {self.num_beams} and {self.tokens_per_second}"
            )

    @property
    def search(self) -> beam.Search:
        """Of a text."""
        return beam.Search(
            beams=self.num_beams,
            length_penalty=self.length_penalty,
            early_stopping=EARLY_STOPPING[self.early_stopping],
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What a transcription is made of, opened.

    Attributes:
      checkpoint: the model.
      tokens: its vocabulary.
      source: of states.
      task: what is asked of the decoder.
      texts: token, references and normaliser of each language.
      precision: of the computation.
      settings: what decides the results as a whole; a folder is of one.
    """

    checkpoint: Checkpoint
    tokens: Tokens
    source: Source
    task: Task
    texts: Mapping[str, Texts]
    precision: encode.Precision
    settings: Mapping[str, Json]

    @property
    def exits(self) -> tuple[Exit, ...]:
        """Where the encoder is left."""
        return self.task.exits

    def key(self, unit: Unit) -> str:
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


def open_setting(config: Config) -> Setting:
    """All that `config` names; ValueError for what can't be."""
    checkpoint = load_checkpoint(config.model, config.revision)
    vocabulary = config.vocabulary()
    layers = checkpoint.dimensions.encoder_layers
    task = Task(
        task=config.task,
        exits=exits.choose(config.states, config.exit_norm, layers),
        search=config.search,
        tokens_per_second=config.tokens_per_second,
    )
    source = config.source(checkpoint, [exit.state for exit in task.exits], silence=config.silence)
    spellings = _spellings(*config.vocabulary_source)
    platform = jax.default_backend()
    precision = encode.precision_for(platform, config.compute)
    common = config.settings(checkpoint, vocabulary, source, precision, decode.rows_per_device(platform))
    return Setting(
        checkpoint=checkpoint,
        tokens=vocabulary,
        source=source,
        task=task,
        texts=_texts(config, source, vocabulary, spellings),
        precision=precision,
        settings={
            **common,
            "spellings_sha256": hearing.sha256(spellings),
            "exits": [dataclasses.asdict(exit) for exit in task.exits],
            **{name: getattr(config, name) for name in _RECORDED},
        },
    )


_RECORDED = (
    *("silence", "task", "references", "num_beams", "length_penalty", "early_stopping"),
    "tokens_per_second",
)


def _spellings(name: str, revision: str | None) -> dict[str, str] | None:
    """The model's table of English spellings, None where it brings none."""
    found = huggingface.optional_file(name, "normalizer.json", revision)
    return transcript_text.read_spellings(found) if found else None


def _texts(
    config: Config, source: Source, vocabulary: Tokens, spellings: Mapping[str, str] | None
) -> dict[str, Texts]:
    """Token, references and normaliser of each language; what lacks a reference is named."""
    told = config.tokens(source.languages, vocabulary, config.task)
    code, asked = _asked(config) if config.task == "translate" else ("", {})
    made = {}
    for language in source.languages:
        normal = transcript_text.normaliser(_written(code or language, told[language], vocabulary), spellings)
        spoken = source.utterances(language)
        found = {u.name: asked.get(u.sentence, "") if code else u.transcription for u in spoken}
        if config.task == "translate" and not code:
            found = {}
        usable = {name: text for name, text in found.items() if transcript_text.usable(text, normal)}
        _tell(language, [u.name for u in spoken if u.name not in usable], len(spoken))
        made[language] = Texts(token=told[language], references=usable, normal=normal)
    return made


def _written(language: str, token: Token, vocabulary: Tokens) -> str:
    """The language that texts are normalised as: their own if Whisper knows it, else a given one."""
    own = stand_in.spelt(language)
    return token.language if own not in vocabulary.languages and token.how == "given" else own


def _asked(config: Config) -> tuple[str, dict[str, str]]:
    """The language of the references of a translation, and its text of each sentence.

    Without --references that is the corpus's English, and no language if it has none.
    """
    opened = None if config.corpus is None else corpus.open_corpus(config.corpus)
    there = opened.languages() if opened else activation_store.languages(pathlib.Path(str(config.store)))
    english = [code for code in there if stand_in.spelt(code) == "en"]
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
        more = f" and {len(without) - _NAMES} more" if len(without) > _NAMES else ""
        _LOG.warning(
            "%s: %d of %d utterances have no reference of letters or digits; they are transcribed and not "
            "scored: %s%s",
            language,
            len(without),
            count,
            ", ".join(without[:_NAMES]),
            more,
        )

"""Input of a decoder job, opened before anything is computed: model, vocabulary, states, language tokens.

All bad input is refused here.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

import jax

from isogloss.engine.activations import open_states
from isogloss.engine.activations.state_source import StateSource
from isogloss.engine.checkpoints.checkpoint import Checkpoint, load_checkpoint
from isogloss.engine.decoding import early_exit, language_token
from isogloss.engine.decoding.early_exit import Exit
from isogloss.engine.decoding.first_frames import FirstFrames
from isogloss.engine.decoding.job_config import DecoderJobConfig
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.runtime import json_values, name_lists
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import encoder_program
from isogloss.engine.whisper.encoder_program import Precision
from isogloss.engine.whisper.tokenizer import Tokens

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderInput:
    """Input of a decoder job.

    Attributes:
      checkpoint: the model.
      vocabulary: its tokenizer.
      exits: encoder states that enter the decoder.
      source: of states.
      window: frames that the decoder sees at most.
      tokens: language token of the prompt, by language.
      platform: of JAX.
      precision: of the computation.
      sentences: that are taken; None for all.
      settings: values that the results depend on, without the job's own.
    """

    checkpoint: Checkpoint
    vocabulary: Tokens
    exits: tuple[Exit, ...]
    source: StateSource
    window: int
    tokens: Mapping[str, Token]
    platform: str
    precision: Precision
    sentences: frozenset[str] | None
    settings: Mapping[str, Json]

    @property
    def window_name(self) -> str:
        """The window in a message: the model's, or the flag that makes it shorter."""
        whole = self.window == self.checkpoint.dimensions.positions
        return "the model's window" if whole else f"--window={self.window}"


def open_input(
    config: DecoderJobConfig, *, silence: bool, task: str = "transcribe", window: int = 0
) -> DecoderInput:
    """Input that the options name.

    Args:
      config: the options.
      silence: fill the rest of a store's window with states of silence.
      task: of the prompt.
      window: frames that the decoder sees at most; 0 for the model's.

    Raises:
      Refusal: an option, the model or the corpus can't be used.
    """
    checkpoint = load_checkpoint(config.model, config.revision)
    vocabulary = Tokens.load(*config.vocabulary_source)
    exits = early_exit.choose(config.states, config.exit_norm, checkpoint.dimensions.encoder_layers)
    positions = checkpoint.dimensions.positions
    if window > positions:
        raise Refusal(f"--window must be at most the model's {positions} frames, got {window}")
    source = _open_source(config, checkpoint, [exit.state for exit in exits], silence=silence)
    if cut := 0 < window < positions:
        source = FirstFrames(source=source, window=window)
    sentences = _sentences(config, source)
    platform = jax.default_backend()
    precision = encoder_program.precision_for(platform, config.compute, config.attention)
    return DecoderInput(
        checkpoint=checkpoint,
        vocabulary=vocabulary,
        exits=exits,
        source=source,
        window=window or positions,
        tokens=_language_tokens(config, source.languages, vocabulary, task),
        platform=platform,
        precision=precision,
        sentences=sentences,
        settings=_settings(config, checkpoint, vocabulary, source, precision)
        # Folders of all sentences, or of the whole window, keep the settings they have.
        | ({"sentences_sha256": json_values.sha256(sorted(sentences))} if sentences else {})
        | ({"window": window} if cut else {}),
    )


def _open_source(
    config: DecoderJobConfig, checkpoint: Checkpoint, states: Sequence[str], *, silence: bool
) -> StateSource:
    # A state with and without the norm is one state of the source.
    wanted = list(dict.fromkeys(states))
    if config.store is not None:
        return open_states.open_store(
            config.store,
            checkpoint,
            wanted,
            languages=config.languages,
            silence=silence,
            compute=config.compute,
            form=config.attention,
        )
    return open_states.open_audio(
        str(config.corpus),
        checkpoint,
        wanted,
        columns=config.columns,
        languages=config.languages,
        recordings=config.recordings,
        long=config.long,
        compute=config.compute,
        form=config.attention,
        rows_per_device=config.rows_per_device,
        estimate=config.dry_run,
    )


def _sentences(config: DecoderJobConfig, source: StateSource) -> frozenset[str] | None:
    """Sentences that --sentences names; Refusal if a language has none of them."""
    if config.sentences is None:
        return None
    named = name_lists.read("--sentences", config.sentences)
    for language in source.languages:
        if named.isdisjoint(source.sentences(language)):
            raise Refusal(
                f"--sentences={config.sentences}: {language} has no utterance of these sentences. Remedy: "
                "name other --languages, or a file of their sentences"
            )
    return named


def _language_tokens(
    config: DecoderJobConfig, languages: Sequence[str], vocabulary: Tokens, task: str
) -> dict[str, Token]:
    """Language token of each language; stand-ins are logged with their reason."""
    known = vocabulary.languages if vocabulary.multilingual else {}
    overrides = language_token.parse(config.stand_in)
    if unused := language_token.unused(overrides, languages):
        _LOG.warning("--stand_in: no language is called %s", ", ".join(unused))
    tokens = {code: language_token.choose(code, config.language, overrides, known) for code in languages}
    for code, token in tokens.items():
        if token.how != "detected":
            vocabulary.prompt(token.language, task)  # refuses a language or task that the model lacks
        if token.reason:
            _LOG.info(
                "%s: Whisper has no token for it; %r replaces it: %s", code, token.language, token.reason
            )
    return tokens


def _settings(
    config: DecoderJobConfig,
    checkpoint: Checkpoint,
    vocabulary: Tokens,
    source: StateSource,
    precision: Precision,
) -> dict[str, Json]:
    """Values that the results depend on.

    Rows of a step are not among them: they follow the memory of each shard's device, and change the last bits
    at most.
    """
    # Suppressed tokens come from the model's folder, not from its weights, and decide texts all the same.
    ids = [list(vocabulary.suppressed), list(vocabulary.suppressed_at_begin), dict(vocabulary.languages)]
    return {
        "model": checkpoint.name,
        "weights_sha256": checkpoint.sha256,
        "vocabulary_sha256": json_values.sha256([vocabulary.backend.to_str(), ids]),
        "states_from": "store" if config.corpus is None else "audio",
        "corpus": list(source.corpora),
        "recordings": config.recordings,
        "long": config.long,
        "language": config.language,
        "stand_in": list(config.stand_in),
        "compute": precision.compute,
    }

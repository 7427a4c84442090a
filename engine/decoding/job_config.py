"""Options that the transcribe and align jobs share."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.activations.extract_config import EncoderJobConfig
from isogloss.engine.activations.store_options import store_option
from isogloss.engine.checkpoints.checkpoint_options import model_option, revision_option, tokenizer_option
from isogloss.engine.corpora.corpus import corpus_option
from isogloss.engine.runtime.options import Field, JobConfig, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal


def decoder_rows_option() -> Field:
    """Field `decoder_rows` of the configuration of jobs that run the decoder."""
    return option(
        "Utterances that a device decodes or aligns in one step; 0: few on CPU (aligning: 1), else 64 "
        "(aligning: 16) or what fits its memory.",
        0,
        minimum=0,
    )


def sentences_option() -> Field:
    """Field `sentences` of the configuration of jobs that take some sentences only."""
    return option("File of the sentences to take, one a line, as tune's held_out.txt; by default all.", None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerConfig(JobConfig):
    """Options of jobs that give the decoder a prompt."""

    model: str = model_option()
    revision: str | None = revision_option()
    tokenizer: str | None = tokenizer_option()
    stand_in: tuple[str, ...] = option(
        "Language tokens by language, as in ky=kk,ga=en; they come before all others.", ()
    )

    @property
    def vocabulary_source(self) -> tuple[str, str | None]:
        """Place of the tokenizer, and its revision, which is the model's only where they come together."""
        return (self.tokenizer, None) if self.tokenizer else (self.model, self.revision)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderJobConfig(TokenizerConfig, EncoderJobConfig):
    """Options of jobs that run the decoder; each field's help is in its definition."""

    out: pathlib.Path = option("Folder to write to.")
    corpus: str | None = corpus_option("Corpus, whose recordings are encoded", None)
    store: Place | None = store_option(
        "activation stores, in place of --corpus: states are read, not computed", None
    )
    states: tuple[str, ...] = option(
        "Encoder states that enter the decoder: all, or some of 1,...,final.", ("final",), empty="all"
    )
    exit_norm: Literal["true", "false", "both"] = option(
        "Whether states pass the encoder's final LayerNorm; both is for transcribe.", "true"
    )
    language: str = option(
        "Language token of the decoder: per-utterance (each language's own or a stand-in), detect or a code.",
        "per-utterance",
    )
    sentences: pathlib.Path | None = sentences_option()
    decoder_rows: int = decoder_rows_option()

    def __post_init__(self) -> None:
        """Refuse options that don't go together.

        Raises:
          Refusal: the options and the rule.
        """
        super().__post_init__()
        if (self.corpus is None) == (self.store is None):
            raise Refusal("give --corpus, or --store to take states from there, and not both")
        chosen = (self.recordings, self.long, self.columns)
        if self.store is not None and chosen != ("first", "truncate", ()):
            raise Refusal(
                "--recordings, --long and --columns choose among a corpus's recordings, a store holds what "
                "extract chose: leave them out"
            )

"""Options of the fetch job."""

import dataclasses
from typing import Literal

from isogloss.engine.checkpoints.checkpoint_options import revision_option, tokenizer_option
from isogloss.engine.corpora.corpus import columns_option, corpus_option, languages_option, recordings_option
from isogloss.engine.runtime.options import JobConfig, option
from isogloss.engine.runtime.refusal import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchConfig(JobConfig):
    """Options of the fetch job; each definition has the field's help."""

    corpus: str | None = corpus_option(default=None)
    columns: tuple[str, ...] = columns_option()
    languages: tuple[str, ...] = languages_option()
    recordings: Literal["first", "all"] = recordings_option("all")
    model: str | None = option(
        "Model that extract takes, by its hub id or torch:HUB_ID; a Whisper's tokenizer comes with it.", None
    )
    revision: str | None = revision_option()
    tokenizer: str | None = tokenizer_option()
    sentence_encoder: str | None = option("Hub id of a model of sentence-transformers.", None)

    def __post_init__(self) -> None:
        """Refuse a job without work.

        Raises:
          Refusal: neither a corpus nor a model is named.
        """
        super().__post_init__()
        if not (self.corpus or self.model or self.sentence_encoder):
            raise Refusal("name what to fetch: --corpus, --model or --sentence_encoder")

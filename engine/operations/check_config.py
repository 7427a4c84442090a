"""Options of the check job."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.checkpoints.checkpoint_options import revision_option
from isogloss.engine.corpora.corpus import columns_option, corpus_option, languages_option, recordings_option
from isogloss.engine.runtime.options import JobConfig, option
from isogloss.engine.runtime.refusal import Refusal

FORMATS = (".tsv", ".parquet")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckConfig(JobConfig):
    """Options of the check job; each definition has the field's help."""

    resumes = False
    corpus: str = corpus_option()
    model: str | None = option(
        "Whisper checkpoint, whose window and language tokens count; by default 30 s, and Whisper's.", None
    )
    revision: str | None = revision_option()
    columns: tuple[str, ...] = columns_option()
    languages: tuple[str, ...] = languages_option()
    recordings: Literal["first", "all"] = recordings_option("all")
    out: pathlib.Path | None = option("Table of the problems to write, FILE.tsv or FILE.parquet.", None)

    def __post_init__(self) -> None:
        """Refuse a table of another format.

        Raises:
          Refusal: the option, the rule and the value.
        """
        super().__post_init__()
        if self.out is not None and self.out.suffix not in FORMATS:
            raise Refusal(f"--out={self.out}: must end in {' or '.join(FORMATS)}")

"""Options of the align job."""

import dataclasses
from typing import Literal

from isogloss.engine.decoding.job_config import DecoderJobConfig
from isogloss.engine.runtime.options import option
from isogloss.engine.runtime.refusal import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignConfig(DecoderJobConfig):
    """Options of the align job; each field's help is in its definition."""

    text: Literal["reference", "decoded"] = option(
        "Text to align: the transcription, or what the model decodes.", "reference"
    )

    def __post_init__(self) -> None:
        """Refuse more than one state.

        Raises:
          Refusal: the options, the rule and the values.
        """
        super().__post_init__()
        if len(self.states) != 1 or self.exit_norm == "both":
            raise Refusal(
                "words are aligned at one state: --states names one of 1,..,final, --exit_norm is true or "
                f"false; got {','.join(self.states) or 'all'} and {self.exit_norm}"
            )

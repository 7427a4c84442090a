"""Options of the transcribe job."""

import dataclasses
from typing import Literal

from isogloss.engine.decoding.job_config import DecoderJobConfig
from isogloss.engine.runtime.options import FigureOptions, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranscribeConfig(DecoderJobConfig, FigureOptions):
    """Options of the transcribe job; each field's help is in its definition."""

    silence: bool = option(
        "With --store, fill the window with silence; without it the decoder sees the speech alone.", True
    )
    window: int = option(
        "Frames that the decoder sees, speech and silence; 0: the model's whole window.", 0, minimum=0
    )
    task: Literal["transcribe", "translate"] = option(
        "Text in the language that is spoken, or in English.", "transcribe"
    )
    references: str | None = option(
        "Language whose transcription of a sentence is its translation; by default English.", None
    )
    num_beams: int = option("Beams of the search; 1 is greedy.", 1, minimum=1)

"""Options of the convert job."""

import dataclasses
import math
import pathlib
from typing import Literal

from isogloss.engine.activations.store_options import dtype_option, store_option
from isogloss.engine.corpora.corpus import columns_option, corpus_option, languages_option, recordings_option
from isogloss.engine.runtime.options import ShardedJobConfig, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertConfig(ShardedJobConfig):
    """Options of the convert job; each definition has the field's help."""

    corpus: str = corpus_option("Corpus that the states are of")
    arrays: pathlib.Path = option(
        "Folder of LANGUAGE/UTTERANCE.npy, each (state, frame, feature), in float16, float32 or float64."
    )
    name: str = option("Name of the model, for people.")
    weights: pathlib.Path = option("File of the model's weights, whose SHA-256 the store names.")
    frame_seconds: float = option("Seconds from one frame to the next.", above=0)
    store: Place = store_option()
    window_seconds: float = option("Most seconds that the store holds of a recording.", 30.0, above=0)
    states: tuple[str, ...] = option(
        "Names of the states in the arrays, in order; by default 0, 1, 2 and so on.", ()
    )
    columns: tuple[str, ...] = columns_option()
    languages: tuple[str, ...] = languages_option()
    recordings: Literal["first", "all"] = recordings_option()
    dtype: Literal["float16", "float32"] = dtype_option()

    def __post_init__(self) -> None:
        """Refuse frames and windows that aren't whole numbers.

        Raises:
          Refusal: the option, the rule and the value.
        """
        super().__post_init__()
        samples, hop, window = self.frame_seconds * SAMPLE_RATE, *self._samples()
        if samples < 1 or not math.isclose(samples, hop, abs_tol=1e-6):
            raise Refusal(
                f"--frame_seconds={self.frame_seconds:g} must be a whole number of samples at 16 kHz"
            )
        if window < hop or window % hop:
            raise Refusal(f"--window_seconds={self.window_seconds:g} must be a whole number of frames")

    def _samples(self) -> tuple[int, int]:
        """Samples of a frame and of the window."""
        return round(self.frame_seconds * SAMPLE_RATE), round(self.window_seconds * SAMPLE_RATE)

    @property
    def axis(self) -> TimeAxis:
        """Frames and window that the options give."""
        hop, window = self._samples()
        return TimeAxis(samples_per_frame=hop, window_frames=window // hop)

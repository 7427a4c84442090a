"""Settings of an extraction and its cost: the model, its states, the number formats.

Two stores with equal settings hold comparable numbers; `settings` is part of a store's identity. Sizes follow
from the model's dimensions; nothing is allocated here.
"""

import dataclasses
from collections.abc import Iterable

from isogloss.engine.activations import activation_store, pipeline, stored_neurons
from isogloss.engine.activations.encoders import EncoderModel
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.time_axis import TimeAxis

_THREADS = 4  # decoding a recording takes milliseconds, an encoder step far longer
_AHEAD = 2  # steps of waveforms decoded ahead
_WRITING = 4  # rows being written, at least


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """Settings that decide the content of a store.

    Attributes:
      encoder: the model and how it is run.
      states: names of the stored states.
      dtype: number format on disk.
      recordings: "first" or "all" of a sentence.
      long: treatment of recordings longer than the window, truncate, skip or error.
    """

    encoder: EncoderModel
    states: tuple[str, ...]
    dtype: str
    recordings: str
    long: str

    @property
    def axis(self) -> TimeAxis:
        """Frames and window of the encoder."""
        return self.encoder.axis

    @property
    def _neurons(self) -> stored_neurons.Sizes | None:
        """Blocks, and neurons of a block; None if they aren't stored."""
        return self.encoder.neuron_sizes

    def settings(self) -> dict[str, Json]:
        """Everything except weights and listing that decides the content of a store."""
        return {
            "states": list(self.states),
            "dtype": self.dtype,
            **self.encoder.settings(),
            "recordings": self.recordings,
            "long": self.long,
            **(
                {"neurons": True} if self._neurons else {}
            ),  # without, a store is as before the option existed
        }

    def shard_bytes(self, frames: Iterable[int]) -> int:
        """Bytes on disk of utterances with these numbers of frames."""
        sizes = len(self.states), self.encoder.axis.window_frames, self.encoder.features
        own = stored_neurons.file_bytes(self._neurons, self.dtype) if self._neurons else 0
        return sum(own + activation_store.shard_bytes(n, *sizes, self.dtype) for n in frames)

    @property
    def files(self) -> int:
        """Number of files of an utterance."""
        return 2 if self._neurons else 1

    def limits(self) -> pipeline.Limits:
        """Limits of rows decoded ahead and being written, large enough to keep the devices busy."""
        capacity = self.encoder.rows_per_device * self.encoder.device_count
        return pipeline.Limits(
            rows_ahead=max(_THREADS, _AHEAD * capacity),
            rows_writing=max(_WRITING, capacity),
            threads=_THREADS,
        )

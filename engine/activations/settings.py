"""Settings of an extraction and its cost: the model, its states, the number formats.

Two stores with equal settings hold comparable numbers; `settings` is part of a store's identity. Sizes follow
from the model's dimensions; nothing is allocated here.
"""

import dataclasses
from collections.abc import Iterable

import jax

from isogloss.engine.activations import activation_store, pipeline, stored_neurons
from isogloss.engine.activations.encoders import EncoderFamily
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.time_axis import TimeAxis
from isogloss.engine.whisper import encoder_program

_THREADS = 4  # decoding a recording takes milliseconds, an encoder step far longer
_AHEAD = 2  # steps of waveforms decoded ahead
_WRITING = 4  # rows being written, at least


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """Settings that decide the content of a store.

    Attributes:
      family: the model's family.
      checkpoint: the model.
      states: names of the stored states.
      dtype: number format on disk.
      precision: precision of the computation.
      rows_per_device: utterances of a step on one device; the last bits depend on it.
      recordings: "first" or "all" of a sentence.
      long: treatment of recordings longer than the window, one of durations.LONG.
      neurons: True if neurons are stored, too.
    """

    family: EncoderFamily
    checkpoint: Checkpoint
    states: tuple[str, ...]
    dtype: str
    precision: encoder_program.Precision
    rows_per_device: int
    recordings: str
    long: str
    neurons: bool = False

    def __post_init__(self) -> None:
        """Refuse neurons of a model that gives none."""
        if self.neurons and self.family.neuron_sizes is None:
            raise Refusal(f"--neurons: {self.checkpoint.name} is of a family that gives none; leave it out")

    @property
    def axis(self) -> TimeAxis:
        """Frames and window of the encoder."""
        return self.family.time_axis(self.checkpoint.dimensions)

    @property
    def features(self) -> int:
        """Width of a state."""
        return self.family.features(self.checkpoint.dimensions)

    @property
    def neuron_sizes(self) -> stored_neurons.Sizes | None:
        """Blocks, and neurons of a block; None if they aren't stored."""
        sizes = self.family.neuron_sizes
        return sizes(self.checkpoint.dimensions) if self.neurons and sizes else None

    @property
    def load_options(self) -> dict[str, bool]:
        """Options of the family's `load`; a family without neurons knows none."""
        return {"with_neurons": True} if self.neurons else {}

    def settings(self) -> dict[str, Json]:
        """Everything except weights and listing that decides the content of a store."""
        return {
            "states": list(self.states),
            "dtype": self.dtype,
            "compute": self.precision.compute,
            "attention": self.precision.attention,
            "rows_per_device": self.rows_per_device,
            "recordings": self.recordings,
            "long": self.long,
            **({"neurons": True} if self.neurons else {}),  # without, a store is as before the option existed
        }

    def shard_bytes(self, frames: Iterable[int]) -> int:
        """Bytes on disk of utterances with these numbers of frames."""
        sizes = len(self.states), self.axis.window_frames, self.features
        own = stored_neurons.file_bytes(self.neuron_sizes, self.dtype) if self.neuron_sizes else 0
        return sum(own + activation_store.shard_bytes(n, *sizes, self.dtype) for n in frames)

    @property
    def files(self) -> int:
        """Number of files of an utterance."""
        return 2 if self.neurons else 1

    def limits(self) -> pipeline.Limits:
        """Limits of rows decoded ahead and being written, large enough to keep the devices busy."""
        capacity = self.rows_per_device * jax.local_device_count()
        return pipeline.Limits(
            rows_ahead=max(_THREADS, _AHEAD * capacity),
            rows_writing=max(_WRITING, capacity),
            threads=_THREADS,
        )

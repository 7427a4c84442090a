"""What extraction does to every utterance, and what that costs: the model, its states, the number formats.

Two stores of one recipe hold comparable numbers; `settings` goes into a store's identity. Sizes are formulas
of the model's dimensions, nothing is allocated here.
"""

import dataclasses
from collections.abc import Iterable

import jax

from isogloss.engine.activations import activation_store, pipeline
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.whisper import encoder_program

_THREADS = 4  # decoding takes milliseconds a recording, an encoder step far longer
_AHEAD = 2  # steps of waveforms decoded beforehand
_WRITING = 4  # rows on their way to disk, at least


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """How activations are made.

    Attributes:
      checkpoint: the model.
      states: names of those stored.
      dtype: number format on disk.
      precision: of the computation.
      rows_per_device: utterances of a step on one device; the last bits depend on it.
      recordings: "first" or "all" of a sentence.
      long: what happens to recordings beyond the window, one of durations.LONG.
    """

    checkpoint: Checkpoint
    states: tuple[str, ...]
    dtype: str
    precision: encoder_program.Precision
    rows_per_device: int
    recordings: str
    long: str

    @property
    def positions(self) -> int:
        """Frames of the encoder's window."""
        return self.checkpoint.dimensions.positions

    def settings(self) -> dict[str, Json]:
        """All, beside weights and listing, that decides what a store holds."""
        return {
            "states": list(self.states),
            "dtype": self.dtype,
            "compute": self.precision.compute,
            "attention": self.precision.attention,
            "rows_per_device": self.rows_per_device,
            "recordings": self.recordings,
            "long": self.long,
        }

    def shard_bytes(self, frames: Iterable[int]) -> int:
        """Bytes on disk of utterances of so many frames."""
        sizes, states = self.checkpoint.dimensions, len(self.states)
        return sum(
            activation_store.shard_bytes(n, states, sizes.positions, sizes.features, self.dtype)
            for n in frames
        )

    def limits(self) -> pipeline.Limits:
        """Rows under way at once: decoded ahead and on their way to disk, so that the devices stay busy."""
        capacity = self.rows_per_device * jax.local_device_count()
        return pipeline.Limits(
            rows_ahead=max(_THREADS, _AHEAD * capacity),
            rows_writing=max(_WRITING, capacity),
            threads=_THREADS,
        )

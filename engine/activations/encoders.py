"""Families of encoders that `--model` can name, behind one interface; a new one is a room and an entry here.

A family opens a model: an EncoderModel, of which no weight is read yet. Its `load` gives a LoadedEncoder,
which turns the waveforms of a step into states. Extraction and notebooks know no more of a family. What reads
states afterwards takes frame and window from the store. The decoder's jobs are Whisper's own.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int32

from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.speech_encoders import speech_model
from isogloss.engine.time_axis import TimeAxis
from isogloss.engine.whisper import encoder_model


@runtime_checkable
class LoadedEncoder(Protocol):
    """Encoder in memory, on every device of this host."""

    @property
    def devices(self) -> Sequence[object]:
        """Devices that compute."""
        ...

    @property
    def capacity(self) -> int:
        """Largest number of utterances of a step."""
        ...

    @property
    def steps_at_once(self) -> int:
        """Threads that may each compute a step at the same time."""
        ...

    def prepare(self, wave: Float[np.ndarray, " samples"]) -> np.ndarray:
        """Input of the encoder, made of a waveform at 16 kHz by a decoding thread."""
        ...

    def __call__(self, prepared: Sequence[np.ndarray], frames: Int32[np.ndarray, " B"]) -> tuple:
        """Start one step; `rows` waits for it. With several at once, returns when it is done.

        Args:
          prepared: results of `prepare`, of utterances with one `EncoderModel.step_key`.
          frames: number of each utterance's own frames.
        """
        ...

    def rows(self, output: tuple, count: int) -> Iterator[tuple[np.ndarray, ...]]:
        """States and peaks of the first `count` utterances of a step, then neurons and theirs if it has some.

        States are (state, frame of the window, feature) in the stored dtype, NaN beyond the utterance's own
        frames. A peak is the largest magnitude of a state in those frames, NaN if a value isn't finite.
        """
        ...


@runtime_checkable
class EncoderModel(Protocol):
    """Model whose encoder's states can be stored, and how it will be run."""

    @property
    def name(self) -> str:
        """Hub id, or the name of the folder or file."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of the weight files."""
        ...

    @property
    def axis(self) -> TimeAxis:
        """Frames and window."""
        ...

    @property
    def states(self) -> tuple[str, ...]:
        """Names of all states, in order."""
        ...

    @property
    def no_final(self) -> str | None:
        """Reason why there is no state "final"; None if there is one."""
        ...

    @property
    def features(self) -> int:
        """Width of a state."""
        ...

    @property
    def neuron_sizes(self) -> tuple[int, int] | None:
        """Blocks, and neurons of a block, that are stored too; None if none are asked for."""
        ...

    @property
    def rows_per_device(self) -> int:
        """Utterances of a step on one device."""
        ...

    @property
    def device_count(self) -> int:
        """Devices of this host that will compute."""
        ...

    @property
    def description(self) -> str:
        """Platform and precision, for the log."""
        ...

    def settings(self) -> dict[str, Json]:
        """Everything about model and computation, except the weights, that decides the states."""
        ...

    def step_key(self, frames: int) -> int:
        """Number that utterances of one step share; they are encoded in its order."""
        ...

    def cost(self, frames: Sequence[int], states: Sequence[str], dtype: str) -> dict[str, int | float]:
        """FLOPs of utterances of so many frames, speed and time here: parts of a plan."""
        ...

    def load(self, states: Sequence[str], dtype: str) -> LoadedEncoder:
        """The encoder on every device, for these states in this dtype."""
        ...


Family = Callable[..., EncoderModel | None]
"""`open(model, revision, *, compute, attention, rows_per_device, neurons)`, see `open_model`.

It gives None for a model of another family, and refuses options that the model can't be run with. The last
family refuses what it can't open.
"""

FAMILIES: tuple[Family, ...] = (speech_model.open_model, encoder_model.open_model)
"""All families; Whisper, with the encoders that audio language models made of its own, is the last."""


def open_model(
    model: str,
    revision: str | None,
    *,
    compute: str = "auto",
    attention: str = "auto",
    rows_per_device: int = 0,
    neurons: bool = False,
) -> EncoderModel:
    """The model that `--model` names; no weight is read yet.

    Args:
      model: name, folder or file, as of the family.
      revision: of a hub id.
      compute: number format of products, "auto", "float32" or "bfloat16".
      attention: form of attention, "auto" or one of the family's.
      rows_per_device: utterances of a step on one device; 0 chooses what suits the device.
      neurons: give neurons too.

    Raises:
      Refusal: there is no such model, or it can't be run so.
    """
    # Whisper is asked last, because it refuses what it can't open.
    for family in FAMILIES:
        options = {"compute": compute, "attention": attention, "rows_per_device": rows_per_device}
        opened = family(model, revision, **options, neurons=neurons)
        if opened is not None:
            return opened
    raise Refusal(f"{model}: no family of encoders has this model")

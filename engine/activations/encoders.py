"""Families of encoders that `--model` can name; a new one is a room like whisper/ and an entry here.

Extraction and notebooks know a family by its entry alone. What reads states afterwards takes frame and window
from the store. The decoder's jobs are Whisper's own.
"""

import dataclasses
from collections.abc import Callable

from isogloss.engine.checkpoints.checkpoint import Checkpoint, load_encoder
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.runtime.devices import DataParallel
from isogloss.engine.time_axis import TimeAxis
from isogloss.engine.whisper import encoder_program, named_states


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderFamily:
    """Family of encoders.

    Attributes:
      open: function of a model and its revision; returns a checkpoint of which no tensor is read, or None if
        the model is of another family. The last family refuses what it can't open.
      time_axis: function of a model's sizes: its frames and window.
      state_names: function of a checkpoint: names of all states, in order.
      features: function of sizes: width of a state.
      flops: function of sizes: work of one window.
      rows_per_device: function of (platform, sizes, bytes of a device's memory, form of attention): rows of a
        step.
      compile_seconds: function of sizes that compiles the program of `load` and returns the time it took.
      load: function that puts front end and encoder on every device, see `encoder_program.load`.
      neuron_sizes: function of sizes: blocks, and neurons of a block; None if `load` gives no neurons.
    """

    open: Callable[[str, str | None], Checkpoint | None]
    time_axis: Callable[[Dimensions], TimeAxis]
    state_names: Callable[[Checkpoint], tuple[str, ...]]
    features: Callable[[Dimensions], int]
    flops: Callable[[Dimensions], float]
    rows_per_device: Callable[[str, Dimensions, int | None, str], int]
    compile_seconds: Callable[..., float]
    load: Callable[..., DataParallel]
    neuron_sizes: Callable[[Dimensions], tuple[int, int]] | None = None


def _whisper_states(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Every state; "final" only where the model's own final norm is that of every frame."""
    names = named_states.state_names(checkpoint.dimensions.encoder_layers)
    return names if checkpoint.weights.no_final is None else names[:-1]


FAMILIES = (
    EncoderFamily(
        open=load_encoder,
        time_axis=encoder_program.time_axis,
        state_names=_whisper_states,
        features=lambda sizes: sizes.features,
        flops=encoder_program.flops,
        rows_per_device=encoder_program.rows_per_device,
        compile_seconds=encoder_program.compile_seconds,
        load=encoder_program.load,
        neuron_sizes=encoder_program.neuron_sizes,
    ),
)
"""All families; Whisper, with the encoders that audio language models made of its own, is the last."""


def open_model(model: str, revision: str | None) -> tuple[EncoderFamily, Checkpoint]:
    """Family and checkpoint of the model that `--model` names; Refusal if there is none."""
    opened = ((family, family.open(model, revision)) for family in FAMILIES)
    return next((family, checkpoint) for family, checkpoint in opened if checkpoint is not None)

"""Whisper's encoder as extraction knows a model: sizes, precision and cost before a weight is read.

The program takes the whole window, so recordings are padded with silence, and every one costs the same.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Float, Int32

from isogloss.engine.checkpoints.checkpoint import Checkpoint, load_encoder
from isogloss.engine.runtime import shards
from isogloss.engine.runtime.devices import DataParallel
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.time_axis import TimeAxis
from isogloss.engine.whisper import encoder_program, named_states
from isogloss.engine.whisper.encoder_program import Precision


class WindowEncoder:
    """Program of whole windows, called with recordings of any length."""

    def __init__(self, program: DataParallel, samples: int) -> None:
        """Of a program, see `encoder_program.program`, and the samples of its window."""
        self._program, self._samples = program, samples
        self.devices, self.capacity = program.devices, program.capacity
        # A step leaves a CPU's cores idle now and then; an accelerator takes one step after another anyway.
        self.steps_at_once = 2 if self.devices[0].platform == "cpu" else 1

    def prepare(self, wave: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
        """The waveform itself: the device makes the log-mel."""
        return wave

    def __call__(
        self, prepared: Sequence[Float[np.ndarray, " _"]], frames: Int32[np.ndarray, " B"]
    ) -> tuple[jax.Array, ...]:
        """Start one step on waveforms, padded with silence, or cut, to the window."""
        waves = np.zeros((len(prepared), self._samples), np.float32)
        for row, wave in zip(waves, prepared, strict=True):
            row[: len(wave)] = wave[: len(row)]
        output = self._program(waves, frames)
        # JAX computes what one thread asks of a CPU one after another, so that each thread waits for its own.
        return jax.block_until_ready(output) if self.steps_at_once > 1 else output

    def rows(self, output: tuple[jax.Array, ...], count: int) -> Iterator[tuple[np.ndarray, ...]]:
        """First `count` rows of an output, in order."""
        return self._program.rows(output, count)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WhisperEncoder:
    """Whisper, or Whisper's encoder in another model; fulfils `activations.encoders.EncoderModel`.

    Attributes:
      checkpoint: the model.
      precision: number format of products, and form of attention.
      rows_per_device: utterances of a step on one device.
      neurons: True if neurons are given too.
    """

    checkpoint: Checkpoint
    precision: Precision
    rows_per_device: int
    neurons: bool = False

    @property
    def name(self) -> str:
        """Hub id, or the name of the folder or file."""
        return self.checkpoint.name

    @property
    def sha256(self) -> str:
        """Hash of the weight files."""
        return self.checkpoint.sha256

    @property
    def axis(self) -> TimeAxis:
        """Frames of 20 ms and the window."""
        return encoder_program.time_axis(self.checkpoint.dimensions)

    @property
    def states(self) -> tuple[str, ...]:
        """Every state; "final" only where the model's own final norm is that of every frame."""
        names = named_states.state_names(self.checkpoint.dimensions.encoder_layers)
        return names if self.no_final is None else names[:-1]

    @property
    def no_final(self) -> str | None:
        """Reason why there is no state "final"; None if there is one."""
        return self.checkpoint.weights.no_final

    @property
    def features(self) -> int:
        """Width of a state."""
        return self.checkpoint.dimensions.features

    @property
    def neuron_sizes(self) -> tuple[int, int] | None:
        """Blocks, and neurons of a block; None if none are asked for."""
        return encoder_program.neuron_sizes(self.checkpoint.dimensions) if self.neurons else None

    @property
    def device_count(self) -> int:
        """All of JAX's devices on this host."""
        return jax.local_device_count()

    @property
    def description(self) -> str:
        """Platform and precision."""
        return (
            f"{jax.default_backend()}, {self.rows_per_device} row(s) each, "
            f"products in {self.precision.compute}, {self.precision.attention} attention"
        )

    def settings(self) -> dict[str, Json]:
        """Precision and rows of a step, on which the last bits depend."""
        return {
            "compute": self.precision.compute,
            "attention": self.precision.attention,
            "rows_per_device": self.rows_per_device,
        }

    def step_key(self, frames: int) -> int:
        """0: all recordings are padded to the window."""
        return 0

    def cost(self, frames: Sequence[int], states: Sequence[str], dtype: str) -> dict[str, int | float]:
        """Work and time of utterances, by a product timed here.

        The program is compiled, because on few utterances that takes most of the time.
        """
        compiling = 0.0
        if frames:
            compiling = encoder_program.compile_seconds(
                self.checkpoint.dimensions,
                states,
                dtype,
                self.precision,
                rows_per_device=self.rows_per_device,
                with_neurons=self.neurons,
            )
        speed = shards.product_flops(jax.default_backend()) * self.device_count
        work = len(frames) * encoder_program.flops(self.checkpoint.dimensions)
        return {
            "flops": work,
            "peak_flops_per_second": speed,
            "estimated_seconds": round(compiling + work / (encoder_program.SHARE_OF_PEAK * speed), 1),
        }

    def load(self, states: Sequence[str], dtype: str) -> WindowEncoder:
        """The encoder on every device."""
        program = encoder_program.load(
            self.checkpoint,
            states,
            dtype,
            self.precision,
            rows_per_device=self.rows_per_device,
            with_neurons=self.neurons,
        )
        return WindowEncoder(program, self.axis.window_samples)


def open_model(
    model: str,
    revision: str | None,
    *,
    compute: str,
    attention: str,
    rows_per_device: int,
    neurons: bool,
) -> WhisperEncoder:
    """Whisper's encoder; see `activations.encoders.open_model`."""
    checkpoint, platform = load_encoder(model, revision), jax.default_backend()
    precision = encoder_program.precision_for(platform, compute, attention)
    return WhisperEncoder(
        checkpoint=checkpoint,
        precision=precision,
        rows_per_device=rows_per_device or encoder_program.rows_here(checkpoint, precision),
        neurons=neurons,
    )

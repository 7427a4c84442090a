"""A speech encoder in PyTorch: features of recordings in, states of every block out.

States are taken where they are made, by hooks on the blocks, so each is what the next block reads. A step has
one shape, which follows from the utterances' own lengths and never from their neighbours: they are padded to
a multiple of a second, and missing rows repeat the first. So a row doesn't depend on what else is to do, and
a run that was killed ends with the bytes of one that wasn't. A step of one utterance isn't padded at all.
"""

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from jaxtyping import Float, Float32, Int32

from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.speech_encoders.families import SpeechLayout
from isogloss.engine.time_axis import SAMPLE_RATE

_WAVLM = (
    "Support for mismatched key_padding_mask"  # of transformers' WavLM, whose bias isn't a mask of booleans
)
Output = tuple[tuple[list[torch.Tensor], list[int]], ...]
"""States of each device's part of a step, and the frames of its utterances."""


@runtime_checkable
class FrontEnd(Protocol):
    """Feature extractor of transformers."""

    padding_value: float

    def __call__(
        self,
        wave: np.ndarray,
        *,
        sampling_rate: int,
        return_tensors: str,
        return_attention_mask: bool | None = None,
    ) -> dict:
        """Features of one waveform, with a first axis of length 1."""
        ...


class Taken:
    """States of the last pass of a model, recorded as the blocks make them."""

    def __init__(self, model: torch.nn.Module, layout: SpeechLayout, states: Sequence[str]) -> None:
        """Set hooks on the blocks, and on the norm behind them, for the states wanted."""
        self._wanted, self._made = states, dict[str, torch.Tensor]()
        blocks = model.get_submodule(layout.family.blocks)
        assert isinstance(blocks, torch.nn.ModuleList)
        blocks[0].register_forward_pre_hook(self._before, with_kwargs=True)
        for name, block in enumerate(blocks, 1):
            block.register_forward_hook(self._after(str(name)))
        if layout.final:
            model.get_submodule(layout.family.norm).register_forward_hook(self._after("final"))

    def _before(self, module: torch.nn.Module, given: tuple, named: dict) -> None:
        self._made = {"0": given[0] if given else named["hidden_states"]}

    def _after(self, name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, given: tuple, made: torch.Tensor | tuple) -> None:
            if name in self._wanted:  # what isn't wanted isn't kept
                self._made[name] = made[0] if isinstance(made, tuple) else made

        return hook

    def states(self) -> list[torch.Tensor]:
        """The states wanted, each (row, frame, feature)."""
        made, self._made = self._made, {}
        return [made[name] for name in self._wanted]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TorchEncoder:
    """Encoder on every device of this host; fulfils `activations.encoders.LoadedEncoder`.

    Attributes:
      replicas: the model on each device, with the states that it makes.
      devices: the devices.
      layout: sizes of the model.
      front_end: its feature extractor.
      dtype: number format of the states that leave it.
      compute: number format of products, "float32" or "bfloat16".
      rows: utterances of a step on one device.
    """

    replicas: tuple[tuple[torch.nn.Module, Taken], ...]
    devices: tuple[torch.device, ...]
    layout: SpeechLayout
    front_end: FrontEnd
    dtype: str
    compute: str
    rows_per_device: int

    @property
    def capacity(self) -> int:
        """Largest number of utterances of a step."""
        return self.rows_per_device * len(self.devices)

    @property
    def steps_at_once(self) -> int:
        """One: the states of a pass are kept with the model."""
        return 1

    def prepare(self, wave: Float[np.ndarray, " samples"]) -> Float32[np.ndarray, "..."]:
        """Features of a waveform, of its own frames alone."""
        if not self.layout.bank:
            made = self.front_end(wave, sampling_rate=SAMPLE_RATE, return_tensors="np")
            return np.asarray(made["input_values"][0], np.float32)
        made = self.front_end(
            wave, sampling_rate=SAMPLE_RATE, return_tensors="np", return_attention_mask=True
        )
        # A last feature that is half padding is masked.
        own = int(np.asarray(made["attention_mask"][0]).sum())
        return np.asarray(made["input_features"][0][:own], np.float32)

    def __call__(self, prepared: Sequence[np.ndarray], frames: Int32[np.ndarray, " B"]) -> Output:
        """Start one step; on a GPU it is still computing when this returns."""
        output: list[tuple[list[torch.Tensor], list[int]]] = []
        for device, (model, taken) in enumerate(self.replicas):
            part = slice(device * self.rows_per_device, (device + 1) * self.rows_per_device)
            if own := [int(count) for count in frames[part]]:
                output.append((self._pass(model, taken, prepared[part], own), own))
        return tuple(output)

    def _pass(
        self, model: torch.nn.Module, taken: Taken, prepared: Sequence[np.ndarray], frames: list[int]
    ) -> list[torch.Tensor]:
        device = next(model.parameters()).device
        inputs: dict[str, torch.Tensor | None] = {"attention_mask": None}
        if self.rows_per_device == 1:
            features, length = prepared[0][None], frames[0]
        else:
            length = self.layout.bucket(max(frames))
            features, mask = self._padded(prepared, length)
            inputs["attention_mask"] = torch.from_numpy(mask).to(device)
        name = "input_features" if self.layout.bank else "input_values"
        inputs[name] = torch.from_numpy(features).to(device)
        reduced = self.compute == "bfloat16"
        with (
            warnings.catch_warnings(),
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=reduced),
        ):
            warnings.filterwarnings("ignore", _WAVLM)
            model(**inputs)
        states = taken.states()
        if states[0].shape[1] != length:
            raise Refusal(
                f"states of {states[0].shape[1]} frames where the sizes of the stem tell {length}. Remedy: "
                "correct config.json or preprocessor_config.json; kernels of padded convolutions must be odd"
            )
        return states

    def _padded(
        self, prepared: Sequence[np.ndarray], frames: int
    ) -> tuple[Float32[np.ndarray, "B T *F"], np.ndarray]:
        """Features of a full step, padded to so many frames, and its mask."""
        shape = (self.rows_per_device, self.layout.inputs(frames), *prepared[0].shape[1:])
        features = np.full(shape, self.front_end.padding_value, np.float32)
        mask = np.zeros(shape[:2], np.int64)
        for row in range(self.rows_per_device):
            own = prepared[row if row < len(prepared) else 0]
            features[row, : len(own)], mask[row, : len(own)] = own, 1
        return features, mask

    def rows(self, output: Output, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """States and peaks of the utterances of a step, in order; waits for them."""
        for states, frames in output:
            for row, own in enumerate(frames):
                made = torch.stack([state[row, :own] for state in states]).float().cpu().numpy()
                yield self._stored(made), _peaks(made)

    def _stored(self, states: Float32[np.ndarray, "S n D"]) -> Float[np.ndarray, "S N D"]:
        """States in the stored dtype, NaN beyond the utterance's frames."""
        whole = (len(states), self.layout.axis.window_frames, states.shape[2])
        stored = np.full(whole, np.nan, self.dtype)
        with np.errstate(over="ignore"):  # the peak tells, and such an utterance isn't stored
            stored[:, : states.shape[1]] = states
        return stored


def _peaks(states: Float32[np.ndarray, "S n D"]) -> Float32[np.ndarray, " S"]:
    """Largest magnitude of each state, NaN if a value isn't finite."""
    largest = np.abs(states).max(axis=(1, 2))
    return np.where(np.isfinite(largest), largest, np.nan).astype(np.float32)

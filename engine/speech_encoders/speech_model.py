"""Speech encoders of transformers as extraction knows a model; `--model=torch:FOLDER_OR_HUB_ID` names one.

Opening reads the configuration; weights are read by `load`, in float32, and have one copy on each GPU, or on
the CPU where there is none. PyTorch is an extra, and imported only for such a model.
"""

import copy
import dataclasses
import importlib
import importlib.util
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isogloss.engine.checkpoints import speech_checkpoint
from isogloss.engine.checkpoints.checkpoint import TORCH
from isogloss.engine.checkpoints.speech_checkpoint import SpeechCheckpoint
from isogloss.engine.runtime import devices, json_values, name_lists
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal, install
from isogloss.engine.speech_encoders import families
from isogloss.engine.speech_encoders.families import SpeechLayout
from isogloss.engine.time_axis import TimeAxis

if TYPE_CHECKING:
    import torch  # pyright: ignore[reportMissingImports]
    import transformers

    from isogloss.engine.speech_encoders.torch_encoder import FrontEnd, TorchEncoder

_LOG = logging.getLogger(__name__)
ROWS = 16  # of a step on a GPU, or fewer if its memory is small
_SHARE_OF_MEMORY = 0.75  # of a GPU, that a step may take: JAX's, too, see `devices.memory`
_SHARE_OF_PEAK = 0.4  # of a dense product's speed that extraction reaches, for estimates
_FRONT_END = (
    "do_normalize",
    "feature_size",
    "num_mel_bins",
    "padding_value",
    "stride",
    "return_attention_mask",
    "hop_length",
    "n_fft",
    "win_length",
    "preemphasis",
    "dither",
    "do_ceptral_normalize",
    "normalize_means",
    "normalize_vars",
)
_COSMETIC = ("transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype")
_UNUSED = "masked_spec_embed"  # of training only


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechEncoder:
    """Speech encoder, and how it is run; fulfils `activations.encoders.EncoderModel`.

    Attributes:
      checkpoint: its files.
      kind: model_type, which names the family.
      config: the encoder's configuration, of transformers.
      front_end: its feature extractor.
      layout: its sizes.
      compute: number format of products.
      rows_per_device: utterances of a step on one device.
      places: names of PyTorch's devices that compute.
    """

    checkpoint: SpeechCheckpoint
    kind: str
    config: "transformers.PretrainedConfig"
    front_end: "FrontEnd"
    layout: SpeechLayout
    compute: str
    rows_per_device: int
    places: tuple[str, ...]

    @property
    def name(self) -> str:
        """Hub id, or the name of the folder."""
        return self.checkpoint.name

    @property
    def sha256(self) -> str:
        """Hash of the weight files."""
        return self.checkpoint.sha256

    @property
    def axis(self) -> TimeAxis:
        """Frames as the model's own length function counts them, and a window of 30 s."""
        return self.layout.axis

    @property
    def states(self) -> tuple[str, ...]:
        """Every state."""
        return self.layout.states

    @property
    def no_final(self) -> str | None:
        """Reason why there is no state "final"; None if there is one."""
        return self.layout.no_final

    @property
    def features(self) -> int:
        """Width of a state."""
        return self.layout.features

    @property
    def neuron_sizes(self) -> None:
        """None: a pass gives no neurons."""

    @property
    def device_count(self) -> int:
        """GPUs of this host, or 1 for the CPU."""
        return len(self.places)

    @property
    def description(self) -> str:
        """Platform and precision."""
        return f"PyTorch, {self.places[0]}, {self.rows_per_device} row(s) each, products in {self.compute}"

    def settings(self) -> dict[str, Json]:
        """Family, front end, configuration, precision and rows of a step."""
        described = {key: value for key, value in self.checkpoint.config.items() if key not in _COSMETIC}
        return {
            "family": self.kind,
            "front_end": {
                key: getattr(self.front_end, key) for key in _FRONT_END if hasattr(self.front_end, key)
            }
            | _bank_library(self.front_end),
            "config_sha256": json_values.sha256(described),
            "compute": self.compute,
            "rows_per_device": self.rows_per_device,
        }

    def step_key(self, frames: int) -> int:
        """Length that utterances are padded to; 0 where a device takes one at a time, which isn't padded."""
        return 0 if self.rows_per_device == 1 else self.layout.bucket(frames)

    def cost(self, frames: Sequence[int], states: Sequence[str], dtype: str) -> dict[str, int | float]:
        """Work and time of utterances, by a product timed here."""
        speed = _product_flops(self.places[0]) * self.device_count
        padded = frames if self.rows_per_device == 1 else map(self.layout.bucket, frames)
        work = sum(map(self.layout.flops, padded))
        return {
            "flops": work,
            "peak_flops_per_second": speed,
            "estimated_seconds": round(work / (_SHARE_OF_PEAK * speed), 1),
        }

    def load(self, states: Sequence[str], dtype: str) -> "TorchEncoder":
        """The encoder on every device."""
        import torch  # noqa: PLC0415  # pyright: ignore[reportMissingImports]  (an extra, takes seconds)

        from isogloss.engine.speech_encoders.torch_encoder import Taken, TorchEncoder  # noqa: PLC0415

        torch.backends.cudnn.allow_tf32 = False  # would round the factors of float32 convolutions
        model = self._model()
        replicas = [
            model.to(place) if i == 0 else copy.deepcopy(model).to(place)
            for i, place in enumerate(self.places)
        ]
        return TorchEncoder(
            replicas=tuple((replica, Taken(replica, self.layout, states)) for replica in replicas),
            devices=tuple(map(torch.device, self.places)),
            layout=self.layout,
            front_end=self.front_end,
            dtype=dtype,
            compute=self.compute,
            rows_per_device=self.rows_per_device,
        )

    def _model(self) -> "torch.nn.Module":
        """The bare encoder with its weights, in float32.

        Raises:
          Refusal: a tensor is missing or misshapen.
        """
        import torch  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
        import transformers  # noqa: PLC0415

        shown = transformers.logging.get_verbosity()
        transformers.logging.set_verbosity_error()  # what it tells of heads that aren't loaded
        transformers.logging.disable_progress_bar()
        family = self.layout.family
        bare = getattr(importlib.import_module(f"transformers.models.{family.module}"), family.name)
        try:
            model, found = bare.from_pretrained(
                None,
                config=self.config,
                state_dict=self.checkpoint.tensors(),
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # named below
            )
        finally:
            transformers.logging.set_verbosity(shown)
        wrong = {str(name) for name in (*found["missing_keys"], *found["mismatched_keys"])} - {_UNUSED}
        if wrong:
            raise Refusal(
                f"{self.name}: tensors of {family.name} are missing or misshapen: "
                f"{name_lists.first_names(sorted(wrong))}. Remedy: fetch the model again"
            )
        if surplus := set(found["unexpected_keys"]):
            _LOG.warning("%s: not used: %s", self.name, name_lists.first_names(sorted(surplus)))
        return model.eval()


def open_model(
    model: str,
    revision: str | None,
    *,
    compute: str,
    attention: str,
    rows_per_device: int,
    neurons: bool,
) -> SpeechEncoder | None:
    """Speech encoder of a name with "torch:", None for others; see `activations.encoders.open_model`.

    Raises:
      Refusal: PyTorch isn't installed; the model isn't of the table, or can't be run with these options.
    """
    if not model.startswith(TORCH):
        return None
    if importlib.util.find_spec("torch") is None:
        raise Refusal(f"{model}: needs PyTorch, which isn't installed: {install('torch')}")
    if neurons:
        raise Refusal(f"--neurons: {model} is of a family that gives none; leave it out")
    if attention != "auto":
        raise Refusal(f"--attention={attention}: a form of Whisper's; {model} has its own; leave it out")
    checkpoint, kind = speech_checkpoint.open_checkpoint(
        model.removeprefix(TORCH), revision, families.PREFIXES
    )
    config, front_end = _described(checkpoint, families.FAMILIES[kind])
    layout = families.layout(checkpoint.name, families.FAMILIES[kind], config.to_dict(), checkpoint.front_end)
    if rows_per_device > 1 and not layout.padding:
        raise Refusal(
            f"--rows_per_device={rows_per_device}: padding would change the states of {checkpoint.name}, so "
            "its utterances run one by one; leave it out"
        )
    places = _places()
    on_cpu = places == ("cpu",)
    return SpeechEncoder(
        checkpoint=checkpoint,
        kind=kind,
        config=config,
        front_end=front_end,
        layout=layout,
        compute=("float32" if on_cpu else "bfloat16") if compute == "auto" else compute,
        rows_per_device=rows_per_device or (1 if on_cpu or not layout.padding else _rows(layout)),
        places=places,
    )


def _described(
    checkpoint: SpeechCheckpoint, family: families.SpeechFamily
) -> tuple["transformers.PretrainedConfig", "FrontEnd"]:
    """The encoder's configuration, with the defaults of its class, and feature extractor."""
    import transformers  # noqa: PLC0415 (takes seconds)

    config = transformers.AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    front_end = getattr(transformers, family.front_end).from_dict(dict(checkpoint.front_end))
    return getattr(config, family.nested) if family.nested else config, front_end


def _places() -> tuple[str, ...]:
    import torch  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count())) or ("cpu",)


def _rows(layout: SpeechLayout) -> int:
    """Rows of a step that fit the smallest GPU: states, as often again in products, and one layer's scores.

    The GPU's size decides, not what is free: the rows are part of a store's identity, and processes may share
    a GPU.
    """
    import torch  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    frames, d = layout.axis.window_frames, layout.features
    weights = 4 * layout.layers * (7 * d * d + 4 * d * layout.ffn)
    row = 8 * (layout.layers + 2) * frames * d + 8 * (d // 64) * frames**2
    sizes = [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]
    memory = int(_SHARE_OF_MEMORY * min(sizes))
    return devices.rows_that_fit(ROWS, lambda rows: weights + rows * row, memory)


def _product_flops(place: str) -> float:
    """Floating-point operations per second of a dense product, as `shards.product_flops` has it of JAX."""
    import torch  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    size, seconds = 2048, []
    x = torch.ones((size, size), dtype=torch.float32 if place == "cpu" else torch.bfloat16, device=place)
    for _ in range(6):  # the first makes ready
        start = time.perf_counter()
        float((x @ x)[0, 0])  # waits for the product
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def _bank_library(front_end: "FrontEnd") -> dict[str, Json]:
    """Library that makes Speech2Text's filter banks, of two: torchaudio's differ from transformers' own."""
    if type(front_end).__name__ != "Speech2TextFeatureExtractor":
        return {}
    return {"torchaudio": importlib.util.find_spec("torchaudio") is not None}

"""Speech encoders as Hugging Face stores them for PyTorch: descriptions, weight files, their hash.

Opening reads descriptions and indices only. Safetensors are preferred; many older repositories have
pytorch_model.bin alone, of which PyTorch reads tensors and nothing else. Of a model in shards only those that
hold the encoder are fetched, hashed and opened.
"""

import dataclasses
import functools
import os
import pathlib
import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING

import safetensors

from isogloss.engine.checkpoints import audio_towers, huggingface, stored_tensors
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal

if TYPE_CHECKING:
    import torch  # pyright: ignore[reportMissingImports]

_CONFIG, _FRONT_END, _PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
_FORMATS = ("model.safetensors", "pytorch_model.bin")  # the first that is there is taken
DESCRIPTION = (_CONFIG, _FRONT_END, _PROCESSOR, *(f"{single}.index.json" for single in _FORMATS))
PAIR, _OF_PAIR = "speech-encoder-decoder", "wav2vec2"
_WHISPER = "it has Whisper's form"
_STREAMS = "its encoder is made for streams, causal or within sliding windows"
_CODEC = "it is a codec, or reads what a codec makes"
_INSIDE = "its encoder exists only inside a language model, where no family looks for it"
_PICTURE = "it sees patches of a spectrogram, so its states are of no frame"
_REASONS = {
    **dict.fromkeys(("whisper", "qwen2_audio", "voxtral", "audioflamingo3", "musicflamingo"), _WHISPER),
    "moss_transcribe_diarize": _WHISPER,
    **dict.fromkeys(("moonshine_streaming", "nemotron_asr_streaming", "voxtral_realtime"), _STREAMS),
    **dict.fromkeys(("nemotron3_5_asr", "nemotron3_diarization"), _STREAMS),
    **dict.fromkeys(("mimi", "encodec", "dac", "xcodec", "xcodec2", "kyutai_speech_to_text"), _CODEC),
    **dict.fromkeys(("vibevoice", "vibevoice_asr", "pe_audio", "pe_audio_video"), _CODEC),
    **dict.fromkeys(("audio-spectrogram-transformer", "clap"), _PICTURE),
    "dia": "it speaks: its encoder reads text",
    "pop2piano": "it plays: its encoder reads music by its beats",
    "qwen3_asr": "its stem is Conv2d over time and frequency, by chunks of the recording",
    "fun_asr_nano": "its first block has another width than the others, so state 0 isn't of their form",
    "granite_speech5_ctc": "its first blocks halve the number of frames, so its states have several rates",
    "cohere_asr": "the tensors of its encoder are stored under other names than Parakeet's, which it is",
    **dict.fromkeys(
        ("granite_speech", "granite_speech_plus"),
        "its encoder changes the middle block's output in place, and its feature extractor needs torchaudio",
    ),
}
"""Reasons why models that a user may try aren't taken, by model_type."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechCheckpoint:
    """Speech encoder on disk; `open_checkpoint` makes it.

    Attributes:
      name: hub id, or the name of the folder; never a machine's path.
      config: content of config.json.
      front_end: settings of the feature extractor.
      folder: where the files are.
      files: those that hold the encoder's tensors, sorted by name.
      prefix: beginning of the encoder's names, if there is more in the files.
    """

    name: str
    config: Mapping[str, Json]
    front_end: Mapping[str, Json]
    folder: pathlib.Path
    files: tuple[pathlib.Path, ...]
    prefix: str

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the weight files in the order of their names; reads all of them, once."""
        return stored_tensors.sha256(self.files)

    def tensors(self) -> "dict[str, torch.Tensor]":
        """The encoder's tensors by their names in the bare model; needs PyTorch."""
        found = {name: tensor for file in self.files for name, tensor in _tensors(file).items()}
        own = {name: tensor for name, tensor in found.items() if name.startswith(self.prefix)}
        # A bare model is saved without the prefix; one with a head has the head's tensors, too.
        return {name.removeprefix(self.prefix): tensor for name, tensor in (own or found).items()}


def open_checkpoint(
    model: str, revision: str | None, prefixes: Mapping[str, str]
) -> tuple[SpeechCheckpoint, str]:
    """Checkpoint of a folder or hub id, and the model_type that its config.json names; no tensor is read.

    Args:
      model: folder, or id on the Hugging Face hub.
      revision: commit, tag or branch of a hub id.
      prefixes: beginning of the encoder's names by model_type, all that are known.

    Raises:
      Refusal: the model can't be found or fetched, is of another type, or lacks a file.
    """
    folder = _folder(model, revision)
    config, kind = _config(model, folder, prefixes)
    front_end = _front_end(folder)
    on_hub = huggingface.local_path(model) is None
    # What is cached doesn't decide: it may be of a format that isn't the first, and have another hash.
    files = _fetched(model, revision, folder, prefixes[kind]) if on_hub else _files(folder, prefixes[kind])
    if not files:
        raise Refusal(f"{folder}: has neither {' nor '.join(_FORMATS)}. Remedy: fetch the model again")
    name = model if on_hub else os.path.basename(os.path.abspath(folder))
    opened = SpeechCheckpoint(
        name=name, config=config, front_end=front_end, folder=folder, files=files, prefix=prefixes[kind]
    )
    return opened, kind


def weight_names(model: str, revision: str | None, prefixes: Mapping[str, str]) -> list[list[str]]:
    """Names of a hub id's weight files, format by format; `open_checkpoint` takes the first there is.

    Arguments and refusals as of `open_checkpoint`; fetches the description alone.
    """
    folder = _folder(model, revision)
    _, kind = _config(model, folder, prefixes)
    return [_weights(folder, single, prefixes[kind]) for single in _FORMATS]


def reason_against(kind: str) -> str | None:
    """Reason why models of a model_type aren't taken; None if it isn't known."""
    return _REASONS.get(kind) or (_INSIDE if audio_towers.difference(kind) else None)


def _config(model: str, folder: pathlib.Path, prefixes: Mapping[str, str]) -> tuple[dict[str, Json], str]:
    """Content of config.json, and the model_type there."""
    if not (folder / _CONFIG).is_file():
        raise Refusal(
            f"{folder}: has no {_CONFIG}. Remedy: give the folder of a model as transformers saves it"
        )
    config = stored_tensors.json_object(folder / _CONFIG)
    kind = str(config.get("model_type"))
    if kind not in prefixes:
        reason = reason_against(kind)
        remedy = "give it without torch:" if reason == _WHISPER else f"torch: takes {', '.join(prefixes)}"
        raise Refusal(
            f"{model}: its model_type is {kind}, which no family has{f': {reason}' if reason else ''}. "
            f"Remedy: {remedy}"
        )
    _check_pair(model, config)
    return config, kind


def _check_pair(model: str, config: Mapping[str, Json]) -> None:
    """Refuse a pair of an encoder and a decoder whose encoder isn't that of the table."""
    inner = config.get("encoder")
    of = inner.get("model_type") if isinstance(inner, dict) else None
    if config["model_type"] == PAIR and of != _OF_PAIR:
        raise Refusal(f"{model}: the encoder of a {PAIR} must be {_OF_PAIR}, not {of}. Remedy: another model")


def _folder(model: str, revision: str | None) -> pathlib.Path:
    """Folder of a model with its descriptions; those of a hub id are fetched."""
    if path := huggingface.local_path(model):
        if revision is not None:
            raise Refusal(f"{model}: a revision, here {revision!r}, belongs to a hub id, not to a path")
        return path
    return huggingface.snapshot(model, revision, list(DESCRIPTION))


def _front_end(folder: pathlib.Path) -> dict[str, Json]:
    """Settings of the feature extractor, alone or in those of a processor."""
    if (folder / _FRONT_END).is_file():
        return stored_tensors.json_object(folder / _FRONT_END)
    processor = folder / _PROCESSOR
    held = stored_tensors.json_object(processor).get("feature_extractor") if processor.is_file() else None
    if isinstance(held, dict):
        return held
    raise Refusal(
        f"{folder}: has no {_FRONT_END}, so it isn't known what the encoder takes. Remedy: put that of the "
        "model it was trained from there"
    )


def _fetched(model: str, revision: str | None, folder: pathlib.Path, prefix: str) -> tuple[pathlib.Path, ...]:
    """Weight files of a hub id, fetched in the first format that the repository has.

    Without a network `snapshot` fetches nothing, and the first format that is cached is taken.
    """
    for single in _FORMATS:
        huggingface.snapshot(model, revision, _weights(folder, single, prefix))
        if files := _files(folder, prefix):
            return files
    return ()


def _weights(folder: pathlib.Path, single: str, prefix: str) -> list[str]:
    """Names of the weight files of one format that hold the encoder, by the index if there is one."""
    index = folder / f"{single}.index.json"
    return sorted(huggingface.shards(index, _beginnings(index, prefix))) if index.is_file() else [single]


def _files(folder: pathlib.Path, prefix: str) -> tuple[pathlib.Path, ...]:
    """Weight files of a folder that hold the encoder, all of one format; () if there are none yet."""
    for single in _FORMATS:
        if (folder / single).is_file():
            return (folder / single,)
        index = folder / f"{single}.index.json"
        if index.is_file():
            files = sorted(folder / name for name in huggingface.shards(index, _beginnings(index, prefix)))
            outside = [file for file in files if file.parent != folder]
            if not outside and all(file.is_file() for file in files):
                return tuple(files)
    return ()


def _beginnings(index: pathlib.Path, prefix: str) -> tuple[str, ...]:
    """The prefix if the index has tensors with it; any name if a bare model was saved."""
    names = stored_tensors.json_object(index).get("weight_map")
    return (prefix,) if isinstance(names, dict) and any(n.startswith(prefix) for n in names) else ("",)


def _tensors(file: pathlib.Path) -> "dict[str, torch.Tensor]":
    """All tensors of a weight file."""
    try:
        if file.suffix == ".safetensors":
            with safetensors.safe_open(file, framework="pt") as opened:
                return {name: opened.get_tensor(name) for name in opened.keys()}
        import torch  # noqa: PLC0415  # pyright: ignore[reportMissingImports]  (an extra, takes seconds)

        return torch.load(file, map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise Refusal(
            f"{file}: truncated, or not a file of tensors: {error}. Remedy: delete it and fetch it again"
        ) from error

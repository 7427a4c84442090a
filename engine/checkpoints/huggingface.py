"""Whisper as Hugging Face stores it: config.json and safetensors, one file or shards.

Shards are listed in model.safetensors.index.json; no other file is opened. Of an audio language model with
Whisper's encoder (`audio_towers`), only the shards that hold the encoder are fetched and opened. Names may
lack the leading "model.", as in a bare WhisperModel. Only `download` and `optional_file` need the network.
Source: transformers, WhisperConfig.
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator

import huggingface_hub
import numpy as np
import safetensors
from huggingface_hub import errors
from jaxtyping import Float32

from isogloss.engine.checkpoints import audio_towers, dimensions, stored_tensors
from isogloss.engine.checkpoints.audio_towers import AudioTower
from isogloss.engine.checkpoints.stored_tensors import EncoderOrigin, LazyTensor
from isogloss.engine.runtime import hub_faults
from isogloss.engine.runtime.refusal import Refusal

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
DESCRIPTION = ["config.json", "generation_config.json", "encoder_origin.json", INDEX]
WEIGHTS = [SINGLE, "model-*-of-*.safetensors"]
FETCHED = [*DESCRIPTION, *WEIGHTS]
PREFIX = "model."
TIED = "proj_out.weight"  # a copy of the token embedding
DTYPES = ("F32", "F16", "BF16")
ORIGIN = "encoder_origin.json"  # an EncoderOrigin
KEYS = {
    "mels": "num_mel_bins",
    "features": "d_model",
    "heads": "encoder_attention_heads",
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "positions": "max_source_positions",
    "text_positions": "max_target_positions",
    "vocabulary": "vocab_size",
    "ffn": "encoder_ffn_dim",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SafeTensor(LazyTensor):
    """Tensor of a safetensors file."""

    def values(self) -> Float32[np.ndarray, "..."]:
        """Tensor in float32, row-major."""
        with _opened(self.file) as opened:
            return np.ascontiguousarray(opened.get_tensor(self.name), np.float32).reshape(self.shape)

    def stored(self) -> np.ndarray:
        """Tensor in its own format."""
        with _opened(self.file) as opened:
            return np.ascontiguousarray(opened.get_tensor(self.name)).reshape(self.shape)


def local_path(name: str) -> pathlib.Path | None:
    """Existing path of a model's name, ~ expanded; None if there is none."""
    path = pathlib.Path(os.path.expanduser(name))  # Path's own raises where there is no home
    return path if name and path.exists() else None


def download(repository: str, revision: str | None) -> pathlib.Path:
    """Folder in the hub's cache with the config and safetensors of a repository (owner/name).

    None as revision is the main branch. Of an audio language model only the shards that hold its encoder.
    """
    return snapshot(repository, revision, wanted(repository, revision))


def wanted(repository: str, revision: str | None) -> list[str]:
    """Names and patterns of what `download` fetches, FETCHED of a Whisper; fetches the description."""
    config = snapshot(repository, revision, DESCRIPTION) / "config.json"
    tower = _tower(config) if config.is_file() else None
    index = config.with_name(INDEX)
    weights = sorted(shards(index, tower.prefixes)) if tower and index.is_file() else WEIGHTS
    return [*DESCRIPTION, *weights]


def snapshot(repository: str, revision: str | None, patterns: list[str]) -> pathlib.Path:
    """Folder in the hub's cache with the files of a repository that match the patterns."""
    try:
        folder = huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=patterns)
    except hub_faults.errors() as error:
        at = "" if revision is None else f" at revision {revision!r}"
        rule = (
            f": neither on this disk nor available from the Hugging Face hub: {error} Remedy: check the "
            f"name, or fetch config.json and {SINGLE} elsewhere and give their folder."
        )
        raise hub_faults.failure(f"{repository}{at}", error, rule) from error
    return pathlib.Path(folder)


def optional_file(name: str, file: str, revision: str | None) -> pathlib.Path | None:
    """Small file of a model; None if the model certainly has no such file.

    Args:
      name: path, or owner/name of a repository on the hub.
      file: path inside the folder or the repository.
      revision: of a repository, as for `download`.

    Raises:
      Refusal: the name isn't that of a repository; or offline, the hub's answer isn't cached.
      UnreachableError: the hub doesn't answer, and its answer isn't cached.
    """
    if path := local_path(name):
        return path / file if (path / file).is_file() else None
    try:
        return pathlib.Path(huggingface_hub.hf_hub_download(name, file, revision=revision))
    except hub_faults.errors() as error:
        # LocalEntryNotFoundError, a subclass of the other, means that the hub couldn't be reached.
        known = isinstance(error, errors.EntryNotFoundError)
        if known and not isinstance(error, errors.LocalEntryNotFoundError):
            return None
        cached = huggingface_hub.try_to_load_from_cache(name, file, revision=revision)
        if cached is not None and not isinstance(cached, str):  # the cache knows that the hub has none
            return None
        rule = (
            f": the Hugging Face hub can't be asked for {file}, which changes results: {error} "
            "Remedy: run this once with a network, or give a folder."
        )
        raise hub_faults.failure(f"{name}: {file}", error, rule) from error


def open_folder(folder: pathlib.Path) -> stored_tensors.Weights:
    """Index of a folder with config.json and safetensors; names and shapes of all tensors are checked."""
    config = folder / "config.json"
    tower = _tower(config) if config.is_file() else None
    if tower:
        return _open_tower(folder, tower)
    files = _files(folder)
    sizes = _dimensions(config)
    found = _found(folder, files)
    # Saved from WhisperForConditionalGeneration with the prefix, from a bare WhisperModel without.
    prefix = PREFIX if any(name.startswith(PREFIX) for name in found) else ""
    shapes = dimensions.tensor_shapes(sizes)
    dimensions.check_shapes(
        str(files[0] if len(files) == 1 else folder),
        {prefix + name: shape for name, shape in shapes.items()},
        {name: stored.shape for name, stored in found.items()},
        {TIED: shapes["decoder.embed_tokens.weight"]},
    )
    return stored_tensors.Weights(
        dimensions=sizes,
        tensors={name: found[prefix + name] for name in shapes},
        files=files,
        alignment_heads=stored_tensors.read_alignment_heads(folder / "generation_config.json"),
        encoder_of=_encoder_of(folder / ORIGIN),
    )


def _open_tower(folder: pathlib.Path, tower: AudioTower) -> stored_tensors.Weights:
    """Index of the encoder inside an audio language model, or of such an encoder saved alone."""
    files = _files(folder, tower.prefixes)
    found = _found(folder, files, tower.prefixes)
    # A mixture of prefixes has some tensors too few and some too many, which is refused.
    prefix = max(tower.prefixes, key=lambda each: sum(name.startswith(each) for name in found))
    shapes = dimensions.tensor_shapes(tower.dimensions)
    names = {name: prefix + name.removeprefix("encoder.") for name in shapes}
    dimensions.check_shapes(
        str(files[0] if len(files) == 1 else folder),
        {names[name]: shape for name, shape in shapes.items()},
        {name: stored.shape for name, stored in found.items()},
        {},
    )
    return stored_tensors.Weights(
        dimensions=tower.dimensions,
        tensors={name: found[names[name]] for name in shapes},
        files=files,
        no_final=tower.no_final,
    )


def _found(
    folder: pathlib.Path, files: tuple[pathlib.Path, ...], prefixes: tuple[str, ...] = ("",)
) -> dict[str, SafeTensor]:
    """Tensors of all files whose names begin with one of `prefixes`."""
    found: dict[str, SafeTensor] = {}
    for file in files:
        for stored in _tensors(file, prefixes):
            if stored.name in found:
                where = f"{found[stored.name].file.name} and {file.name}"
                raise Refusal(f"{folder}: {stored.name} is in both {where}. Remedy: fetch it again.")
            found[stored.name] = stored
    return found


def _tower(config: pathlib.Path) -> AudioTower | None:
    return audio_towers.tower_of(str(config), stored_tensors.json_object(config))


def _encoder_of(file: pathlib.Path) -> EncoderOrigin | None:
    if not file.is_file():
        return None
    noted = stored_tensors.json_object(file)
    return EncoderOrigin(
        **{field.name: str(noted.get(field.name)) for field in dataclasses.fields(EncoderOrigin)}
    )


def _dimensions(file: pathlib.Path) -> dimensions.Dimensions:
    if not file.is_file():
        raise Refusal(f"{file}: missing. Remedy: put the model's config.json there.")
    config = stored_tensors.json_object(file)
    rules = {
        "model_type": "whisper",
        "activation_function": "gelu",
        "scale_embedding": False,
        "decoder_attention_heads": config.get("encoder_attention_heads"),
        "decoder_ffn_dim": config.get("encoder_ffn_dim"),
    }
    for key, needed in rules.items():
        if config.get(key, needed) != needed:  # older configurations lack some keys
            other = "; extract takes other speech encoders as torch:NAME" if key == "model_type" else ""
            raise Refusal(
                f"{file}: {key} must be {needed!r}, but is {config[key]!r}. "
                f"Remedy: give a Whisper model{other}."
            )
    return dimensions.from_sizes(str(file), config, KEYS)


def _files(folder: pathlib.Path, prefixes: tuple[str, ...] = ("",)) -> tuple[pathlib.Path, ...]:
    """Safetensors files that hold tensors whose names begin with one of `prefixes`, sorted by name."""
    if (folder / SINGLE).is_file():
        return (folder / SINGLE,)
    index = folder / INDEX
    if not index.is_file():
        raise Refusal(
            f"{folder}: has neither {SINGLE} nor {INDEX}. Remedy: name a model that has one of them, convert "
            "the model with transformers' save_pretrained, or download a CTranslate2 folder and give that."
        )
    # An index is input like any other: its names must not lead out of the folder.
    files = sorted(folder / name for name in shards(index, prefixes))
    absent = [file.name for file in files if file.parent != folder or not file.is_file()]
    if absent:
        raise Refusal(f"{index}: names shards that are not there: {absent}. Remedy: fetch them.")
    return tuple(files)


def shards(index: pathlib.Path, prefixes: tuple[str, ...]) -> set[str]:
    """Names of the shards that hold tensors whose names begin with one of `prefixes`."""
    places = stored_tensors.json_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise Refusal(f"{index}: weight_map must name shards. Remedy: fetch it again.")
    holding = {str(shard) for name, shard in places.items() if name.startswith(prefixes)}
    if not holding:
        raise Refusal(
            f"{index}: names no tensor of {' or '.join(prefixes)}, the encoder. Remedy: fetch it again."
        )
    return holding


def _tensors(file: pathlib.Path, prefixes: tuple[str, ...]) -> list[SafeTensor]:
    """Tensors of one safetensors file that begin with one of `prefixes`; safetensors checks its length."""
    with _opened(file) as opened:
        # Slices have type and shape of a tensor without reading its numbers.
        slices = {name: opened.get_slice(name) for name in opened.keys() if name.startswith(prefixes)}
        for name, part in slices.items():
            if part.get_dtype() not in DTYPES:
                rule = f"tensors must be {', '.join(DTYPES)}, but {name} is {part.get_dtype()}"
                raise Refusal(f"{file}: {rule}. Remedy: give a checkpoint in one of these formats.")
        return [
            SafeTensor(name=name, file=file, shape=tuple(part.get_shape())) for name, part in slices.items()
        ]


@contextlib.contextmanager
def _opened(file: pathlib.Path) -> Iterator[safetensors.safe_open]:
    """Open safetensors file; Refusal if it isn't one."""
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            yield opened
    except safetensors.SafetensorError as error:
        size = file.stat().st_size
        raise Refusal(
            f"{file}: not a safetensors file, or truncated at {size} bytes, or longer than its tensors: "
            f"{error}. Remedy: delete it and fetch the checkpoint again (`git lfs pull` in a git clone)."
        ) from error

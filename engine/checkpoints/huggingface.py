"""Whisper as Hugging Face stores it: config.json and safetensors, one file or shards.

A safetensors file is 8 bytes of length, a JSON header with each tensor's type, shape
and place, and the numbers. Shards are listed in model.safetensors.index.json. Names may
lack the leading "model.", as those of a bare WhisperModel do. `download` alone needs
the network. Source: huggingface/safetensors, README; transformers, WhisperConfig.
"""

import json
import math
import pathlib
import struct

import huggingface_hub
import numpy as np
from huggingface_hub import errors

from isogloss.engine.checkpoints import dimensions, stored_tensors
from isogloss.engine.checkpoints.stored_tensors import StoredTensor

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
FETCHED = ["config.json", "generation_config.json", SINGLE, INDEX, "model-*-of-*.safetensors"]
PREFIX = "model."
TIED = "proj_out.weight"  # the token embedding again
DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": stored_tensors.BFLOAT16}
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


def download(repository: str, revision: str | None) -> pathlib.Path:
    """Folder in the hub's cache with config and safetensors of a repository.

    Args:
      repository: owner/name.
      revision: commit, tag or branch; None is the main branch.
    """
    try:
        folder = huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=FETCHED)
    except (OSError, errors.HFValidationError) as error:  # all of the hub's are OSErrors
        at = "" if revision is None else f" at revision {revision!r}"
        raise ValueError(
            f"{repository}{at}: neither on this disk, nor to be had from the Hugging Face hub: "
            f"{error} Remedy: check the name and the network, or fetch config.json and "
            f"{SINGLE} elsewhere and give their folder."
        ) from error
    return pathlib.Path(folder)


def optional_file(name: str, file: str, revision: str | None) -> pathlib.Path | None:
    """A small file that a model may bring, or None where it is known to bring none.

    Args:
      name: a path, or owner/name of a repository of the hub.
      file: within the folder or the repository.
      revision: of a repository, as of `download`.

    Raises:
      ValueError: no name of a repository; or the hub can't be asked, and didn't say before.
    """
    if (path := pathlib.Path(name)).exists():
        return path / file if (path / file).is_file() else None
    try:
        return pathlib.Path(huggingface_hub.hf_hub_download(name, file, revision=revision))
    except errors.RemoteEntryNotFoundError:
        return None
    except OSError as error:
        cached = huggingface_hub.try_to_load_from_cache(name, file, revision=revision)
        if cached is not None and not isinstance(cached, str):  # the cache's sign for "the hub has none"
            return None
        raise ValueError(
            f"{name}: the Hugging Face hub can't be asked whether it has {file}, which results depend "
            f"on: {error} Remedy: check the network, run this once where there is one, or give a folder."
        ) from error


def open_folder(folder: pathlib.Path) -> stored_tensors.Weights:
    """Index of a folder with config.json and safetensors; all tensors are checked."""
    files = _files(folder)
    sizes = _dimensions(folder / "config.json")
    found: dict[str, StoredTensor] = {}
    for file in files:
        for stored in _tensors(file):
            if stored.name in found:
                where = f"{found[stored.name].file.name} and {file.name}"
                raise ValueError(f"{folder}: {stored.name} is in {where}. Remedy: fetch it again.")
            found[stored.name] = stored
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
    )


def _dimensions(file: pathlib.Path) -> dimensions.Dimensions:
    if not file.is_file():
        raise ValueError(f"{file}: missing. Remedy: put the model's config.json there.")
    config = stored_tensors.json_object(file)
    rules = {
        "model_type": "whisper",
        "activation_function": "gelu",
        "scale_embedding": False,
        "decoder_attention_heads": config.get("encoder_attention_heads"),
        "decoder_ffn_dim": config.get("encoder_ffn_dim"),
    }
    for key, needed in rules.items():
        if config.get(key, needed) != needed:
            raise ValueError(
                f"{file}: {key} must be {needed!r}, is {config[key]!r}. Remedy: give a Whisper model."
            )
    return dimensions.from_sizes(str(file), config, KEYS)


def _files(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """List the safetensors files that make up the model, sorted by name."""
    if (folder / SINGLE).is_file():
        return (folder / SINGLE,)
    index = folder / INDEX
    if not index.is_file():
        raise ValueError(
            f"{folder}: neither {SINGLE} nor {INDEX} is there. Remedy: name a model that has "
            "them, convert it with transformers' save_pretrained, or fetch a CTranslate2 "
            "folder yourself and give that."
        )
    shards = stored_tensors.json_object(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ValueError(f"{index}: weight_map must name shards. Remedy: fetch it again.")
    files = sorted({folder / str(name) for name in shards.values()})
    absent = [file.name for file in files if file.parent != folder or not file.is_file()]
    if absent:
        raise ValueError(f"{index}: names shards that are not there: {absent}. Remedy: fetch them.")
    return tuple(files)


def _tensors(file: pathlib.Path) -> list[StoredTensor]:
    """Every tensor of one safetensors file, checked to end inside it."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        first = stream.read(8).ljust(8, b"\xff")
        start = 8 + struct.unpack("<Q", first)[0]
        if start > size:
            raise stored_tensors.truncated(file, f"its list of tensors ends at byte {start}")
        text = stream.read(start - 8)
    try:
        header = dict(json.loads(text))
        header.pop("__metadata__", None)
        tensors = [_tensor(file, start, name, entry) for name, entry in header.items()]
    except (KeyError, TypeError, ValueError) as error:
        rule = f"not a safetensors file of float32, float16 or bfloat16: {error!r}"
        raise ValueError(f"{file}: {rule}. Remedy: fetch the checkpoint again.") from error
    end = max((stored.offset + stored.span * stored.dtype.itemsize for stored in tensors), default=start)
    if end > size:
        raise stored_tensors.truncated(file, f"its tensors end at byte {end}")
    if end < size:
        raise ValueError(f"{file}: {size - end} bytes after its last tensor. Remedy: fetch it again.")
    return tensors


def _tensor(file: pathlib.Path, start: int, name: str, entry: dict[str, object]) -> StoredTensor:
    """One entry of the header; KeyError, TypeError or ValueError if it makes no sense."""
    begin, end = _whole_numbers(entry["data_offsets"])
    dtype, shape = DTYPES[str(entry["dtype"])], _whole_numbers(entry["shape"])
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} {shape} in bytes {begin} to {end}")
    return StoredTensor(name=name, file=file, offset=start + begin, dtype=dtype, shape=shape)


def _whole_numbers(values: object) -> tuple[int, ...]:
    if not isinstance(values, list) or any(type(v) is not int or v < 0 for v in values):
        raise TypeError(f"{values!r} is not a list of whole numbers")
    return tuple(values)

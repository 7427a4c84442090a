"""Model folders in Hugging Face's layout, written: a new decoder beside the encoder of a checkpoint.

The encoder's tensors keep their format and bytes, the decoder's are float32. Configuration, tokenizer and
generation settings are copied where the checkpoint has them in this layout, and made of its sizes and tokens
where it hasn't. Source of the keys: transformers, WhisperConfig and GenerationConfig.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

import numpy as np
import safetensors.numpy

from isogloss.engine.checkpoints import huggingface, stored_tensors
from isogloss.engine.checkpoints.checkpoint import ENCODER, Checkpoint
from isogloss.engine.checkpoints.huggingface import KEYS, ORIGIN, PREFIX, SINGLE, SafeTensor
from isogloss.engine.checkpoints.stored_tensors import EncoderOrigin
from isogloss.engine.runtime import atomic_write
from isogloss.engine.runtime.json_values import Json

_COPIED = (
    "generation_config.json",
    "preprocessor_config.json",
    "normalizer.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
_DTYPES = ("dtype", "torch_dtype")  # keys of config.json; the decoder is float32 whatever the source was


def is_of_this_layout(checkpoint: Checkpoint) -> bool:
    """True if the checkpoint lies in a folder of this layout, False for other formats."""
    return all(isinstance(tensor, SafeTensor) for tensor in checkpoint.weights.tensors.values())


def companions(model: str, revision: str | None) -> dict[str, bytes]:
    """Content by name of the files of a model of this layout, other than weights and config.json."""
    found = {name: huggingface.optional_file(model, name, revision) for name in _COPIED}
    return {name: path.read_bytes() for name, path in found.items() if path is not None}


def configuration(checkpoint: Checkpoint, special: Mapping[str, Json]) -> bytes:
    """Content of config.json: the checkpoint's own where it has this layout, but for the number format.

    `special` has the special tokens of a configuration that is made.
    """
    if is_of_this_layout(checkpoint):
        own = stored_tensors.json_object(checkpoint.weights.files[0].with_name("config.json"))
        own |= {key: "float32" for key in _DTYPES if key in own}
    else:
        sizes = checkpoint.dimensions
        own = {
            "architectures": ["WhisperForConditionalGeneration"],
            "model_type": "whisper",
            "activation_function": "gelu",
            "is_encoder_decoder": True,
            "scale_embedding": False,
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
            "decoder_attention_heads": sizes.heads,
            "decoder_ffn_dim": sizes.ffn,
            **{key: getattr(sizes, field) for field, key in KEYS.items()},
            **special,
        }
    return json_file(own)


def generation_settings(checkpoint: Checkpoint, settings: Mapping[str, Json]) -> bytes:
    """Content of generation_config.json that is made of `settings`, with the heads that follow the words."""
    heads = checkpoint.alignment_heads
    return json_file(
        {**settings, **({} if heads is None else {"alignment_heads": [list(pair) for pair in heads]})}
    )


def json_file(content: Mapping[str, Json]) -> bytes:
    """Content of a JSON file of such a folder."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def write(
    folder: pathlib.Path,
    checkpoint: Checkpoint,
    decoder: Mapping[str, np.ndarray],
    files: Mapping[str, bytes],
) -> None:
    """Write a model; the weights come last.

    Args:
      folder: made unless it exists; files of the same names are replaced, each as a whole.
      checkpoint: model whose encoder it has.
      decoder: tensors of the decoder by canonical name.
      files: content of its other files, config.json among them.

    Raises:
      WriteError: a file can't be written.
    """
    atomic_write.make_folder(folder)
    origin = EncoderOrigin(weights_sha256=checkpoint.states_sha256, encoder_sha256=checkpoint.encoder_sha256)
    for name, content in {**files, ORIGIN: json_file(dataclasses.asdict(origin))}.items():
        atomic_write.write_whole(folder / name, lambda file, content=content: file.write_bytes(content))
    tensors = {
        PREFIX + name: tensor.stored() if name.startswith(ENCODER) else decoder[name]
        for name, tensor in checkpoint.weights.tensors.items()
    }
    # One key of metadata: the order of several changes from process to process.
    noted = {"format": "pt"}
    atomic_write.write_whole_by_library(
        folder / SINGLE, lambda file: safetensors.numpy.save_file(tensors, file, metadata=noted)
    )

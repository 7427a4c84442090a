"""Checkpoints of Whisper or of its encoder alone, whatever their format: sizes, named tensors, a hash.

Opening reads indices only; `Checkpoint.read` reads one tensor, so an encoder is loaded without the decoder's
bytes. Names and shapes of all tensors are checked before any is read. No pickle is executed, and PyTorch is
not needed.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
import re

import numpy as np
from jaxtyping import Float32

from isogloss.engine.checkpoints import ctranslate2, huggingface, openai_pickle, stored_tensors
from isogloss.engine.checkpoints.dimensions import Dimensions, tensor_shapes
from isogloss.engine.runtime.refusal import Refusal

ENCODER = "encoder."
TORCH = "torch:"  # before the name of a model that isn't Whisper, see `speech_encoders`
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
FORMATS = (
    "a Hugging Face folder (config.json, model.safetensors), a CTranslate2 folder (model.bin), "
    "an OpenAI file (.pt) or a hub id (owner/name)"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A Whisper model, or its encoder alone, on disk; `load_checkpoint` and `load_encoder` make them.

    Attributes:
      name: hub id, or the name of the folder or file; never a machine's path.
      weights: sizes, and where every tensor lies.
    """

    name: str
    weights: stored_tensors.Weights

    @property
    def dimensions(self) -> Dimensions:
        """Sizes of the model; `dimensions.tensor_shapes` gives every name and shape."""
        return self.weights.dimensions

    @property
    def alignment_heads(self) -> tuple[tuple[int, int], ...] | None:
        """(layer, head) of the decoder's cross-attention that follows words, if stored."""
        return self.weights.alignment_heads

    def read(self, name: str) -> Float32[np.ndarray, "..."]:
        """Tensor of a canonical name, in float32, dequantised, row-major."""
        if name not in self.weights.tensors:
            raise Refusal(f"{self.name}: needs a name of dimensions.tensor_shapes, got {name!r}")
        return self.weights.tensors[name].read()

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the weight files in the order of their names; reads all of them, once."""
        return stored_tensors.sha256(self.weights.files)

    @functools.cached_property
    def encoder_sha256(self) -> str:
        """Hash of the encoder's numbers, in float32 and in the order of use, whatever the file's format."""
        digest = hashlib.sha256()
        for name in tensor_shapes(self.dimensions):  # formats list tensors in orders of their own
            if name.startswith(ENCODER):
                digest.update(self.read(name).tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def states_sha256(self) -> str:
        """Hash that stores of this encoder's states name: `sha256`, or that of the encoder's model.

        A decoder that was trained from a store leaves the encoder as it was, so the store is its own too.
        """
        origin = self.weights.encoder_of
        if origin is not None and origin.encoder_sha256 == self.encoder_sha256:
            return origin.weights_sha256
        return self.sha256


def load_checkpoint(model: str, revision: str | None = None) -> Checkpoint:
    """Whisper checkpoint with its decoder, of which no tensor is read yet; arguments as of `load_encoder`.

    Raises:
      Refusal: as `load_encoder`, or the model is an encoder without Whisper's decoder.
    """
    if model.startswith(TORCH):
        raise Refusal(
            f"{model}: is a speech encoder in PyTorch, without a decoder of Whisper, which this job needs. "
            "Remedy: give a Whisper model; `extract` takes this one"
        )
    opened = load_encoder(model, revision)
    if not opened.dimensions.has_decoder:
        raise Refusal(
            f"{model}: has Whisper's encoder, but no decoder of Whisper, which this job needs. Remedy: give "
            "a Whisper model; `extract` takes this one"
        )
    return opened


def load_encoder(model: str, revision: str | None = None) -> Checkpoint:
    """Checkpoint of a Whisper, or of Whisper's encoder in an audio language model; no tensor is read yet.

    Args:
      model: folder, .pt file, or id on the Hugging Face hub; an existing path is preferred to a hub id.
      revision: commit, tag or branch of a hub id; None is its main branch.

    Raises:
      Refusal: the model can't be found or fetched, is truncated, or doesn't hold exactly the tensors of a
        Whisper model, or of its encoder.
    """
    # A path first: a folder "openai/whisper-base" here is what the user has, whatever the hub has.
    if path := huggingface.local_path(model):
        if revision is not None:
            raise Refusal(f"{model}: a revision, here {revision!r}, belongs to a hub id, not to a path")
        # abspath, not resolve: a link keeps its name, but "." and "x/.." need one.
        return Checkpoint(name=os.path.basename(os.path.abspath(path)), weights=_open(path))
    if not HUB_ID.fullmatch(model):
        raise Refusal(f"{model}: no such file or folder. Remedy: give {FORMATS}.")
    folder = huggingface.download(model, revision)
    return Checkpoint(name=model, weights=huggingface.open_folder(folder))


def _open(path: pathlib.Path) -> stored_tensors.Weights:
    if path.is_file():
        if path.suffix == ".pt":
            return openai_pickle.open_file(path)
        raise Refusal(f"{path}: a checkpoint file must end in .pt. Remedy: give {FORMATS}.")
    binary = (path / "model.bin").is_file()
    safetensors = any(path.glob("*.safetensors"))
    # Either might be the one that is meant, and results would depend on it silently.
    if binary and safetensors:
        rule = "a folder must hold one checkpoint, but there are model.bin and safetensors"
        raise Refusal(f"{path}: {rule}. Remedy: move one of them to a folder of its own.")
    if binary:
        return ctranslate2.open_folder(path)
    if safetensors or (path / "config.json").is_file():
        return huggingface.open_folder(path)
    raise Refusal(f"{path}: no checkpoint in this folder. Remedy: give {FORMATS}.")

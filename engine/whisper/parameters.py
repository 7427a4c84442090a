"""Flax parameters of the encoder or of the decoder from a checkpoint's tensors.

A table maps parameters to tensors. Checkpoints have PyTorch's layout (out, in), Flax uses (in, out). Blocks
are stacked along a leading axis. Memory: one copy of the encoder or the decoder in float32.
"""

import functools
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.whisper.decoder import Decoder
from isogloss.engine.whisper.encoder import Encoder

Path = tuple[str, ...]


def _attention(flax: str, tensor: str) -> dict[Path, str]:
    projections = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}
    named = {("blocks", flax, ours): f"layers.{{}}.{tensor}.{theirs}" for ours, theirs in projections.items()}
    return {("blocks", f"{flax}_norm"): f"layers.{{}}.{tensor}_layer_norm", **named}


_SHARED = {  # Flax module -> tensor prefix after "encoder." or "decoder."; "{}" stands for the block
    ("norm",): "layer_norm",
    **_attention("attention", "self_attn"),
    ("blocks", "mlp_norm"): "layers.{}.final_layer_norm",
    ("blocks", "mlp_in"): "layers.{}.fc1",
    ("blocks", "mlp_out"): "layers.{}.fc2",
}
ENCODER: Mapping[Path, str] = {
    ("conv1",): "encoder.conv1",
    ("conv2",): "encoder.conv2",
    ("positions",): "encoder.embed_positions.weight",
    **{path: f"encoder.{name}" for path, name in _SHARED.items()},
}
DECODER: Mapping[Path, str] = {
    ("embedding",): "decoder.embed_tokens.weight",
    ("positions",): "decoder.embed_positions.weight",
    ("exit_norm",): "encoder.layer_norm",  # for encoder states before the final LayerNorm
    **{path: f"decoder.{name}" for path, name in {**_SHARED, **_attention("cross", "encoder_attn")}.items()},
}
_FACTORS = ("kernel", "embedding")  # factors of products
_LEAF = {"kernel": "weight", "scale": "weight", "bias": "bias"}


def tensor_name(path: Path, table: Mapping[Path, str]) -> str:
    """Name of the tensor of a Flax path; "{}" stands for the block."""
    return table[path] if path in table else f"{table[path[:-1]]}.{_LEAF[path[-1]]}"


def build(dimensions: Dimensions, *, dtype: np.dtype, form: str) -> tuple[nnx.GraphDef, nnx.State]:
    """The encoder's structure and the shapes of its parameters, nothing allocated."""
    shapes = nnx.eval_shape(lambda: Encoder(dimensions, dtype=dtype, form=form, rngs=nnx.Rngs(0)))
    return nnx.split(shapes)


@functools.cache
def build_decoder(dimensions: Dimensions, *, dtype: np.dtype) -> tuple[nnx.GraphDef, nnx.State]:
    """The decoder's structure and the shapes of its parameters, nothing allocated."""
    return nnx.split(nnx.eval_shape(lambda: Decoder(dimensions, dtype=dtype, rngs=nnx.Rngs(0))))


def load(
    shapes: nnx.State,
    read: Callable[[str], np.ndarray],
    layers: int,
    table: Mapping[Path, str] = ENCODER,
) -> nnx.State:
    """Parameters as NumPy float32 arrays in the structure of `shapes`, of so many `layers`.

    `read` returns a tensor by its canonical name, as `Checkpoint.read` does.
    """
    flat = nnx.to_flat_state(shapes)
    filled = []
    for path, variable in flat:
        tensor = _tensor(read, tensor_name(tuple(map(str, path)), table), layers)
        # `check_shapes` has refused wrong files, so a difference here is a mistake in the tables above.
        if tensor.shape != variable.shape:
            raise AssertionError(f"{path}: read {tensor.shape}, the model has {variable.shape}")
        filled.append((path, variable.replace(tensor)))
    return nnx.from_flat_state(filled)


def _tensor(read: Callable[[str], np.ndarray], name: str, layers: int) -> Float[np.ndarray, "..."]:
    if "{}" in name:
        return np.stack([_flax_layout(read(name.format(layer)), name) for layer in range(layers)])
    return _flax_layout(read(name), name)


def _flax_layout(tensor: Float[np.ndarray, "..."], name: str) -> Float[np.ndarray, "..."]:
    """(out, in[, taps]) to ([taps, ]in, out); vectors, positions and the embedding stay as they are."""
    # Transposing reverses all axes, so one rule serves matrices and convolutions.
    return tensor if tensor.ndim == 1 or ".embed_" in name else tensor.T


def tensors(
    values: Mapping[Path, Float[np.ndarray, "..."]], table: Mapping[Path, str]
) -> dict[str, Float[np.ndarray, "..."]]:
    """Tensors by canonical name in a checkpoint's layout, from Flax parameters by path."""
    found: dict[str, np.ndarray] = {}
    for path, value in values.items():
        name = tensor_name(path, table)
        rows = {name.format(layer): row for layer, row in enumerate(value)} if "{}" in name else {name: value}
        # Reversing all axes is its own inverse.
        found |= {each: np.ascontiguousarray(_flax_layout(row, name)) for each, row in rows.items()}
    return found


def cast(state: nnx.State, dtype: np.dtype) -> nnx.State:
    """Factors of products in the compute dtype, so that no step casts them; the rest in float32."""
    return nnx.from_flat_state(
        (path, variable.replace(jnp.asarray(variable[...], dtype if path[-1] in _FACTORS else jnp.float32)))
        for path, variable in nnx.to_flat_state(state)
    )

"""From a checkpoint's tensors to the encoder's Flax parameters.

One table says which tensor feeds which parameter; a checkpoint holds PyTorch layouts (out, in), Flax wants
(in, out). Blocks are stacked along a leading axis. Holds one copy of the encoder in float32 at a time.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from isogloss.engine.dimensions import Dimensions
from isogloss.engine.encoder import Encoder

_MODULE = {  # Flax module -> tensor prefix
    ("conv1",): "encoder.conv1",
    ("conv2",): "encoder.conv2",
    ("norm",): "encoder.layer_norm",
    ("blocks", "attention_norm"): "encoder.layers.{}.self_attn_layer_norm",
    ("blocks", "attention", "query"): "encoder.layers.{}.self_attn.q_proj",
    ("blocks", "attention", "key"): "encoder.layers.{}.self_attn.k_proj",
    ("blocks", "attention", "value"): "encoder.layers.{}.self_attn.v_proj",
    ("blocks", "attention", "out"): "encoder.layers.{}.self_attn.out_proj",
    ("blocks", "mlp_norm"): "encoder.layers.{}.final_layer_norm",
    ("blocks", "mlp_in"): "encoder.layers.{}.fc1",
    ("blocks", "mlp_out"): "encoder.layers.{}.fc2",
}
_LEAF = {"kernel": "weight", "scale": "weight", "bias": "bias"}


def tensor_name(path: tuple[str, ...]) -> str:
    """Name of the tensor behind a Flax path; "{}" stands for the block."""
    if path == ("positions",):
        return "encoder.embed_positions.weight"
    return f"{_MODULE[path[:-1]]}.{_LEAF[path[-1]]}"


def build(dimensions: Dimensions, *, dtype: np.dtype, form: str) -> tuple[nnx.GraphDef, nnx.State]:
    """The encoder's structure and the shapes of its parameters, nothing allocated."""
    shapes = nnx.eval_shape(lambda: Encoder(dimensions, dtype=dtype, form=form, rngs=nnx.Rngs(0)))
    return nnx.split(shapes)


def load(shapes: nnx.State, read: Callable[[str], np.ndarray], layers: int) -> nnx.State:
    """Parameters as NumPy float32 arrays in the structure of `shapes`.

    Args:
      shapes: from `build`.
      read: gives a tensor by its canonical name, such as `Checkpoint.read`.
      layers: blocks of the encoder.
    """
    flat = nnx.to_flat_state(shapes)
    filled = []
    for path, variable in flat:
        tensor = _tensor(read, tensor_name(tuple(map(str, path))), layers)
        if tensor.shape != variable.shape:
            raise AssertionError(f"{path}: read {tensor.shape}, encoder has {variable.shape}")
        filled.append((path, variable.replace(tensor)))
    return nnx.from_flat_state(filled)


def _tensor(read: Callable[[str], np.ndarray], name: str, layers: int) -> Float[np.ndarray, "..."]:
    if "{}" in name:
        return np.stack([_flax_layout(read(name.format(layer)), name) for layer in range(layers)])
    return _flax_layout(read(name), name)


def _flax_layout(tensor: Float[np.ndarray, "..."], name: str) -> Float[np.ndarray, "..."]:
    """(out, in[, taps]) to ([taps, ]in, out); vectors and positions stay as they are."""
    return tensor if name.endswith("positions.weight") or tensor.ndim == 1 else tensor.T


def cast(state: nnx.State, dtype: np.dtype) -> nnx.State:
    """Kernels in the compute dtype, so that no step casts them; vectors and positions in float32."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype) if leaf.ndim > 2 else jnp.asarray(leaf), state)

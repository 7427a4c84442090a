"""Parameters of a decoder that are trained, apart from those that aren't.

`decoder` trains the whole decoder, `cross` its cross-attention and the norm before it, `lora:R` adds to each
query and value projection a product of two matrices of rank R, the second zero at the start (Hu et al.,
arXiv 2106.09685; scale 1). The encoder's final LayerNorm, which early exits pass, belongs to the encoder and
is never trained. Memory: one copy of the decoder in float32.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.training.tune_config import lora_rank
from isogloss.engine.whisper import parameters
from isogloss.engine.whisper.decoder import Decoder

Values = dict[str, jax.Array]
"""Arrays by the path of their parameter, as in "blocks/cross/query/kernel"; blocks are stacked."""
HostValues = dict[str, np.ndarray]

_ENCODERS = "exit_norm/"
_CROSS = ("blocks/cross/", "blocks/cross_norm/")
_ADAPTED = tuple(
    f"blocks/{part}/{name}/kernel" for part in ("attention", "cross") for name in ("query", "value")
)
DOWN, UP = "/down", "/up"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainable:
    """A decoder in two parts; `split` makes it.

    Attributes:
      graph: structure of the decoder.
      shapes: its parameters without values.
      dtype: of products.
      trained: values at the start of what is trained.
      frozen: values of the rest.
    """

    graph: nnx.GraphDef
    shapes: nnx.State
    dtype: np.dtype
    trained: HostValues
    frozen: HostValues

    def decoder(self, trained: Mapping[str, jax.Array], frozen: Mapping[str, jax.Array]) -> Decoder:
        """Decoder of some values; differentiable in `trained`."""
        values = merged(trained, frozen)
        state = nnx.from_flat_state(
            (path, variable.replace(values["/".join(map(str, path))]))
            for path, variable in nnx.to_flat_state(self.shapes)
        )
        # float32 masters; factors are rounded to the compute dtype in every step anew.
        return nnx.merge(self.graph, parameters.cast(state, self.dtype))

    def tensors(self, trained: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Tensors of the decoder by canonical name, float32."""
        values = merged(trained, self.frozen)
        # The encoder's norm is written with the encoder, from the model itself.
        own = {tuple(path.split("/")): np.asarray(v) for path, v in values.items() if _ENCODERS not in path}
        return parameters.tensors(own, parameters.DECODER)


def count(sizes: Dimensions, train: str) -> int:
    """Number of values that are trained, by the shapes of a model's decoder and --train."""
    _, shapes = parameters.build_decoder(sizes, dtype=np.dtype("float32"))
    found = {"/".join(map(str, path)): variable.shape for path, variable in nnx.to_flat_state(shapes)}
    if low := lora_rank(train):
        return sum(
            layers * low * (inputs + outputs)
            for layers, inputs, outputs in (found[path] for path in _ADAPTED)
        )
    return sum(math.prod(shape) for path, shape in found.items() if _is_trained(path, train))


def _is_trained(path: str, train: str) -> bool:
    """True for parameters that decoder or cross trains."""
    return path.startswith(_CROSS if train == "cross" else "") and not path.startswith(_ENCODERS)


def merged(
    trained: Mapping[str, jax.Array | np.ndarray], frozen: Mapping[str, jax.Array | np.ndarray]
) -> dict[str, jax.Array | np.ndarray]:
    """All parameters of the decoder, in which pairs of low rank are added to what they adapt."""
    values = {**frozen, **{path: value for path, value in trained.items() if not path.endswith((DOWN, UP))}}
    # The sum of weight and product, not two products, so that the decoder's program stays the same.
    for path in [path.removesuffix(DOWN) for path in trained if path.endswith(DOWN)]:
        values[path] = values[path] + trained[path + DOWN] @ trained[path + UP]
    return values


def split(
    sizes: Dimensions, read: Callable[[str], np.ndarray], train: str, *, dtype: np.dtype, seed: int
) -> Trainable:
    """A model's decoder, divided by the value of --train.

    Args:
      sizes: of the model.
      read: function of a canonical name; returns the tensor.
      train: decoder, cross or lora:R.
      dtype: of products.
      seed: of the matrices of low rank.
    """
    graph, shapes = parameters.build_decoder(sizes, dtype=dtype)
    loaded = parameters.load(shapes, read, sizes.decoder_layers, parameters.DECODER)
    values = {
        "/".join(map(str, path)): np.asarray(variable[...]) for path, variable in nnx.to_flat_state(loaded)
    }
    if low := lora_rank(train):
        chosen = _low_rank(values, low, seed)
    else:
        chosen = {path: value for path, value in values.items() if _is_trained(path, train)}
    frozen = {path: value for path, value in values.items() if path not in chosen}
    return Trainable(graph=graph, shapes=shapes, dtype=dtype, trained=chosen, frozen=frozen)


def _low_rank(values: HostValues, low: int, seed: int) -> HostValues:
    rng, chosen = np.random.default_rng(seed), {}
    for path in _ADAPTED:
        layers, inputs, outputs = values[path].shape
        # Scaled so that x @ down has about the size of x, whatever the width.
        first = rng.standard_normal((layers, inputs, low)) / np.sqrt(inputs)
        chosen[path + DOWN] = first.astype(np.float32)
        # Zero, so that training starts from the model as it is.
        chosen[path + UP] = np.zeros((layers, low, outputs), np.float32)
    return chosen


def device_values(values: Mapping[str, np.ndarray]) -> Values:
    """The same arrays on the default device."""
    return {path: jnp.asarray(value) for path, value in values.items()}

"""Frames as factors of exact products: 16-bit parts, and what their products are corrected and divided by.

Matrix units take 16-bit factors, multiply them exactly and add in float32. So frames that are stored in 16
bits are multiplied as they are, and their lengths, float32, are divided out of the products afterwards; what
is rounded is sums of float32 and nothing else. A frame that 16 bits can't hold is a sum of parts that can:

| frames | factors | products |
|---|---|---|
| float16, and no TPU | themselves | 1 |
| float16 on a TPU, whose units know bfloat16 alone | 2 parts in bfloat16, their sum is the frame | 4 |
| float32 | 3 parts in bfloat16, 24 bits together; of products those above 2^-24 | 6 |
| any, by name | rounded to bfloat16 | 1 |

The six products are those of XLA's algorithm BF16_BF16_F32_X6. They are written out because that runs on
some accelerators and on no CPU, and would split the frames anew for each product. A language's mean is taken
out of 16-bit frames after the product, (x - a)(y - b) = xy - xb - a(y - b): frames less their mean would not
fit 16 bits. What cancels is rounded as what is long: the error of a cosine grows as the square of how much
longer a frame is than what is left of it, 2e-7 where they are alike, 2e-5 at 10 times and 1.5e-3 at 100.
Whisper base has at most 2.2. Encoders with longer frames are stored in float32 for this: their means are
taken out before the frames are split. Memory: the parts, and 4 bytes a frame.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32, Int, PyTree

FORMS = ("stored", "split", "bfloat16")
_SMALLEST = 2  # products of parts i and j beyond i + j = 2 are below 2^-24 of the frames' own


class Operand(NamedTuple):
    """Utterances as one side of the products.

    Attributes:
      parts: 16-bit arrays whose sum is each frame, up to a power of 2.
      inverse: 1 over the length of each frame less the mean; 0 for all-zero frames, NaN for frames that
        aren't finite.
      used: frames in use of each utterance.
      mean: of the language, if it is still to be taken out.
    """

    parts: tuple[Float[Array, "U N D"], ...]
    inverse: Float32[Array, "U N"]
    used: Int[Array, " U"]
    mean: Float32[Array, " D"] | None


class Factor(NamedTuple):
    """Operand that knows the other one; of one utterance, or of several along any axis.

    Attributes:
      parts: of the frames.
      inverse: as in Operand.
      used: frames in use.
      offset: what of each product is the means' share; None if nothing is to be taken out.
    """

    parts: tuple[Float[Array, "*U N D"], ...]
    inverse: Float32[Array, "*U N"]
    used: Int[Array, "*U"]
    offset: Float32[Array, "*U N"] | None


def form_for(platform: str, dtype: DTypeLike, implementation: str) -> str:
    """Form, one of FORMS, in which frames of a type become factors on a JAX platform."""
    if implementation == "xla_bfloat16":
        return "bfloat16"
    return "stored" if dtype == jnp.float16 and platform != "tpu" else "split"


def value_bytes(form: str, dtype: DTypeLike) -> int:
    """Memory of the parts of one number of a type."""
    return 2 * (1 if form != "split" else 2 if dtype == jnp.float16 else 3)


def operand(
    x: Float[Array, "U N D"], n: Int[Array, " U"], mean: Float32[Array, " D"] | None, *, form: str
) -> Operand:
    """Frames as factors.

    Args:
      x: frames, any scale, any float type; padding may hold anything, NaN included.
      n: frames in use.
      mean: of the language, to be taken out of every frame; None takes nothing out.
      form: one of FORMS: "stored" needs 16 bits, "split" is exact for frames of any type.
    """
    if form not in FORMS:
        raise ValueError(f"form must be one of {FORMS}, got {form!r}")
    rounded = form == "bfloat16" or x.dtype != jnp.float16

    def of_one(frames: Float[Array, "N D"]) -> tuple[tuple[Array, ...], Array]:
        wide = frames.astype(jnp.float32)
        centred = wide if mean is None else wide - mean[None, :]
        if not rounded:
            return (() if form == "stored" else _split(wide, 2)), _inverse(centred)
        # By a power of 2, so that scaling is exact: squares of 1e30 and of 1e-30 leave the range of float32.
        scale = jax.lax.reduce_precision(jnp.abs(centred).max(axis=1, keepdims=True), 8, 0)
        scaled = centred / jnp.where(scale == 0, 1, jnp.minimum(scale, 2.0**126))
        parts = _split(scaled, 1 if form == "bfloat16" else 3)
        return parts, _inverse(jnp.asarray(sum(part.astype(jnp.float32) for part in parts)))

    # One utterance after the other, so that its bits don't depend on how many there are.
    parts, inverse = jax.lax.map(lambda one: apart(of_one, one), x)
    return Operand(parts or (x,), inverse, n, None if rounded else mean)


def factor(side: Operand) -> Factor:
    """Operand as a factor from which nothing is to be taken out."""
    return Factor(side.parts, side.inverse, side.used, None)


def without_means(
    side: Factor, own: Float32[Array, " D"] | None, other: Float32[Array, " D"] | None
) -> Factor:
    """Factor of products xy from which a language's mean is to be taken out, both sides' if both do this.

    Args:
      side: some utterances.
      own: mean that is taken out of `side` by it, 0 if the other side's factors do that.
      other: mean of the other side; None takes nothing out.
    """
    if own is None or other is None:
        return side
    wide = jnp.asarray(sum(part.astype(jnp.float32) for part in side.parts))
    # A sum of products, not a matrix product, which accelerators would round to fewer bits.
    offset = ((wide - own[None, None, :]) * other[None, None, :]).sum(axis=-1)
    return side._replace(offset=offset)


def apart(program: Callable[..., PyTree[Array]], *arguments: PyTree[Array]) -> PyTree[Array]:
    """Results of a program that is compiled as if it stood alone: a loop of one step rounds as others do."""
    return jax.lax.optimization_barrier(program(*jax.lax.optimization_barrier(arguments)))


def cosines(x: Factor, y: Factor) -> Float32[Array, "N M"]:
    """Cosines of the frames of one utterance with those of another; padding has any value, NaN included."""
    pairs = [(i + j, a, b) for i, a in enumerate(x.parts) for j, b in enumerate(y.parts)]
    smallest_first = sorted((pair for pair in pairs if pair[0] <= _SMALLEST), key=lambda pair: -pair[0])
    product, *others = (_product(a, b) for _, a, b in smallest_first)
    for other in others:
        product += other
    if x.offset is None or y.offset is None:
        return product * x.inverse[:, None] * y.inverse[None, :]
    c = (product - x.offset[:, None] - y.offset[None, :]) * x.inverse[:, None] * y.inverse[None, :]
    # Frames that are their language's mean but for rounding have a direction of rounding, yet a cosine.
    return jnp.clip(c, -1, 1)


def _product(x: Float[Array, "N D"], y: Float[Array, "M D"]) -> Float32[Array, "N M"]:
    return jax.lax.dot_general(x, y, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32)


def _split(x: Float32[Array, "N D"], count: int) -> tuple[Float[Array, "N D"], ...]:
    """Parts in bfloat16, each what the ones before leave of x."""
    parts = []
    for _ in range(count):
        # Not `astype` there and back, which compilers may drop as if it changed nothing.
        part = jax.lax.reduce_precision(x, 8, 7)
        parts.append(part.astype(jnp.bfloat16))
        x = x - part
    return tuple(parts)


def _inverse(x: Float32[Array, "N D"]) -> Float32[Array, " N"]:
    length = jnp.sqrt(jnp.square(x).sum(axis=-1))
    possible = jnp.where(jnp.isfinite(length), length, jnp.nan)
    return jnp.where(length == 0, 0, 1 / jnp.where(length == 0, 1, possible))

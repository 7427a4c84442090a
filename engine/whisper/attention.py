"""Multi-head attention: unmasked in four forms chosen by name, and masked with its scores.

"dense" is one batched product, whose scores take B * H * N * N floats. "blocks" is the same for a slab of
queries at a time, for GPU and TPU: a sixth of that memory at 1500 frames. "chunked" loops over heads and
slabs and divides by the softmax sum last: the scores of a slab stay in cache, which is about three times as
fast as "dense" on a CPU. "cudnn" is cuDNN's flash attention, for NVIDIA's GPUs and 16-bit numbers: scores are
never in memory (Dao, arXiv 2307.08691). Softmax is float32 in all.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from isogloss.engine.runtime.refusal import Refusal

FORMS = ("dense", "blocks", "chunked", "cudnn")
SLABS = {"blocks": 250, "chunked": 750}
"""Queries at a time, which divide Whisper's 1500 frames; a CPU's threads wait for each other after each."""


def attention(
    query: Float[Array, "B N H K"],
    key: Float[Array, "B M H K"],
    value: Float[Array, "B M H K"],
    form: str,
) -> Float[Array, "B N H K"]:
    """softmax(query key^T / sqrt(K)) value, for every batch row and head.

    Raises:
      Refusal: `form` is not one of FORMS.
    """
    # The query is scaled, not the scores: it has K numbers where they have M.
    query = query * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
    if form == "dense":
        return _dense(query, key, value)
    if form == "blocks":
        return _blocks(query, key, value)
    if form == "chunked":
        return _chunked(query, key, value)
    if form == "cudnn":
        return jax.nn.dot_product_attention(query, key, value, scale=1.0, implementation="cudnn")
    raise Refusal(f"attention form must be one of {FORMS}, got {form!r}")


def slab_of(form: str, frames: int) -> int:
    """Queries at a time of so many frames: those of SLABS, or all where they don't divide them."""
    return SLABS[form] if frames % SLABS[form] == 0 else frames


def score_bytes(form: str, frames: int, heads: int) -> int:
    """Bytes of scores that a form holds at once for each row of a batch."""
    held = {
        "dense": heads * frames,
        "blocks": heads * slab_of("blocks", frames),
        "chunked": slab_of("chunked", frames),  # of one row in the batch; others wait
        "cudnn": heads,  # a sum for each query
    }
    return 4 * held[form] * frames


def _dense(
    query: Float[Array, "B N H K"], key: Float[Array, "B M H K"], value: Float[Array, "B M H K"]
) -> Array:
    scores = jnp.einsum("bnhk,bmhk->bhnm", query, key, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("bhnm,bmhk->bnhk", weights, value)


def _blocks(
    query: Float[Array, "B N H K"], key: Float[Array, "B M H K"], value: Float[Array, "B M H K"]
) -> Array:
    rows, frames, heads, width = query.shape
    slab = slab_of("blocks", frames)
    # A softmax runs over the keys, which every block has whole: nothing is left to be put together.
    blocks = query.reshape(rows, -1, slab, heads, width).swapaxes(0, 1)
    mixed = jax.lax.map(lambda block: _dense(block, key, value), blocks)
    return mixed.swapaxes(0, 1).reshape(query.shape)


def _chunked(
    query: Float[Array, "B N H K"], key: Float[Array, "B M H K"], value: Float[Array, "B M H K"]
) -> Array:
    rows, frames, heads, width = query.shape
    slab = slab_of("chunked", frames)

    # Rows and heads become one axis, so that the loop holds keys and values of a single head.
    def heads_first(x: Float[Array, "B T H K"]) -> Float[Array, "BH T K"]:
        return x.transpose(0, 2, 1, 3).reshape(rows * heads, x.shape[1], width)

    def one_head(qkv: tuple[Array, Array, Array]) -> Float[Array, "N K"]:
        q, k, v = qkv

        def one_slab(q: Float[Array, "slab K"]) -> Float[Array, "slab K"]:
            scores = jnp.matmul(q, k.T, preferred_element_type=jnp.float32)
            # Less the largest, because exp overflows float32 beyond 88; the quotient stays the same.
            weights = jnp.exp(scores - scores.max(axis=-1, keepdims=True))
            mixed = jnp.matmul(weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
            # Dividing K numbers of each query is cheaper than dividing M weights.
            return (mixed / weights.sum(axis=-1, keepdims=True)).astype(v.dtype)

        return jax.lax.map(one_slab, q.reshape(-1, slab, width)).reshape(frames, width)

    mixed = jax.lax.map(one_head, (heads_first(query), heads_first(key), heads_first(value)))
    return mixed.reshape(rows, heads, frames, width).transpose(0, 2, 1, 3)


def masked_attention(
    query: Float[Array, "B H N K"],
    key: Float[Array, "B H M K"],
    value: Float[Array, "B H M K"],
    visible: Bool[Array, "#B #N M"],
) -> tuple[Float[Array, "B H N K"], Float[Array, "B H N M"]]:
    """Attention to the visible positions, NaN where there are none; and its scores, -inf where masked.

    A masked position has weight 0 exactly, but must be finite in `value`.
    """
    query = query * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
    scores = jnp.einsum("bhnk,bhmk->bhnm", query, key, preferred_element_type=jnp.float32)
    # exp(-inf) is 0 exactly; a large negative number would leave the hidden positions a trace of weight
    # where all scores are as low.
    scores = jnp.where(visible[:, None], scores, -jnp.inf)
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("bhnm,bhmk->bhnk", weights, value), scores

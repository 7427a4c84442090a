"""Scores of all pairs of two batches in XLA: the score of one pair, vmapped over B and mapped over A.

`vmap` makes one large product of the products of a few utterances of A with a block of B's; loops go over the
rest, because all cosines at once would fill any memory. The size of that product follows from the padded
lengths alone, and what doesn't fill it is padded, so every product is of one shape: a pair has the same bits
whatever else is in the batch. DTW runs once over as many utterances of A and blocks of B as `scan_bytes`
allow, and as fit 2^31 numbers, because indices have 32 bits; its distances are written once, as it reads
them: pairs side by side.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int

from isogloss.kernels import dtw, frame_transport, operands, seqsim
from isogloss.kernels.operands import Factor, Operand

SCAN_BYTES = 1_000_000_000
_ACCELERATORS_SCAN = 12.5e9  # a step then has 2^20 cells of full groups, whatever their lengths from 5 s on
_SCAN_SHARE = 0.3  # of a device's memory, at most
_BLOCK, _LONG = 32, 512  # utterances of B in a product of that many frames of A; of shorter ones more,
_LONGEST = 1024  # unless B has so many frames, of which few utterances are given at once
_PRODUCT_BYTES = 48_000_000  # of a product's cosines, what the cache of a large GPU holds
_MOST_TOGETHER = 8  # utterances of A in a product
_MOST_DISTANCES = (1 << 31) - 1  # of a scan
_CHOSEN = 32  # pairs that are computed at once where pairs are chosen
Table = Float32[Array, "U V"]
Scores = tuple[Table, Table, Table, Table, Table]


def scan_bytes(memory: int | None) -> int:
    """Bytes for the distances of one scan of DTW that suit a device of this memory; None if it's unknown."""
    return SCAN_BYTES if memory is None else int(min(_ACCELERATORS_SCAN, _SCAN_SHARE * memory))


def scores(
    x: Operand,
    y: Operand,
    *,
    maxima: bool,
    with_dtw: bool,
    per_cell: bool,
    with_transport: bool = False,
    scan_bytes: int = SCAN_BYTES,
) -> Scores:
    """Precision, recall, DTW cost, transport and its error of every utterance of A with every one of B.

    NaN for those unwanted, where a length is out of range, because a traced value cannot raise, and where a
    frame in use is not finite.

    Args:
      x: utterances of A.
      y: utterances of B.
      maxima: whether precision and recall are wanted.
      with_dtw: whether costs are.
      per_cell: whether a cost is divided by the number of cells of its path.
      with_transport: whether transport is.
      scan_bytes: memory for the distances of one scan; those of one product are always taken.
    """
    frames = x.inverse.shape[1], y.inverse.shape[1]
    size = sizes((len(x.used), len(y.used)), *frames, scan_bytes if with_dtw else None)
    left = _filled(operands.factor(x), size.scan)
    right = _filled(operands.factor(y), size.blocks * size.block)
    chunks = _rows(_rows(left, size.together), size.scan // size.together)
    blocks = _rows(_rows(right, size.block), size.blocks)
    means, costs = (x.mean, y.mean), per_cell if with_dtw else None
    of_few = _of_product(
        means, functools.partial(_pair, maxima=maxima, with_dtw=with_dtw, with_transport=with_transport)
    )

    def of_chunk(rows: Factor) -> tuple[Array, ...]:
        return jax.lax.map(lambda b: _of_scan(rows, b, means, of_few, size, costs), blocks)

    found = jax.lax.map(of_chunk, chunks)  # each (chunks, scans, size.scan, size.blocks * size.block)
    possible = _possible(x)[:, None] & _possible(y)[None, :]
    precision, recall, cost, transported, error = (_table(array, possible) for array in found)
    return precision, recall, cost, transported, error


def _of_product(
    means: tuple[Array | None, Array | None],
    of_pair: Callable[..., tuple[tuple[Array, Array, Array, Array], Array]],
) -> Callable[[Factor, Factor], tuple[tuple[Array, Array, Array, Array], Array]]:
    """Function of a few utterances of A and a block of B, of which XLA makes one product."""
    of_all = jax.vmap(jax.vmap(of_pair, in_axes=(None, 0), out_axes=(0, 2)), in_axes=(0, None))
    zero = None if means[0] is None else jnp.zeros_like(means[0])

    def of_few(few: Factor, block: Factor) -> tuple[tuple[Array, Array, Array, Array], Array]:
        return of_all(operands.without_means(few, zero, means[1]), block)

    return of_few


def chosen_transport(
    x: Operand, y: Operand, u: Int[Array, " P"], v: Int[Array, " P"]
) -> tuple[Float32[Array, " P"], Float32[Array, " P"]]:
    """Transport and its error of chosen pairs: of utterance u of A with utterance v of B; as of `scores`."""
    zero = None if x.mean is None else jnp.zeros_like(x.mean)
    left = operands.without_means(operands.factor(x), zero, y.mean)
    right = operands.without_means(operands.factor(y), y.mean, x.mean)

    def of_pair(a: Int[Array, ""], b: Int[Array, ""]) -> tuple[Array, Array]:
        one, other = (jax.tree.map(lambda of, at=at: of[at], side) for side, at in ((left, a), (right, b)))
        return frame_transport.transport(operands.cosines(one, other), one.used, other.used)

    missing = -len(u) % _CHOSEN
    at = [jnp.pad(index, (0, missing)).reshape(-1, _CHOSEN) for index in (u, v)]
    found = jax.lax.map(lambda few: jax.vmap(of_pair)(*few), tuple(at))
    possible = _possible(x)[u] & _possible(y)[v]
    cost, error = (jnp.where(possible, each.reshape(-1)[: len(u)], jnp.nan) for each in found)
    return cost, error


class Sizes(NamedTuple):
    """Numbers of utterances.

    Attributes:
      together: of A in one product.
      block: of B in one product.
      scan: of A in one scan of DTW.
      blocks: of B in one scan, in blocks.
    """

    together: int
    block: int
    scan: int
    blocks: int


def sizes(users: tuple[int, int], rows: int, columns: int, scan_bytes: int | None) -> Sizes:
    """Sizes of the parts of a table of pairs; a product's size depends on padded lengths alone.

    Args:
      users: utterances of A and of B.
      rows: padded frames of A.
      columns: padded frames of B.
      scan_bytes: memory of a scan's distances; None where there are none.
    """
    # Of short utterances a product has more, but no more than are given at once.
    widest = 1 if columns >= _LONGEST else 2 if columns >= _LONG // 2 else 4
    block = _BLOCK * min(widest, max(1, 1 << (-(-_LONG // rows) - 1).bit_length()))
    pair = 4 * rows * columns
    fit = max(1, min(_MOST_TOGETHER, _PRODUCT_BYTES // (pair * block)))
    together = 1 << (fit.bit_length() - 1)
    products, blocks = -(-users[0] // together), -(-users[1] // block)
    if scan_bytes is None:  # nothing of a block stays when the next one comes
        return Sizes(together, block, products * together, 1)
    most = max(1, min(scan_bytes, 4 * _MOST_DISTANCES) // (pair * together * block))  # products of a scan
    # All of B first; of what is then left of A, scans of like size, so that little is padded.
    of_b = _even(blocks, most)
    return Sizes(together, block, _even(products, max(1, most // of_b)) * together, of_b)


def _even(count: int, most: int) -> int:
    """Size of the fewest parts of at most so many that `count` falls into, all of one size."""
    return -(-count // -(-count // most))


_OfPair = tuple[Float32[Array, ""], Float32[Array, ""], Float32[Array, ""], Float32[Array, ""]]


def _of_scan(
    rows: Factor,
    blocks: Factor,
    means: tuple[Array | None, Array | None],
    of_few: Callable[[Factor, Factor], tuple[tuple[Array, Array, Array, Array], Array]],
    size: Sizes,
    per_cell: bool | None,
) -> tuple[Array, Array, Array, Array, Array]:
    """Scores of the utterances of a scan with those of its blocks; costs are NaN where `per_cell` is None."""
    of_a, of_b = means
    without = functools.partial(operands.without_means, own=of_b, other=of_a)
    blocks = jax.lax.map(functools.partial(operands.apart, without), blocks)

    def of_product(
        at: tuple[Int[Array, ""], Int[Array, ""]],
    ) -> tuple[tuple[Array, Array, Array, Array], Array]:
        block, few = (
            jax.tree.map(lambda of, i=i: jax.lax.dynamic_index_in_dim(of, i, keepdims=False), side)
            for i, side in zip(at, (blocks, rows), strict=True)
        )
        return operands.apart(of_few, few, block)

    # One loop over both: the results of an inner one would be copied into those of an outer one.
    each = jnp.indices((size.blocks, len(rows.used))).reshape(2, -1)
    found, distances = jax.lax.map(of_product, (each[0], each[1]))
    cost = jnp.full((size.blocks * size.scan, size.block), jnp.nan, jnp.float32)
    if per_cell is not None:
        n, m = jnp.broadcast_arrays(rows.used.reshape(1, size.scan, 1), blocks.used[:, None, :])
        lengths = (length.reshape(cost.shape) for length in (n, m))
        lanes = distances.reshape(-1, *distances.shape[2:])  # of products and utterances of A
        cost = dtw.lanes_cost(lanes, *lengths, per_cell=per_cell)
    tables = (p.reshape(size.blocks, size.scan, size.block).swapaxes(0, 1) for p in (*found, cost))
    precision, recall, transport, error, cost = (t.reshape(size.scan, -1) for t in tables)
    return precision, recall, cost, transport, error


def _pair(
    x: Factor, y: Factor, *, maxima: bool, with_dtw: bool, with_transport: bool
) -> tuple[_OfPair, Float32[Array, "N M"]]:
    """(precision, recall, transport, its error) of one pair of utterances, and distances of its frames."""
    c = operands.cosines(x, y)
    nothing = jnp.full((), jnp.nan, jnp.float32)
    precision, recall = seqsim.maxima(c, x.used, y.used) if maxima else (nothing, nothing)
    transported = frame_transport.transport(c, x.used, y.used) if with_transport else (nothing, nothing)
    distances = 1 - c if with_dtw else jnp.zeros((0, 0), jnp.float32)
    return (precision, recall, *transported), distances


def _filled(side: Factor, multiple: int) -> Factor:
    """Side with utterances of one frame of zeros added, up to a multiple."""
    missing = -len(side.used) % multiple
    used = jnp.pad(side.used, (0, missing), constant_values=1)
    padded = jax.tree.map(lambda a: jnp.pad(a, ((0, missing), *[(0, 0)] * (a.ndim - 1))), side)
    return padded._replace(used=used)


def _rows(side: Factor, count: int) -> Factor:
    return jax.tree.map(lambda array: array.reshape(-1, count, *array.shape[1:]), side)


def _table(array: Float32[Array, "C B X Y"], possible: Bool[Array, "U V"]) -> Float32[Array, "U V"]:
    """Rows of A and columns of B, without what fills chunks and blocks; NaN where impossible."""
    rows = array.swapaxes(1, 2).reshape(array.shape[0] * array.shape[2], -1)
    return jnp.where(possible, rows[: possible.shape[0], : possible.shape[1]], jnp.nan)


def _possible(side: Operand) -> Bool[Array, " U"]:
    """Utterances whose length is in range and whose frames in use are finite."""
    longest = side.inverse.shape[1]
    used = jnp.arange(longest)[None, :] < side.used[:, None]
    # Asked of the frames, because maxima lose NaN where compilers order numbers as if there were none.
    return (side.used >= 1) & (side.used <= longest) & ~(jnp.isnan(side.inverse) & used).any(axis=1)

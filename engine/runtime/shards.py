"""Shares of a job's work for several processes, and the speed of this machine for cost estimates.

Shares depend on the whole plan and never on finished work, so that processes that start at different times
still divide the work without overlap.
"""

import dataclasses
import itertools
import time
from collections.abc import Sequence
from typing import TypeVar

from isogloss.engine.runtime.refusal import Refusal

Unit = TypeVar("Unit")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """Part of a plan that one of several processes does.

    Attributes:
      index: index of this process, from 0.
      count: number of processes.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse an index outside [0, count)."""
        if not 0 <= self.index < self.count:
            raise Refusal(
                f"--shard_index must be from 0 to {self.count - 1} with --num_shards={self.count}, got "
                f"{self.index}"
            )

    def of(self, units: Sequence[Unit]) -> Sequence[Unit]:
        """Contiguous slice of `units`; all slices make the whole, their sizes differ by at most 1."""
        # Contiguous, because neighbours share what a unit needs: a language's states, a folder's files.
        start, stop = self._bounds(len(units))
        return units[start:stop]

    def rows(self, sizes: Sequence[int]) -> list[range]:
        """Rows of each list that `of` gives of all lists, one behind the other, by the lists' sizes alone."""
        start, stop = self._bounds(sum(sizes))
        begins = [0, *itertools.accumulate(sizes)]
        return [
            range(max(start - begin, 0), max(min(stop - begin, size), 0))
            for begin, size in zip(begins, sizes, strict=False)
        ]

    def _bounds(self, units: int) -> tuple[int, int]:
        return units * self.index // self.count, units * (self.index + 1) // self.count


def product_flops(platform: str) -> float:
    """Floating-point operations per second of a dense product on this machine, measured in half a second.

    2048 x 2048 matrices, float32 on CPU, bfloat16 elsewhere; the first call compiles.
    """
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415 (--help loads this module)

    size = 2048
    dtype = jnp.float32 if platform == "cpu" else jnp.bfloat16
    x = jnp.asarray(np.random.default_rng(0).standard_normal((size, size)), dtype)
    product = jax.jit(jnp.matmul)
    product(x, x).block_until_ready()  # compiles
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        product(x, x).block_until_ready()  # JAX returns before the product is done
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best

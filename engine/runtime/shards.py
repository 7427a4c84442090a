"""What a run will do and cost, before it does it: shares of several processes, and speed of this machine.

Shares depend on the whole plan and never on what is done already, so that processes that start at different
times still divide the work without overlap.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import TypeVar

from isogloss.engine.runtime.refusal import Refusal

Unit = TypeVar("Unit")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """The part of a plan that one of several processes does.

    Attributes:
      index: of this process, from 0.
      count: of processes.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse a share that isn't one."""
        if not 0 <= self.index < self.count:
            raise Refusal(
                f"shard index must be from 0 to {self.count - 1} for {self.count} shards, got {self.index}"
            )

    def of(self, units: Sequence[Unit]) -> Sequence[Unit]:
        """A contiguous slice of `units`; the slices of all indices make the whole, sizes differ by one."""
        bounds = [len(units) * i // self.count for i in (self.index, self.index + 1)]
        return units[bounds[0] : bounds[1]]


def product_flops(platform: str) -> float:
    """Floating-point operations per second of a dense product here, measured in about half a second.

    float32 on CPU, bfloat16 elsewhere, 2048 cubed; the first call compiles.
    """
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415 (--help reads this module)

    size = 2048
    dtype = jnp.float32 if platform == "cpu" else jnp.bfloat16
    x = jnp.asarray(np.random.default_rng(0).standard_normal((size, size)), dtype)
    product = jax.jit(jnp.matmul)
    product(x, x).block_until_ready()
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        product(x, x).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best

"""Data-parallel execution over the devices of this host: the only module that uses `pmap`.

Parameters are replicated once. A call takes up to `capacity` rows, pads with rows of zeros, and returns
immediately; `rows` waits and copies the shard of each device, never a gathered array. All devices run one
program of one shape, so a row's result doesn't depend on its position or on the other rows.
"""

import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
from flax import nnx

from isogloss.engine.runtime.refusal import Refusal

Program = Callable[..., tuple[jax.Array, ...]]
"""`program(parameters, *arrays) -> arrays`; every array holds the rows of one step on one device."""


def memory() -> int | None:
    """Bytes of the smallest device of this host; None where devices don't report it, as on a CPU."""
    offered = [(device.memory_stats() or {}).get("bytes_limit") for device in jax.local_devices()]
    known = [size for size in offered if size is not None]
    return min(known) if known else None


def rows_that_fit(most: int, step_bytes: Callable[[int], int], memory: int | None) -> int:
    """Rows of a step: `most`, halved until a step fits the memory of a device, and at least one.

    Args:
      most: rows of a step if memory is not the limit.
      step_bytes: memory that a step of that many rows takes.
      memory: bytes of a device; None if unknown.
    """
    rows = most
    while rows > 1 and memory is not None and step_bytes(rows) > memory:
        rows //= 2
    return rows


def seconds_to_compile(program: Program, parameters: nnx.State, *arrays: jax.ShapeDtypeStruct) -> float:
    """Seconds that a program takes to compile for all devices of this host; nothing is allocated.

    Args:
      program: function that each device runs.
      parameters: their shapes.
      arrays: shapes of the rows of one device.
    """
    found = jax.local_devices()
    stacked = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((len(found), *leaf.shape), leaf.dtype), (parameters, *arrays)
    )
    start = time.perf_counter()
    jax.pmap(program, devices=found).lower(*stacked).compile()
    return time.perf_counter() - start


class Replicas:
    """Parameters, one copy per device; several programs may share them."""

    def __init__(self, parameters: nnx.State, devices: int | None = None) -> None:
        """Copy `parameters` to the first `devices` of this host's devices, all by default."""
        self.devices = tuple(jax.local_devices()[:devices])
        # pmap maps over the second argument only, so the parameters are broadcast, once and for all programs.
        replicate = jax.pmap(lambda tree, _: tree, in_axes=(None, 0), devices=self.devices)
        self.parameters = replicate(parameters, np.arange(len(self.devices)))


class DataParallel:
    """A program with replicated parameters, run on rows split over devices."""

    def __init__(self, program: Program, replicas: Replicas, *, rows_per_device: int) -> None:
        """Nothing is compiled yet.

        Args:
          program: function that each device runs.
          replicas: its parameters.
          rows_per_device: rows of one step on one device, at least 1.
        """
        if rows_per_device < 1:
            raise Refusal(f"rows per device must be at least 1, got {rows_per_device}")
        self.devices = replicas.devices
        self.rows_per_device = rows_per_device
        self.capacity = rows_per_device * len(self.devices)
        self._parameters = replicas.parameters
        self._program = jax.pmap(program, devices=self.devices)

    def __call__(self, *arrays: np.ndarray) -> tuple[jax.Array, ...]:
        """Start one step on arrays with equal numbers of rows; `rows` waits for the result."""
        count = arrays[0].shape[0]
        if not 0 < count <= self.capacity or any(a.shape[0] != count for a in arrays):
            shapes = [a.shape for a in arrays]
            raise Refusal(f"a step takes 1 to {self.capacity} rows, equally many of each array, got {shapes}")
        return self._program(self._parameters, *map(self._split, arrays))

    def _split(self, array: np.ndarray) -> np.ndarray:
        full = array
        if len(array) < self.capacity:
            # Zeros give finite results, which nobody reads; another shape would be compiled anew.
            full = np.zeros((self.capacity, *array.shape[1:]), array.dtype)
            full[: len(array)] = array
        return full.reshape(len(self.devices), self.rows_per_device, *array.shape[1:])

    def rows(self, output: tuple[jax.Array, ...], count: int) -> Iterator[tuple[np.ndarray, ...]]:
        """First `count` rows of an output, in order; waits for each device in turn."""
        # Shards are copied one by one: indexing the sharded array itself would gather it on one device.
        shards = [
            sorted(array.addressable_shards, key=lambda shard: shard.index[0].start) for array in output
        ]
        for device in range(-(-count // self.rows_per_device)):
            host = [np.asarray(shard[device].data)[0] for shard in shards]
            for row in range(min(self.rows_per_device, count - device * self.rows_per_device)):
                yield tuple(array[row] for array in host)

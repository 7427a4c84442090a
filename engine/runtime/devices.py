"""Data-parallel execution over the devices of this host: the only module that uses `pmap` or `shard_map`.

Parameters are replicated once. A call takes up to `capacity` rows, pads with rows of zeros, and returns
immediately; `rows` waits and copies the shard of each device, never a gathered array. Of several threads,
`in_turn` computes one step at a time. All devices run one program of one shape, so a row's result doesn't
depend on its position or on the other rows.

Of score matrices, devices that share a pair hold both its sides, and each computes its share of the rows, see
`Rows`. Work of independent items is dealt out, see `dealt`.
"""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from isogloss.engine.runtime import ahead
from isogloss.engine.runtime.refusal import Refusal

Item = TypeVar("Item")
Result = TypeVar("Result")
Tree = Any  # of arrays: nested dicts, tuples and lists
Devices = tuple[Any, ...]  # of JAX, which has no type for them
DIVIDED, WHOLE = PartitionSpec("rows"), PartitionSpec()
"""Of an array's first axis: every device has its share, or all of it."""
Program = Callable[..., tuple[jax.Array, ...]]
"""`program(parameters, *arrays) -> arrays`; every array holds the rows of one step on one device."""


def platform(wanted: str) -> str:
    """Platform that computes, for --device=auto, cpu or gpu; to be asked before anything else of JAX.

    Raises:
      Refusal: JAX doesn't have it.
    """
    if wanted == "cpu":  # also where there is a GPU, which JAX would take by itself
        jax.config.update("jax_platforms", "cpu")
    found = jax.default_backend()
    if wanted not in ("auto", found):
        raise Refusal(
            f"--device={wanted}: JAX sees {found} only ({jax.devices()[0].device_kind}). Remedy: a machine "
            "with such a device and JAX built for it, or --device=cpu"
        )
    return found


@functools.lru_cache(maxsize=64)
def _mapped(program: Program, devices: Devices) -> Program:
    """The program on all of these devices; once made, it is compiled once for each shape in a process."""
    return jax.pmap(program, devices=devices)


@functools.cache
def _copying(devices: Devices) -> Callable[[Tree, np.ndarray], Tree]:
    """Function of a tree and the devices' numbers that copies the tree to each device."""
    # pmap maps over the second argument only, so the tree is broadcast.
    return jax.pmap(lambda tree, _: tree, in_axes=(None, 0), devices=devices)


def _copied(tree: Tree, devices: Devices) -> Tree:
    return _copying(devices)(tree, np.arange(len(devices)))


def memory() -> int | None:
    """Bytes of the smallest device of this host; None where devices don't report it, as on a CPU."""
    offered = [(device.memory_stats() or {}).get("bytes_limit") for device in jax.local_devices()]
    known = [size for size in offered if size is not None]
    return min(known) if known else None


def independent() -> Devices:
    """Devices of this host that compute beside each other; of a CPU's, which share its cores, the first."""
    found = tuple(jax.local_devices())
    return found[:1] if jax.default_backend() == "cpu" else found


def dealt(items: Sequence[Item], compute: Callable[[Item], Result]) -> list[Result]:
    """Results of items, in order, which the independent devices compute in turns, each its own programs."""
    over = independent()
    if len(over) == 1:
        return [compute(item) for item in items]

    def on_device(number: int) -> Generator[tuple[int, Result], None, None]:
        for index in range(number, len(items), len(over)):
            with jax.default_device(over[number]):  # of the thread that runs now
                result = compute(items[index])
            yield index, result

    found = dict(ahead.as_they_come([on_device(number) for number in range(len(over))]))
    return [found[index] for index in range(len(items))]


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


def seconds_to_compile(program: Program, parameters: Tree, *arrays: jax.ShapeDtypeStruct) -> float:
    """Seconds that a program takes to compile for all devices of this host; nothing is allocated.

    Args:
      program: function that each device runs.
      parameters: their shapes.
      arrays: shapes of the rows of one device.
    """
    found = jax.local_devices()
    start = time.perf_counter()
    jax.pmap(program, devices=found).lower(*_stacked((parameters, *arrays), len(found))).compile()
    return time.perf_counter() - start


def _stacked(shapes: Tree, devices: int) -> Tree:
    """Shapes of arrays with an axis of devices before the others, of those of one device."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((devices, *leaf.shape), leaf.dtype), shapes)


class Replicas:
    """Parameters, one copy per device; several programs may share them."""

    def __init__(self, parameters: Tree, devices: int | None = None) -> None:
        """Copy `parameters` to the first `devices` of this host's devices, all by default."""
        self.devices = tuple(jax.local_devices()[:devices])
        self.parameters = _copied(parameters, self.devices)


AXIS = "devices"
"""Name of the axis along which programs of a Lockstep sum."""


def summed(tree: Tree) -> Tree:
    """Sum over a Lockstep's devices, in its programs; one device's tree is returned without a copy."""
    return jax.lax.psum(tree, AXIS) if jax.lax.psum(1, AXIS) > 1 else tree


class Lockstep:
    """State that is equal on all devices of this host, and programs that change or measure it together.

    A program is `program(state, constants, rows)`: rows are divided among the devices, and the program sums
    along AXIS what must be equal everywhere.
    """

    def __init__(self, state: Tree, constants: Tree, devices: int | None = None) -> None:
        """Copy `state` and `constants`, trees of arrays, to the first `devices`, all by default."""
        self.devices = tuple(jax.local_devices()[:devices])
        whole = NamedSharding(Mesh(np.asarray(self.devices), (AXIS,)), WHOLE)
        # Computed, because `device_put` may hand over the caller's own memory, which a step would change.
        self._copying = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree), out_shardings=whole)
        self._constants = self._copied(constants)
        self.replace(state)

    def replace(self, state: Tree) -> None:
        """Put another state in place of the present one."""
        self._state = self._copied(state)

    def _copied(self, tree: Tree) -> Tree:
        # Waits, so that the caller may change its arrays at once.
        return jax.block_until_ready(self._copying(jax.tree.map(np.asarray, tree)))

    def stepping(self, program: Callable[..., tuple[Tree, Tree]]) -> Callable[[Tree], Tree]:
        """Function of rows that advances the state by one step and returns the program's figures.

        The program returns the next state and the figures, which are arrays on the devices, see `first`.
        """
        mapped = _in_lockstep(program, self.devices, advancing=True)

        def advance(rows: Tree) -> Tree:
            self._state, figures = mapped(self._state, self._constants, self._split(rows))
            return figures

        return advance

    def measuring(self, program: Callable[..., Tree]) -> Callable[[Tree], Tree]:
        """Function of rows that returns the program's figures and leaves the state as it is."""
        mapped = _in_lockstep(program, self.devices, advancing=False)
        return lambda rows: mapped(self._state, self._constants, self._split(rows))

    def _split(self, rows: Tree) -> Tree:
        count = len(self.devices)
        return jax.tree.map(lambda a: np.asarray(a).reshape(count, len(a) // count, *a.shape[1:]), rows)

    def state(self) -> Tree:
        """The state, on the host."""
        return first(self._state)


def _in_lockstep(program: Callable[..., Tree], devices: Devices, *, advancing: bool) -> Callable[..., Tree]:
    """The program on all devices; if it is advancing, the old state's memory is used for the new one."""
    # State and constants have no axis of devices: with one, XLA computes each new array beside the old one
    # and copies it.
    return jax.pmap(
        program,
        axis_name=AXIS,
        devices=devices,
        in_axes=(None, None, 0),
        out_axes=None,
        donate_argnums=(0,) if advancing else (),
    )


def first(tree: Tree) -> Tree:
    """Values that are equal on all devices, on the host: those of the first; waits for them."""
    # The copy frees the device's memory for the next step.
    return jax.tree.map(np.array, tree)


def step_cost(
    program: Callable[..., Tree], state: Tree, constants: Tree, rows: Tree
) -> tuple[float, int | None]:
    """Seconds that a program of a Lockstep takes to compile, and bytes that it takes on a device.

    Arguments are trees of shapes, `rows` those of one device; nothing is allocated. Bytes are None where the
    compiler doesn't tell them.
    """
    found = tuple(jax.local_devices())
    start = time.perf_counter()
    mapped: Any = _in_lockstep(program, found, advancing=True)
    made = mapped.lower(state, constants, _stacked(rows, len(found))).compile().memory_analysis()
    seconds = time.perf_counter() - start
    if made is None:
        return seconds, None
    used = made.argument_size_in_bytes + made.output_size_in_bytes + made.temp_size_in_bytes
    return seconds, int(used - made.alias_size_in_bytes)


_TURN = threading.Lock()


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
        self._program = _mapped(program, self.devices)
        self._divided = NamedSharding(Mesh(np.asarray(self.devices), ("rows",)), DIVIDED)

    def __call__(self, *arrays: np.ndarray) -> tuple[jax.Array, ...]:
        """Start one step on arrays with equal numbers of rows; `rows` waits for the result."""
        return self._program(self._parameters, *self._inputs(arrays))

    def in_turn(self, *arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
        """Results of one step, a tuple for each row; other threads and programs that call this wait.

        So the devices' memory holds one step, and the inputs of those that wait.
        """
        inputs = jax.device_put(self._inputs(arrays), self._divided)
        with _TURN:
            return iter([*self.rows(self._program(self._parameters, *inputs), arrays[0].shape[0])])

    def _inputs(self, arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        """Arrays of a full step, with an axis of devices."""
        count = arrays[0].shape[0]
        if not 0 < count <= self.capacity or any(a.shape[0] != count for a in arrays):
            shapes = [a.shape for a in arrays]
            raise Refusal(f"a step takes 1 to {self.capacity} rows, equally many of each array, got {shapes}")
        return [self._split(array) for array in arrays]

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


class Rows:
    """Programs whose rows are divided over devices that hold all they need: nothing moves between calls."""

    def __init__(self, devices: Devices) -> None:
        """Of devices of this host, at least one."""
        self.count = len(devices)
        self._mesh = Mesh(np.asarray(devices), ("rows",))
        self._copies = jax.jit(lambda arrays: arrays, out_shardings=NamedSharding(self._mesh, WHOLE))
        self._first = devices[0]

    def on_first(self) -> contextlib.AbstractContextManager[object]:
        """Block in which this thread computes on the first of these devices."""
        return jax.default_device(self._first)

    def upload(self, arrays: PyTree[np.ndarray]) -> PyTree[jax.Array]:
        """Copies of arrays on every device, before they are there.

        Each byte leaves the host once: devices get shares of the first axis, a multiple of `count`, and then
        the rest from each other.
        """
        return self._copies(jax.device_put(arrays, NamedSharding(self._mesh, DIVIDED)))

    def divided(
        self, program: Callable[..., PyTree[jax.Array]], *arguments: PyTree[PartitionSpec]
    ) -> Callable[..., PyTree[jax.Array]]:
        """Program that each device runs on its share of rows; results are divided along the first axis.

        Args:
          program: one of a kind for all devices, compiled once for each shape.
          arguments: DIVIDED or WHOLE, for each argument or for parts of it, though all devices hold them all.
        """
        of_share = jax.shard_map(
            program, mesh=self._mesh, in_specs=arguments, out_specs=DIVIDED, check_vma=False
        )
        return jax.jit(of_share)

"""Yardsticks of this machine: dense products, copies, sequential writes and reads of a file.

Benchmarks state every figure as a share of one of these, measured in the same run. A product on an
accelerator is repeated inside one program, so that the latency of a call doesn't count.
"""

import concurrent.futures
import os
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from isogloss.engine.bench import data
from isogloss.engine.bench.setting import FLOPS_UNIT
from isogloss.engine.bench.timing import TimedTask

_PIECE = 1 << 22  # bytes of a write


def product_format(device: str) -> str:
    """Number format of the dense product that others are compared with."""
    return "float32" if device == "cpu" else "bfloat16"


def products(device: str, quick: bool) -> list[TimedTask]:
    """Candidates for the best dense product, in `product_format`: on a CPU by BLAS, too."""
    sizes = (256,) if quick else (2048, 4096) if device == "cpu" else (2048, 4096, 8192)
    chosen = jnp.dtype(product_format(device))
    tasks = []
    for size in sizes:
        x, y = data.rng().standard_normal((2, size, size), np.float32)
        flops = 2 * size**3 / 1e9
        if device == "cpu":
            tasks.append(_task(f"product {size}, NumPy", _numpy_product(x, y), flops))
        repeats = 1 if device == "cpu" else 16
        tasks.append(_task(f"product {size}, XLA", _xla_product(x, y, chosen, repeats), repeats * flops))
    return tasks


def _task(name: str, call: Callable[[], object], work: float) -> TimedTask:
    return TimedTask(name=name, call=call, work=work, unit=FLOPS_UNIT)


def _numpy_product(x: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    out = np.empty_like(x)
    return lambda: np.matmul(x, y, out=out)


def _xla_product(x: np.ndarray, y: np.ndarray, dtype: np.dtype, repeats: int) -> Callable[[], object]:
    left = jnp.asarray(x, dtype)
    right = jnp.asarray(y * len(y) ** -0.5, dtype)  # a product of products keeps its scale

    @jax.jit
    def product(left: jax.Array, right: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, repeats, lambda _, z: jnp.matmul(z, right), left)

    return lambda: product(left, right)


def copies(device: str, quick: bool) -> list[TimedTask]:
    """Candidates for the fastest plain copy; bytes read and bytes written both count."""
    size = 1 << (22 if quick else 28 if device == "cpu" else 30)  # bytes
    source = data.rng().standard_normal(size // 4, np.float32)
    work = 2 * size / 1e9
    if device != "cpu":
        there = jnp.asarray(source)
        negative = jax.jit(jnp.negative)  # a bare copy might be optimised away
        return [TimedTask(name="copy, XLA", call=lambda: negative(there), work=work, unit="GB/s")]
    target = np.empty_like(source)
    # One core seldom saturates the memory of a server, so both are tried and the faster one counts.
    count = os.cpu_count() or 1
    pairs = list(zip(np.array_split(target, count), np.array_split(source, count), strict=True))
    threads = concurrent.futures.ThreadPoolExecutor(count)

    def with_threads() -> None:
        for _ in threads.map(lambda pair: np.copyto(*pair), pairs):
            pass

    return [
        TimedTask(name="copy, one thread", call=lambda: np.copyto(target, source), work=work, unit="GB/s"),
        TimedTask(name=f"copy, {count} threads", call=with_threads, work=work, unit="GB/s"),
    ]


def sequential_write(path: pathlib.Path, size: int) -> TimedTask:
    """Sequential write of `size` random bytes to a new file, and fsync."""
    piece = data.rng().bytes(_PIECE)

    def write() -> None:
        with path.open("wb", buffering=0) as file:
            for start in range(0, size, _PIECE):
                file.write(piece[: size - start])
            os.fsync(file.fileno())  # as TensorStore does; without it the page cache would be measured

    return TimedTask(
        name="sequential write and fsync",
        call=write,
        work=size / 1e9,
        unit="GB/s",
        prepare=lambda: path.unlink(missing_ok=True),
    )


def sequential_read(path: pathlib.Path, size: int) -> TimedTask:
    """Sequential read of a file of `size` bytes, which is in the page cache."""
    path.write_bytes(data.rng().bytes(size))
    buffer = bytearray(_PIECE)

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    return TimedTask(name="sequential read", call=read, work=size / 1e9, unit="GB/s")

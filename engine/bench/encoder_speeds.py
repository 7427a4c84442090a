"""Speeds of the encoder and of extraction on this device, beside its own product; random weights.

The encoder returns all states, in each form of attention that the device knows. Its useful work is
`encoder_program.flops`: norms, softmax and GELU are not in it. Extraction goes from waveforms in the host's
memory to float16 states there, two steps under way as in the job; also from files to shards,
where soundfile and zarr are there.
"""

import collections
import contextlib
import functools
import importlib
import math
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from isogloss.engine.bench import data, encoder, oracle
from isogloss.engine.bench.findings import Finding, Stopwatch, Yardstick, absent
from isogloss.engine.bench.setting import BenchSetting
from isogloss.engine.bench.timing import TimedTask
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.runtime import devices
from isogloss.engine.runtime.devices import DataParallel, Replicas
from isogloss.engine.whisper import encoder_program, parameters
from isogloss.engine.whisper.named_states import state_names

WANTED_SHARE = 0.5
_STEPS = 3  # of an extraction that is timed


def forms(device: str) -> tuple[str, ...]:
    """Forms of attention to compare, the platform's own first."""
    if device == "cpu":
        return ("chunked", "blocks")
    return ("blocks", "dense", "cudnn") if device == "gpu" else ("blocks", "dense")


def sizes(*, quick: bool) -> dict[str, Dimensions]:
    """Encoders by name."""
    if quick:
        return {"nano": encoder.dimensions(16, 2, 2, positions=100)}
    return {name: encoder.dimensions(*shape) for name, shape in encoder.SIZES.items()}


def errors(device: str) -> Iterator[Finding]:
    """Error of every state of a small encoder, in every form, against float64."""
    small = encoder.dimensions(64, 2, 2, positions=100)
    tensors = encoder.random_tensors(small)
    mel = data.rng(4).standard_normal((1, 200, small.mels), np.float32)
    expected = oracle.encoder_states(tensors, small, mel[0])
    for form in forms(device):
        precision = encoder_program.precision_for(device, form=form)
        dtype = jnp.dtype(precision.compute)
        graph, shapes = parameters.build(small, dtype=dtype, form=form)
        weights = parameters.cast(parameters.load(shapes, tensors.__getitem__, small.encoder_layers), dtype)
        found = _run(graph)(weights, jnp.asarray(mel))[:, 0]
        check = encoder.check_states(np.asarray(found, np.float64), expected, small, precision.compute)
        name = f"states against float64, {precision.compute}, {form} attention"
        yield Finding(stage="encoder", name=name, found=check.error, bound=check.bound)


def speeds(device: str, product: Yardstick, *, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """Share of the product with all states, for every size and form of attention."""
    for name, size in sizes(quick=quick).items():
        rows = encoder_program.rows_per_device(device, size, devices.memory())
        shape = rows, 2 * size.positions, size.mels
        mel = jax.random.normal(jax.random.key(6), shape, jnp.float32)
        flops = rows * encoder_program.flops(size)
        first: jax.Array | None = None
        for form in forms(device):
            graph, weights = _random(size, device, form)
            call = functools.partial(_run(graph), weights, mel)
            rate, share = watch.share(call, flops, product)
            usual = form in (forms(device)[0], "cudnn")
            yield Finding(
                stage="encoder", name=f"{name}, all states, {rows} windows, {form} attention", found=share,
                wanted=WANTED_SHARE if usual else None,
                note=f"{rate / 1e12:.4g} TFLOP/s of {product.name} product; {rate / flops * rows:.4g} a s",
            )  # fmt: skip
            last = call()[-1]
            if first is None:
                first = last
                continue
            off = float(jnp.linalg.norm((last - first).ravel()) / jnp.linalg.norm(first.ravel()))
            stages = size.encoder_layers + 1
            unit = np.sqrt(size.ffn) * oracle.UNIT_ROUNDOFF if product.name == "float32" else 2.0**-8
            yield Finding(
                stage="encoder", name=f"{name}, {form} from {forms(device)[0]} attention", found=off,
                bound=float(8 * unit * np.sqrt(stages)),
            )  # fmt: skip


def extraction(device: str, product: Yardstick, *, quick: bool) -> Iterator[Finding]:
    """Windows a second from waveforms to float16 states in the host's memory, and from files to shards."""
    chosen = {name: size for name, size in sizes(quick=quick).items() if name != "small"}
    for name, size in chosen.items():
        rows = encoder_program.rows_per_device(device, size, devices.memory())
        graph, weights = _random(size, device, forms(device)[0])
        names = state_names(size.encoder_layers)
        run = encoder_program.program(size, graph, names, "float16")
        stream = DataParallel(run, Replicas(weights), rows_per_device=rows)
        samples = encoder_program.time_axis(size).window_samples
        waves = 0.1 * data.rng(23).standard_normal((stream.capacity, samples), np.float32)
        frames = np.full(stream.capacity, size.positions, np.int32)
        _stream(stream, waves, frames, 1)  # compiles
        start = time.perf_counter()
        held = _stream(stream, waves, frames, _STEPS)
        seconds = time.perf_counter() - start
        windows = _STEPS * stream.capacity
        work = windows * encoder_program.flops(size) / len(stream.devices)
        [its] = Stopwatch(shortest=0.0).seconds(product.call)
        share = work / seconds / (product.flops / its)
        yield Finding(
            stage="extraction", name=f"{name}, waveforms to float16 states on the host, {rows} a step",
            found=windows / seconds, unit="windows/s",
            note=f"{share:.1%} of the product; {held / seconds / 1e9:.3g} GB/s of states",
        )  # fmt: skip
    yield from _files_to_shards(device, product, quick=quick)


def _stream(stream: DataParallel, waves: np.ndarray, frames: np.ndarray, steps: int) -> int:
    """Bytes of states that arrive at the host from so many steps, two of them under way."""
    under_way: collections.deque[tuple[jax.Array, ...]] = collections.deque()
    received = 0
    for step in range(steps + 1):
        if step < steps:
            under_way.append(stream(waves, frames))
        if step >= 1:
            received += sum(row[0].nbytes for row in stream.rows(under_way.popleft(), len(waves)))
    return received


def _files_to_shards(device: str, product: Yardstick, *, quick: bool) -> Iterator[Finding]:
    name = "files to shards"
    try:
        suite = importlib.import_module("isogloss.engine.bench.extract")
        importlib.import_module("zarr")
    except ImportError as error:
        yield absent("extraction", name, error)
        return
    task = TimedTask(name="product", call=product.call, work=product.flops / 1e9, unit="GFLOP/s")
    setting = BenchSetting(
        device=device, implementation="xla", peers=frozenset(), quick=quick, product=task, copy=task
    )
    planned = suite.cases(setting)[0]
    case = planned.build()
    with case.folder or contextlib.nullcontext():
        ours = case.tasks[0]
        ours.call()  # compiles
        assert ours.prepare is not None
        ours.prepare()
        start = time.perf_counter()
        made = ours.call()
        seconds = time.perf_counter() - start
        assert ours.check is not None
        check = ours.check(made)
    title = f"{name}, {planned.title}"
    yield Finding(stage="extraction", name=title, found=ours.work / seconds, unit=ours.unit)
    yield Finding(stage="extraction", name=f"error, {title}", found=check.error, bound=check.bound)


@functools.cache
def _run(graph: nnx.GraphDef) -> Callable[[nnx.State, jax.Array], jax.Array]:
    return jax.jit(lambda weights, mel: nnx.merge(graph, weights)(mel))


def _random(size: Dimensions, device: str, form: str) -> tuple[nnx.GraphDef, nnx.State]:
    """An encoder and random weights made on the device; their spread keeps the stream's scale."""
    precision = encoder_program.precision_for(device, form=form)
    graph, shapes = parameters.build(size, dtype=jnp.dtype(precision.compute), form=form)
    keys = iter(jax.random.split(jax.random.key(7), 1000))

    def draw(shape: tuple[int, ...]) -> jax.Array:
        inputs = math.prod(shape[:-1]) if len(shape) > 1 else 100
        return jax.random.normal(next(keys), shape, jnp.float32) * inputs**-0.5

    flat = [
        (path, variable.replace(draw(variable.shape) + float(path[-1] == "scale")))
        for path, variable in nnx.to_flat_state(shapes)
    ]
    return graph, parameters.cast(nnx.from_flat_state(flat), jnp.dtype(precision.compute))

"""Speeds of the encoder and of extraction on this device, beside its own product; random weights.

The encoder returns all states, in each form of attention that the device knows. Its useful work is
`encoder_program.flops`: norms, softmax and GELU are not in it. Extraction goes from waveforms in the host's
memory to float16 states there, two steps under way as in the job; also from files to shards,
where soundfile and zarr are there. A form or size that fails costs no other: cuDNN may be missing, or memory.
"""

import collections
import contextlib
import functools
import importlib
import math
import time
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Float32

from isogloss.engine.bench import data, encoder, oracle
from isogloss.engine.bench.findings import Finding, Stopwatch, Yardstick, attempted
from isogloss.engine.bench.setting import BenchSetting
from isogloss.engine.bench.timing import TimedTask
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.runtime import devices
from isogloss.engine.runtime.devices import DataParallel, Replicas
from isogloss.engine.whisper import encoder_program, parameters
from isogloss.engine.whisper.named_states import state_names

WANTED_SHARE = 0.5
_FILES = "files to shards"
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


def wanted(device: str, form: str) -> float | None:
    """Share of the product that is wanted of a form: of the platform's own and of cuDNN's."""
    return WANTED_SHARE if form in (forms(device)[0], "cudnn") else None


def errors(device: str, watch: Stopwatch) -> Iterator[Finding]:
    """Error of every state of a small encoder, in every form, against float64."""
    small = encoder.dimensions(64, 2, 2, positions=100)
    tensors = encoder.random_tensors(small)
    mel = data.rng(4).standard_normal((1, 200, small.mels), np.float32)
    expected = oracle.encoder_states(tensors, small, mel[0])
    for form in forms(device):
        part = functools.partial(_error, form, device, small, tensors, mel, expected)
        yield from attempted("encoder", f"states against float64, {form} attention", part, watch)


def _error(
    form: str,
    device: str,
    size: Dimensions,
    tensors: Mapping[str, Float32[np.ndarray, "..."]],
    mel: Float32[np.ndarray, "1 T mels"],
    expected: Float[np.ndarray, "S N D"],
) -> Iterator[Finding]:
    precision = encoder_program.precision_for(device, form=form)
    dtype = jnp.dtype(precision.compute)
    graph, shapes = parameters.build(size, dtype=dtype, form=form)
    weights = parameters.cast(parameters.load(shapes, tensors.__getitem__, size.encoder_layers), dtype)
    found = _run(graph)(weights, jnp.asarray(mel))[:, 0]
    check = encoder.check_states(np.asarray(found, np.float64), expected, size, precision.compute)
    name = f"states against float64, {precision.compute}, {form} attention"
    yield Finding(stage="encoder", name=name, found=check.error, bound=check.bound)


def speeds(device: str, product: Yardstick, *, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """Share of the product with all states, for every size and form of attention.

    The last state of each form is compared with that of the first form that runs.
    """
    for name, size in sizes(quick=quick).items():
        rows = {form: _rows(device, size, form) for form in forms(device)}
        shape = max(rows.values()), 2 * size.positions, size.mels
        mel = jax.random.normal(jax.random.key(6), shape, jnp.float32)
        first: dict[str, jax.Array] = {}
        for form in rows:
            part = functools.partial(
                _speed, name, size, form, mel[: rows[form]], device, product, watch, first
            )
            yield from attempted("encoder", f"{name}, {form} attention", part, watch)


def _speed(
    name: str,
    size: Dimensions,
    form: str,
    mel: Float32[jax.Array, "B T mels"],
    device: str,
    product: Yardstick,
    watch: Stopwatch,
    first: dict[str, jax.Array],
) -> Iterator[Finding]:
    """Share of one form, and how far its last state is from that in `first`, which is filled if empty."""
    flops = len(mel) * encoder_program.flops(size)
    graph, weights = _random(size, device, form)
    call = functools.partial(_run(graph), weights, mel)
    rate, share = watch.share(call, flops, product)
    yield Finding(
        stage="encoder", name=f"{name}, all states, {len(mel)} windows, {form} attention", found=share,
        wanted=wanted(device, form),
        note=f"{rate / 1e12:.4g} TFLOP/s of {product.name} product; {rate / flops * len(mel):.4g} a s",
    )  # fmt: skip
    last = call()[-1]
    if not first:
        first[form] = last
        return
    [(other, theirs)] = first.items()
    rows = min(len(last), len(theirs))  # a form that takes more memory has fewer
    off = jnp.linalg.norm((last[:rows] - theirs[:rows]).ravel()) / jnp.linalg.norm(theirs[:rows].ravel())
    unit = np.sqrt(size.ffn) * oracle.UNIT_ROUNDOFF if product.name == "float32" else 2.0**-8
    yield Finding(
        stage="encoder", name=f"{name}, last state, {form} from {other} attention", found=float(off),
        bound=float(8 * unit * np.sqrt(size.encoder_layers + 1)),
    )  # fmt: skip


def _rows(device: str, size: Dimensions, form: str) -> int:
    """Windows of a step."""
    return encoder_program.rows_per_device(device, size, devices.memory(), form)


def extraction(device: str, product: Yardstick, *, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """Windows a second from waveforms to float16 states in the host's memory, and from files to shards."""
    for name, size in sizes(quick=quick).items():
        if name != "small":
            part = functools.partial(_waves_to_states, name, size, device, product)
            yield from attempted("extraction", name, part, watch)
    part = functools.partial(_files_to_shards, device, product, quick=quick)
    yield from attempted("extraction", _FILES, part, watch)


def _waves_to_states(name: str, size: Dimensions, device: str, product: Yardstick) -> Iterator[Finding]:
    form = forms(device)[0]
    rows = _rows(device, size, form)
    graph, weights = _random(size, device, form)
    names = state_names(size.encoder_layers)
    run = encoder_program.program(size, graph, names, "float16", encoder.filters(size))
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
    # Imported here: they need packages that a machine may lack.
    suite = importlib.import_module("isogloss.engine.bench.extract")
    importlib.import_module("zarr")
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
    title = f"{_FILES}, {planned.title}"
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

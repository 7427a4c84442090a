"""Speeds of the frame kernels on this device, beside its own dense products in the same turns.

Frames are normal random numbers of the stores' type. They are on the device as the grid job holds them, as
operands filled up with zeros to its padded lengths, and the program is the grid's; only `grid` moves them.
Useful work is 2 D for a pair of frames in use, and a cell of the DTW table in use is an update (GCUPS: 1e9 of
them a second). What padding costs therefore lowers the figures, as it does in the job.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from isogloss.engine.bench import data, machine_peak, oracle
from isogloss.engine.bench.findings import Finding, Stopwatch, Yardstick, attempted
from isogloss.engine.runtime import devices
from isogloss.kernels import dtw, frame_scores, operands, pair_table
from isogloss.kernels.operands import Operand

WANTED_SHARE, WANTED_NARROW, WANTED_GCUPS = 0.65, 0.5, 300.0
_NARROW = 512  # features; the maxima weigh more beside so short a product
_PADDED = {300: 320, 600: 640, 1500: 1536}
"""Frames, padded as `language_states` pads them for devices; it needs packages that a machine may lack."""
_FRAMES_OF_A_LANGUAGE = 76_800
_BLOCK = 32  # utterances, or a multiple of it, in a product of the grid: others would be padded


class Shape(NamedTuple):
    """Utterances of a language that are equally long.

    Attributes:
      features: of a frame.
      utterances: of the language.
      frames: in use of each.
      padded: frames of each, those included that are not in use.
    """

    features: int
    utterances: int
    frames: int
    padded: int


def shapes(*, quick: bool) -> dict[str, tuple[Shape, ...]]:
    """Shapes of the frames, by stage."""
    if quick:
        small = Shape(16, 2, 8, 12), Shape(16, 2, 20, 24)
        return {"SeqSim": small, "SeqSim and DTW": small[1:], "grid of 4 languages": (Shape(16, 2, 12, 16),)}
    return {
        "SeqSim": tuple(
            Shape(features, -(-_FRAMES_OF_A_LANGUAGE // (_BLOCK * frames)) * _BLOCK, frames, padded)
            for features in (512, 768, 1280)
            for frames, padded in _PADDED.items()
        ),
        "SeqSim and DTW": (Shape(1280, 128, 600, _PADDED[600]),),
        "grid of 4 languages": (Shape(1280, 96, 600, _PADDED[600]),),
    }


def wanted_share(features: int) -> float:
    """Share of the product that is wanted of SeqSim."""
    return WANTED_NARROW if features <= _NARROW else WANTED_SHARE


def yardstick(device: str, *, quick: bool, watch: Stopwatch) -> tuple[Yardstick, Finding]:
    """The device's best dense product, and its speed."""
    name, rates = machine_peak.product_format(device), {}
    for task in machine_peak.products(device, quick):
        [seconds] = watch.seconds(task.call)
        rates[task.work / seconds] = Yardstick(name=name, call=task.call, flops=1e9 * task.work)
    best = max(rates)
    return rates[best], Finding(stage="product", name=name, found=best / 1e3, unit="TFLOP/s")


def seqsim(dtype: str, product: Yardstick, *, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """Share of the product at every width and length, and the error of one pair of each."""
    for shape in shapes(quick=quick)["SeqSim"]:
        title = f"{shape.features} features x {shape.frames} frames"
        part = functools.partial(_share, title, shape, dtype, product, watch)
        yield from attempted("SeqSim", title, part, watch)


def _share(title: str, shape: Shape, dtype: str, product: Yardstick, watch: Stopwatch) -> Iterator[Finding]:
    given = [_frames(seed, shape, dtype) for seed in (3, 4)]
    x, y = (_operand(side, shape) for side in given)
    flops = 2.0 * shape.features * (shape.utterances * shape.frames) ** 2
    call = functools.partial(_scores, x, y, ("seqsim", "precision", "recall"))
    rate, share = watch.share(call, flops, product)
    yield Finding(
        stage="SeqSim", name=title, found=share, wanted=wanted_share(shape.features),
        note=f"{rate / 1e12:.4g} TFLOP/s, of {product.name} product; "
        f"{shape.utterances} utterances, padded to {shape.padded} frames",
    )  # fmt: skip
    first = (np.asarray(side[0, : shape.frames], np.float32) for side in given)
    made = call()
    error = max(
        abs(float(made[name][0, 0]) - value)
        for name, value in zip(("precision", "recall"), oracle.seqsim(*first), strict=True)
    )
    yield Finding(stage="SeqSim", name=f"error, {title}", found=error, bound=1e-5)


def warping(*, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """GCUPS of given distances, in the grid's order and table after table, and the error of a cost."""
    users, pairs, frames = (3, 2, 20) if quick else (64, 64, 600)
    distances = jax.random.uniform(jax.random.key(5), (users, frames, frames, pairs), jnp.float32)
    lengths = np.full((users, pairs), frames, np.int32)
    tables = distances.transpose(0, 3, 1, 2).reshape(-1, frames, frames)
    by_grid, by_table = watch.seconds(
        lambda: _lanes_cost(distances, lengths, lengths),
        lambda: dtw.dtw_cost(tables, lengths.ravel(), lengths.ravel()),
    )
    cells, name = distances.size / 1e9, f"{len(tables)} pairs of {frames} frames, distances given"
    # Neighbours in memory are pairs, as the product of frames writes them: whole lines are read.
    yield Finding(stage="DTW", name=name, found=cells / by_grid, unit="GCUPS", wanted=WANTED_GCUPS)
    yield Finding(
        stage="DTW", name=f"{name}, one table after the other", found=cells / by_table, unit="GCUPS"
    )
    found = float(_lanes_cost(distances, lengths, lengths)[0, 0])
    expected = oracle.dtw_cost(np.asarray(tables[0], np.float64))
    yield Finding(stage="DTW", name="error of a cost", found=abs(found - expected) / expected, bound=1e-5)


def together(dtype: str, *, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """GCUPS of SeqSim and DTW from one product, and what DTW adds."""
    [shape] = shapes(quick=quick)["SeqSim and DTW"]
    x, y = (_operand(_frames(seed, shape, dtype), shape) for seed in (3, 4))
    alone, both = watch.seconds(lambda: _scores(x, y, ("seqsim",)), lambda: _scores(x, y, ("seqsim", "dtw")))
    cells, count = (shape.utterances * shape.frames) ** 2 / 1e9, shape.utterances
    name = f"{count} x {count} utterances of {shape.frames} frames, {shape.features} features"
    yield Finding(
        stage="SeqSim and DTW", name=name, found=cells / both, unit="GCUPS",
        note=f"SeqSim alone {cells / alone:.4g}; DTW adds {1000 * (both - alone):.4g} ms",
    )  # fmt: skip
    added = cells / max(both - alone, 1e-9)
    yield Finding(
        stage="SeqSim and DTW", name="DTW, by what it adds", found=added, unit="GCUPS", wanted=WANTED_GCUPS
    )


def grid(dtype: str, *, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """Pairs a second of 4 languages whose frames are on the device, and with every pair's frames uploaded.

    Nothing waits between pairs: the next one's frames go up while kernels run.
    """
    [shape] = shapes(quick=quick)["grid of 4 languages"]
    random, drawn = data.rng(22), (shape.utterances, shape.frames, shape.features)
    # Padded on the host, as the job does: what isn't in use is uploaded, too.
    more = (0, 0), (0, shape.padded - shape.frames), (0, 0)
    host = [np.pad(random.standard_normal(drawn, np.float32).astype(dtype), more) for _ in range(4)]
    there = [_operand(jax.device_put(language), shape) for language in host]

    def pair(x: Operand, y: Operand) -> object:
        return _scores(x, y, ("seqsim", "dtw"))

    def uploading() -> list[object]:
        return [
            pair(*(_operand(jax.device_put(language), shape) for language in languages))
            for languages in itertools.combinations(host, 2)
        ]

    with_uploads, without = watch.seconds(
        uploading, lambda: [pair(*languages) for languages in itertools.combinations(there, 2)]
    )
    title = f"{shape.utterances} utterances of {shape.frames} frames, {shape.features} features"
    stage = "grid of 4 languages"
    yield Finding(stage=stage, name=f"without uploads, {title}", found=6 / without, unit="pairs/s")
    yield Finding(stage=stage, name="with uploads for every pair", found=6 / with_uploads, unit="pairs/s")
    yield Finding(stage=stage, name="with uploads, share of without", found=without / with_uploads)


def _frames(seed: int, shape: Shape, dtype: str) -> Float[Array, "U N D"]:
    """Random frames, zeros where they are not in use."""
    drawn = shape.utterances, shape.frames, shape.features
    frames = jax.random.normal(jax.random.key(seed), drawn, jnp.dtype(dtype))
    return jnp.pad(frames, ((0, 0), (0, shape.padded - shape.frames), (0, 0)))


def _operand(frames: Float[Array, "U N D"], shape: Shape) -> Operand:
    """Padded frames as the grid job holds them, with the number in use of each utterance."""
    used = jnp.full(len(frames), shape.frames, jnp.int32)
    form = operands.form_for(jax.default_backend(), frames.dtype, "xla")
    return _made(frames, used, None, form=form)


def _scores(x: Operand, y: Operand, measures: tuple[str, ...]) -> dict[str, Float32[Array, "U V"]]:
    scan_bytes = pair_table.scan_bytes(devices.memory())
    return frame_scores.operand_scores(x, y, measures=measures, scan_bytes=scan_bytes)


_made = jax.jit(operands.operand, static_argnames="form")
_lanes_cost = jax.jit(dtw.lanes_cost)

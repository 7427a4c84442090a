"""Speeds of the frame kernels on this device, beside its own dense products in the same turns.

Frames are normal random numbers of the stores' type. They are on the device as the grid job holds them, as
operands, and the program is the grid's; only `grid` moves them. Useful work is 2 D for a pair of frames, and
a cell of the DTW table is an update (GCUPS: 1e9 of them a second).
"""

import functools
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from isogloss.engine.bench import data, machine_peak, oracle
from isogloss.engine.bench.findings import Finding, Stopwatch, Yardstick
from isogloss.engine.runtime import devices
from isogloss.kernels import dtw, frame_scores, operands, pair_table
from isogloss.kernels.operands import Operand

WANTED_SHARE, WANTED_NARROW, WANTED_GCUPS = 0.65, 0.5, 300.0
_NARROW = 512  # features; the maxima weigh more beside so short a product
_FRAMES_OF_A_LANGUAGE = 76_800


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
    for features in (16,) if quick else (512, 768, 1280):
        for frames in (8, 20) if quick else (300, 600, 1500):
            utterances = 2 if quick else _FRAMES_OF_A_LANGUAGE // frames
            given = [_frames(seed, utterances, frames, features, dtype) for seed in (3, 4)]
            x, y = map(_operand, given)
            flops = 2.0 * features * (utterances * frames) ** 2
            call = functools.partial(_scores, x, y, ("seqsim", "precision", "recall"))
            rate, share = watch.share(call, flops, product)
            wanted = WANTED_NARROW if features <= _NARROW else WANTED_SHARE
            title = f"{features} features x {frames} frames"
            note = f"{rate / 1e12:.4g} TFLOP/s, of {product.name} product"
            yield Finding(stage="SeqSim", name=title, found=share, wanted=wanted, note=note)
            first = (np.asarray(side[0], np.float32) for side in given)
            made = call()
            error = max(
                abs(float(made[name][0, 0]) - value)
                for name, value in zip(("precision", "recall"), oracle.seqsim(*first), strict=True)
            )
            yield Finding(stage="SeqSim", name=f"error, {title}", found=error, bound=1e-5)


def warping(*, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """GCUPS of given distances, in the grid's order and table after table, and the error of a cost."""
    users, pairs, frames = (3, 2, 20) if quick else (64, 32, 600)
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
    frames = 20 if quick else 600
    count, features = (2, 16) if quick else (128, 1280)
    x, y = (_operand(_frames(seed, count, frames, features, dtype)) for seed in (3, 4))
    alone, both = watch.seconds(lambda: _scores(x, y, ("seqsim",)), lambda: _scores(x, y, ("seqsim", "dtw")))
    cells = (count * frames) ** 2 / 1e9
    name = f"{count} x {count} utterances of {frames} frames, {features} features"
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
    utterances, frames, features = (2, 12, 16) if quick else (96, 600, 1280)
    random = data.rng(22)
    shape = utterances, frames, features
    host = [random.standard_normal(shape, np.float32).astype(dtype) for _ in range(4)]
    there = [_operand(jax.device_put(language)) for language in host]

    def pair(x: Operand, y: Operand) -> object:
        return _scores(x, y, ("seqsim", "dtw"))

    def uploading() -> list[object]:
        return [
            pair(*(_operand(jax.device_put(language)) for language in languages))
            for languages in itertools.combinations(host, 2)
        ]

    with_uploads, without = watch.seconds(
        uploading, lambda: [pair(*languages) for languages in itertools.combinations(there, 2)]
    )
    title = f"{utterances} utterances of {frames} frames, {features} features"
    stage = "grid of 4 languages"
    yield Finding(stage=stage, name=f"without uploads, {title}", found=6 / without, unit="pairs/s")
    yield Finding(stage=stage, name="with uploads for every pair", found=6 / with_uploads, unit="pairs/s")
    yield Finding(stage=stage, name="with uploads, share of without", found=without / with_uploads)


def _frames(seed: int, utterances: int, frames: int, features: int, dtype: str) -> Float[Array, "U N D"]:
    return jax.random.normal(jax.random.key(seed), (utterances, frames, features), jnp.dtype(dtype))


def _operand(frames: Float[Array, "U N D"]) -> Operand:
    """Frames that are all in use, as the grid job holds them."""
    used = jnp.full(len(frames), frames.shape[1], jnp.int32)
    form = operands.form_for(jax.default_backend(), frames.dtype, "xla")
    return _made(frames, used, None, form=form)


def _scores(x: Operand, y: Operand, measures: tuple[str, ...]) -> dict[str, Float32[Array, "U V"]]:
    scan_bytes = pair_table.scan_bytes(devices.memory())
    return frame_scores.operand_scores(x, y, measures=measures, scan_bytes=scan_bytes)


_made = jax.jit(operands.operand, static_argnames="form")
_lanes_cost = jax.jit(dtw.lanes_cost)

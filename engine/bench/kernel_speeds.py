"""Speeds of the frame kernels on this device, beside its own dense products in the same turns.

Frames are normal random numbers of the stores' type, on the device; only `grid` moves them. Useful work is
2 D for a pair of frames, and a cell of the DTW table is an update (GCUPS: 1e9 of them a second).
"""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from isogloss.engine.bench import data, machine_peak, oracle
from isogloss.engine.bench.findings import Finding, Stopwatch, Yardstick
from isogloss.kernels import dtw, frame_scores

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
            x, y, n = _languages(2 if quick else _FRAMES_OF_A_LANGUAGE // frames, frames, features, dtype)
            flops = 2.0 * features * (len(n) * frames) ** 2

            def call(x: Array = x, y: Array = y, n: Int32[np.ndarray, " U"] = n) -> object:
                return _scores(x, n, y, n, ("seqsim", "precision", "recall"))

            rate, share = watch.share(call, flops, product)
            wanted = WANTED_NARROW if features <= _NARROW else WANTED_SHARE
            title = f"{features} features x {frames} frames"
            note = f"{rate / 1e12:.4g} TFLOP/s, of {product.name} product"
            yield Finding(stage="SeqSim", name=title, found=share, wanted=wanted, note=note)
            made = _scores(x[:1], n[:1], y[:1], n[:1], ("precision", "recall"))
            expected = oracle.seqsim(np.asarray(x[0], np.float32), np.asarray(y[0], np.float32))
            error = max(
                abs(float(made[name][0, 0]) - value)
                for name, value in zip(("precision", "recall"), expected, strict=True)
            )
            yield Finding(stage="SeqSim", name=f"error, {title}", found=error, bound=1e-5)


def warping(*, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """GCUPS of given distances, and the error of a cost."""
    pairs, frames = (6, 20) if quick else (1024, 600)
    distances = jax.random.uniform(jax.random.key(5), (pairs, frames, frames), jnp.float32)
    lengths = np.full(pairs, frames, np.int32)
    [seconds] = watch.seconds(lambda: dtw.dtw_cost(distances, lengths, lengths))
    cells = pairs * frames**2 / 1e9
    name = f"{pairs} pairs of {frames} frames, distances given"
    yield Finding(stage="DTW", name=name, found=cells / seconds, unit="GCUPS", wanted=WANTED_GCUPS)
    found = float(dtw.dtw_cost(distances[:1], lengths[:1], lengths[:1])[0])
    expected = oracle.dtw_cost(np.asarray(distances[0], np.float64))
    yield Finding(stage="DTW", name="error of a cost", found=abs(found - expected) / expected, bound=1e-5)


def together(dtype: str, *, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """GCUPS of SeqSim and DTW from one product, and what DTW adds."""
    frames = 20 if quick else 600
    count, features = (2, 16) if quick else (128, 1280)
    x, y, n = _languages(count, frames, features, dtype)
    alone, both = watch.seconds(
        lambda: _scores(x, n, y, n, ("seqsim",)), lambda: _scores(x, n, y, n, ("seqsim", "dtw"))
    )
    cells = (count * frames) ** 2 / 1e9
    name = f"{count} x {count} utterances of {frames} frames, {features} features"
    yield Finding(
        stage="SeqSim and DTW", name=name, found=cells / both, unit="GCUPS",
        note=f"SeqSim alone {cells / alone:.4g}; DTW adds {1000 * (both - alone):.4g} ms",
    )  # fmt: skip
    # The distances come out of the product as the scan reads them, unlike those given to `dtw_cost`.
    added = cells / max(both - alone, 1e-9)
    yield Finding(
        stage="SeqSim and DTW", name="DTW, by what it adds", found=added, unit="GCUPS", wanted=WANTED_GCUPS
    )


def grid(dtype: str, *, quick: bool, watch: Stopwatch) -> Iterator[Finding]:
    """Pairs a second of 4 languages whose frames are on the device, and with every pair's frames uploaded."""
    utterances, frames, features = (2, 12, 16) if quick else (96, 600, 1280)
    random = data.rng(22)
    shape = utterances, frames, features
    host = [random.standard_normal(shape, np.float32).astype(dtype) for _ in range(4)]
    n = np.full(utterances, frames, np.int32)
    there = [jax.device_put(language) for language in host]

    def pairs(languages: Sequence[Float[np.ndarray | Array, "U N D"]]) -> list[object]:
        made = []
        for a in range(4):
            for b in range(a):
                # What is on the device already stays where it is.
                x, y = (jax.device_put(languages[i]) for i in (a, b))
                made.append(_scores(x, n, y, n, ("seqsim", "dtw")))
        return made

    with_uploads, without = watch.seconds(lambda: pairs(host), lambda: pairs(there))
    title = f"{utterances} utterances of {frames} frames, {features} features"
    stage = "grid of 4 languages"
    yield Finding(stage=stage, name=f"without uploads, {title}", found=6 / without, unit="pairs/s")
    yield Finding(stage=stage, name="with uploads for every pair", found=6 / with_uploads, unit="pairs/s")
    yield Finding(stage=stage, name="with uploads, share of without", found=without / with_uploads)


def _languages(
    utterances: int, frames: int, features: int, dtype: str
) -> tuple[Array, Array, Int32[np.ndarray, " U"]]:
    """Frames of two languages on the device, and the lengths of either's utterances."""
    shape = utterances, frames, features
    x, y = (jax.random.normal(jax.random.key(seed), shape, jnp.dtype(dtype)) for seed in (3, 4))
    return x, y, np.full(utterances, frames, np.int32)


def _scores(
    x: Array, n: Int32[np.ndarray, " U"], y: Array, m: Int32[np.ndarray, " V"], measures: Sequence[str]
) -> dict[str, Float[np.ndarray, "U V"]]:
    return frame_scores.frame_scores(x, n, y, m, measures=measures, implementation="xla")

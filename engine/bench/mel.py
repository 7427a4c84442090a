"""Benchmark of the log-mel of whole 30 s windows, as many as jobs take in a step.

Against the dense product and, with peers, transformers' extractor. Useful operations of a frame are a real
transform of 400 samples, 2.5 n log2 n, and its product with the filters. The waveform is noise, whose
spectrum is flat: no bin is near the floor.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from isogloss.engine.bench import data, oracle
from isogloss.engine.bench.setting import BenchSetting, Planned, peer
from isogloss.engine.bench.timing import Case, Check, TimedTask
from isogloss.engine.whisper import encoder_program, log_mel

PEERS = ("torch", "transformers")
_UNIT = "audio s/s"


def cases(setting: BenchSetting) -> list[Planned]:
    """Both numbers of bins."""
    rows = 1 if setting.quick or setting.device == "cpu" else encoder_program.ROWS
    seconds = 2 if setting.quick else 30
    titles = {mels: f"{mels} bins, {rows} x {seconds} s" for mels in (80, 128)}
    return [
        Planned(title=title, build=functools.partial(_case, setting, title, mels, rows, seconds))
        for mels, title in titles.items()
    ]


def _case(setting: BenchSetting, title: str, mels: int, rows: int, seconds: int) -> Case:
    samples = seconds * log_mel.SAMPLE_RATE
    waveform = 0.1 * data.rng(5).standard_normal((rows, samples), np.float32)
    placed = jnp.asarray(waveform)
    filters = log_mel.filters(mels)
    run = jax.jit(functools.partial(log_mel.log_mel, filters=filters))
    # A real transform needs half of the 5 n log2 n operations of a complex one.
    transform = 2.5 * log_mel.WINDOW * math.log2(log_mel.WINDOW)
    flops = rows * samples / log_mel.HOP * (transform + 2 * filters.size)

    def check(result: object) -> Check:
        """Log10 of a power off by a relative e is off by e / 2.3, and a quarter of that after scaling.

        A float32 transform is off by some log2(400) roundings of the largest amplitude, and in noise the
        weakest bin has at least 1 / 1000 of it: e below 2 * 9 * 1000 * 2**-24.
        """
        first = np.asarray(result)[0]
        error = np.abs(first - oracle.log_mel(waveform[0], filters)).max()
        return Check(error=float(error), bound=2 * 9 * 1000 * oracle.UNIT_ROUNDOFF / 2.3 / 4)

    work = {"work": float(rows * seconds), "unit": _UNIT, "effort": flops / 1e9}
    tasks = [TimedTask(name="isogloss", call=lambda: run(placed), check=check, **work)]
    if {"torch", "transformers"} <= setting.peers:
        extractor = peer("transformers").WhisperFeatureExtractor(feature_size=mels, chunk_length=seconds)
        clips = list(waveform)

        def extract() -> np.ndarray:
            found = extractor(clips, sampling_rate=log_mel.SAMPLE_RATE, return_tensors="np")
            return found["input_features"].transpose(0, 2, 1)

        tasks.append(TimedTask(name="transformers (CPU)", call=extract, check=check, **work))
    return Case(title=title, tasks=tuple(tasks), yardstick=setting.product)

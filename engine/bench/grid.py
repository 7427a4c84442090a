"""Benchmark of the grid end to end: random activation stores in, score matrices on disk out.

Against the kernel alone on the same groups of frames, already in memory; for 2, 4 and 8 languages, where an
equal rate means that cost is linear in pairs. Useful work is 2 D for every pair of frames in use. The rate
projects the grid of all of FLEURS.
"""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float, Int32

from isogloss.engine.bench import activations, data, oracle
from isogloss.engine.bench.data import Batch
from isogloss.engine.bench.setting import FLOPS_UNIT, BenchSetting, Planned
from isogloss.engine.bench.timing import Case, Check, Row, TimedTask
from isogloss.engine.grid.grid import run as run_grid
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.runtime import temporary
from isogloss.kernels import frame_scores, reference

PEERS = ()
_MEASURES = ("seqsim", "dtw")
_GROUP = 32  # utterances of like length in a call of the kernel
# 102 languages, 34 states, 1280 features, 344 sentences of 13 s: 22 EFLOP
FLEURS_GFLOP = 2e-9 * 1280 * 34 * (102 * 101 / 2) * (344 * 13 * data.FRAMES_PER_SECOND) ** 2


def cases(setting: BenchSetting) -> list[Planned]:
    """2, 4 and 8 languages of the same sentences."""
    small = setting.device == "cpu"
    sentences, features, states = (4, 16, 2) if setting.quick else (16, 384, 1) if small else (96, 1280, 2)
    planned = []
    for languages in (2, 4) if setting.quick else (2, 4, 8):
        shape = f"{sentences} sentences, {states} x {features}"
        title = f"{languages} languages ({languages * (languages - 1) // 2} pairs), {shape}"
        build = functools.partial(_case, setting, title, languages, sentences, states, features)
        planned.append(Planned(title=title, build=build))
    return planned


def projection(rows: Sequence[Row]) -> dict[str, float]:
    """Hours that the rate of the largest grid measured would take for all of FLEURS on one such device."""
    ours = [row for row in rows if row.suite == "grid" and row.role == "ours"]
    return {"fleurs_grid_device_hours": round(FLEURS_GFLOP / ours[-1].rate / 3600, 1)} if ours else {}


def _case(
    setting: BenchSetting, title: str, languages: int, sentences: int, states: int, features: int
) -> Case:
    folder = temporary.Folder("isogloss-bench-")
    root = pathlib.Path(folder.name)
    names = tuple(map(str, range(states)))
    codes = [f"l{i}" for i in range(languages)]
    frames, utterances = {}, {}
    for i, code in enumerate(codes):
        frames[code] = data.fleurs_frames(sentences, data.rng(10 + i))
        if setting.quick:
            frames[code] = -(-frames[code] // 40)
        utterances[code] = activations.random_states(frames[code], states, features, 30 + i)
        store = activations.create(root / "store", code, frames[code], names, features)
        activations.write(store, utterances[code])
    totals = [float(frames[code].sum()) for code in codes]
    pairs = list(itertools.combinations(range(languages), 2))
    work = 2e-9 * features * states * sum(totals[a] * totals[b] for a, b in pairs)
    config, turn = _config(setting, root), itertools.count()
    places: list[pathlib.Path] = []

    def end_to_end() -> object:
        # A new place for every call: a grid that exists would be resumed, with nothing left to compute.
        places[:] = [root / f"grid-{next(turn)}.zarr"]
        return run_grid(dataclasses.replace(config, grid=places[0]))

    # The kernel alone gets the batches that the grid makes, already in memory and of padded length.
    groups = [[_groups(utterances[code], frames[code], s) for code in codes] for s in range(states)]

    scores = functools.partial(
        frame_scores.frame_scores, measures=_MEASURES, implementation=setting.implementation
    )

    def kernel() -> None:
        for by_language in groups:
            for a, b in pairs:
                for x, y in itertools.product(by_language[a], by_language[b]):
                    scores(x.states, x.frames, y.states, y.frames)

    def check(_: object) -> Check:
        return _check(setting, places[0], utterances, frames, codes)

    ours = TimedTask(name="grid, end to end", call=end_to_end, work=work, unit=FLOPS_UNIT, check=check)
    alone = TimedTask(name="kernel alone", call=kernel, work=work, unit=FLOPS_UNIT)
    return Case(title=title, tasks=(ours, alone), yardstick=setting.product, folder=folder)


def _config(setting: BenchSetting, root: pathlib.Path) -> GridConfig:
    return GridConfig(
        store=root / "store",
        grid=root / "grid.zarr",
        measures=_MEASURES,
        implementation=setting.implementation,
    )


def _groups(
    utterances: Sequence[Float[np.ndarray, "S N D"]], frames: Int32[np.ndarray, " U"], state: int
) -> list[Batch]:
    """One state of a language, sorted by length in batches of _GROUP, padded with zeros."""
    found = []
    # Sorted as the grid sorts them, so that both waste equally much on padding.
    order = np.argsort(frames, kind="stable")
    for start in range(0, len(order), _GROUP):
        rows = order[start : start + _GROUP]
        padded = np.stack([utterances[u][state, : frames[rows].max()] for u in rows])
        found.append(Batch(states=np.nan_to_num(padded), frames=frames[rows]))
    return found


def _check(
    setting: BenchSetting,
    grid: pathlib.Path,
    utterances: Mapping[str, Sequence[Float[np.ndarray, "S N D"]]],
    frames: Mapping[str, Int32[np.ndarray, " U"]],
    codes: Sequence[str],
) -> Check:
    """Error of the first pair's two shortest utterances at the last state; all scores must be numbers.

    An error of precision and recall passes on to their F1 unaltered where the two are alike. For the bound
    see bench_seqsim: float32 sums, and bfloat16 frames outside a CPU; a DTW cost relative to itself.
    """
    a, b = (int(np.argmin(frames[code])) for code in codes[:2])
    state = len(utterances[codes[0]][0]) - 1
    x, y = (utterances[code][u][state, : frames[code][u]] for code, u in zip(codes[:2], (a, b), strict=True))
    f1 = reference.f1(*oracle.seqsim(x, y))
    cost = reference.dtw_cost(1 - oracle.cosines(x, y))
    with xr.open_zarr(grid) as dataset:
        found = {measure: dataset[measure][0, state].values for measure in _MEASURES}
    wrong = [abs(float(found["seqsim"][a, b]) - f1), abs(float(found["dtw"][a, b]) - cost) / cost]
    wrong += [0.0 if np.isfinite(matrix).all() else np.nan for matrix in found.values()]
    rounding = 0.0 if setting.device == "cpu" else 2.0**-8
    additions = x.shape[1] + activations.POSITIONS
    return Check(error=float(np.max(wrong)), bound=8 * (rounding + additions * oracle.UNIT_ROUNDOFF))

"""Benchmark of DTW from given distances: costs, and the path of the align job, against a copy and peers.

The yardstick is bandwidth, because a cell is one distance read and three operations. Useful work is the
cells in use. torchdtw divides its cost by the path's length, which its check allows for.
"""

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int32

from isogloss.engine.bench import data, oracle
from isogloss.engine.bench.setting import BenchSetting, Planned, peer
from isogloss.engine.bench.timing import Case, Check, TimedTask
from isogloss.kernels import dtw, reference

PEERS = ("torch", "torchdtw", "openai-whisper")
_UNIT = "GCUPS"
_CHECKED_CELLS = 300_000  # in plain Python
_Lengths = tuple[Int32[np.ndarray, " U"], Int32[np.ndarray, " V"]]


def cases(setting: BenchSetting) -> list[Planned]:
    """Costs of equal and of ragged batches, paths of texts' tokens along their frames."""
    random = data.rng()
    few = 8 if setting.device == "cpu" else 32
    equal = np.full(2 * few, 300, np.int32)
    ragged = data.fleurs_frames(few, random), data.fleurs_frames(few, random)
    frames = data.fleurs_frames(4 if setting.device == "cpu" else 16, random)
    tokens = np.maximum(1, frames // 15)[: len(frames) // 2]  # some 3 tokens a second
    kinds: list[tuple[str, _Lengths, Callable[[BenchSetting, str, _Lengths], Case]]] = [
        ("cost, {} pairs, equal lengths", (equal, equal), _cost_case),
        ("cost, {} pairs, 4 to 30 s", ragged, _cost_case),
        ("path, {} pairs, tokens and frames", (tokens, frames), _path_case),
    ]
    planned = []
    for name, (n, m), build in kinds:
        if setting.quick:
            n, m = -(-n[:3] // 20), -(-m[:2] // 20)  # noqa: PLW2901
        title = f"{name.format(len(n) * len(m))} up to {n.max()} x {m.max()}"
        planned.append(Planned(title=title, build=functools.partial(build, setting, title, (n, m))))
    return planned


class _DtwCase:
    """Distances of all pairs of two sets of lengths, by pair and flat."""

    def __init__(self, setting: BenchSetting, lengths: _Lengths) -> None:
        self.lengths = lengths
        self.square = data.distances(*lengths, data.rng(2))
        self.flat = self.square.reshape(-1, *self.square.shape[2:])
        self.placed = setting.place(self.flat)
        self.n = np.repeat(lengths[0], len(lengths[1]))
        self.m = np.tile(lengths[1], len(lengths[0]))
        self.cells = float((self.n.astype(np.int64) * self.m).sum())
        # A path has at most n + m cells, and each addition rounds once.
        self.bound = (self.flat.shape[1] + self.flat.shape[2]) * oracle.UNIT_ROUNDOFF

    def pair(self, p: int) -> Float[np.ndarray, "n m"]:
        """Distances in use of pair p, float64."""
        return self.flat[p, : self.n[p], : self.m[p]].astype(np.float64)

    def checked(self) -> list[int]:
        """Some pairs, the smallest first, as many as plain Python computes in half a second."""
        order = np.argsort(self.n.astype(np.int64) * self.m, kind="stable")
        # The reference is loops in plain Python, a microsecond or more a cell.
        cells = np.cumsum((self.n.astype(np.int64) * self.m)[order])
        return [int(p) for p in order[: max(1, int((cells <= _CHECKED_CELLS).sum()))][:16]]

    def task(
        self, name: str, call: Callable[[], object], error: Callable[[object], list[float]]
    ) -> TimedTask:
        """A task over all pairs; `error` gives relative errors, of at most n + m roundings each."""
        check = lambda result: Check(error=float(np.max(error(result))), bound=self.bound)  # noqa: E731
        gigabytes = 4e-9 * self.cells
        return TimedTask(
            name=name, call=call, work=1e-9 * self.cells, unit=_UNIT, effort=gigabytes, check=check
        )


def _cost_case(setting: BenchSetting, title: str, lengths: _Lengths) -> Case:
    given = _DtwCase(setting, lengths)
    implementation = setting.implementation

    def ours() -> object:
        return dtw.dtw_cost(given.placed, given.n, given.m, implementation=implementation)

    tasks = [given.task(implementation, ours, functools.partial(_cost_errors, given))]
    if {"torch", "torchdtw"} <= setting.peers:
        tasks.append(_torchdtw_task(given, setting.device))
    return Case(title=title, tasks=tuple(tasks), yardstick=setting.copy)


def _cost_errors(given: _DtwCase, result: object) -> list[float]:
    costs = np.asarray(result)
    wanted = [(p, reference.dtw_cost(given.pair(p))) for p in given.checked()]
    return [abs(float(costs[p]) - want) / want for p, want in wanted] + [
        0.0 if np.isfinite(costs).all() else np.nan
    ]


def _torchdtw_task(given: _DtwCase, device: str) -> TimedTask:
    torch, torchdtw = peer("torch"), peer("torchdtw")
    place = "cpu" if device == "cpu" else "cuda"
    distances = torch.from_numpy(given.square).to(place)
    n, m = (torch.from_numpy(length.astype(np.int64)).to(place) for length in given.lengths)

    def call() -> object:
        return torchdtw.dtw_batch(distances, n, m, symmetric=False).cpu().numpy().reshape(-1)

    def errors(result: object) -> list[float]:
        found = []
        for p in given.checked():
            pair = given.pair(p)
            want = reference.dtw_cost(pair, "path_length")
            found.append(abs(float(np.asarray(result)[p]) - want) / want)
        return found

    return given.task("torchdtw", call, errors)


def _path_case(setting: BenchSetting, title: str, lengths: _Lengths) -> Case:
    given = _DtwCase(setting, lengths)

    def ours() -> object:
        return dtw.dtw_path(given.placed, given.n, given.m)

    def ours_errors(result: object) -> list[float]:
        assert isinstance(result, tuple)
        paths, counts, _ = (np.asarray(array) for array in result)
        return _path_errors(given, lambda p: paths[p, : counts[p]])

    tasks = [given.task("xla", ours, ours_errors)]
    if "openai-whisper" in setting.peers:
        tasks.append(_whisper_task(given))
    return Case(title=title, tasks=tuple(tasks), yardstick=setting.copy)


def _whisper_task(given: _DtwCase) -> TimedTask:
    timing, torch = peer("openai-whisper").timing, peer("torch")
    pairs = [torch.from_numpy(given.flat[p, : given.n[p], : given.m[p]].copy()) for p in range(len(given.n))]

    def call() -> object:
        return [timing.dtw(pair) for pair in pairs]  # on the CPU, whatever the device

    def errors(result: object) -> list[float]:
        assert isinstance(result, list)
        return _path_errors(given, lambda p: np.asarray(result[p]).T)

    return given.task("openai-whisper (CPU)", call, errors)


def _path_errors(given: _DtwCase, path: Callable[[int], np.ndarray]) -> list[float]:
    """Relative excess of each path's sum over the cheapest; infinite if it isn't a warping path."""
    found = []
    for p in given.checked():
        cells, pair = path(p).astype(np.int64), given.pair(p)
        ends = len(cells) and (cells[0] == 0).all() and (cells[-1] == np.array(pair.shape) - 1).all()
        # Paths of equal sums may differ, so a path is judged by its steps and its sum, not by its cells.
        steps = np.diff(cells, axis=0)
        if not ends or not ((steps >= 0) & (steps <= 1)).all() or not steps.any(axis=1).all():
            return [float("inf")]
        want = reference.dtw_cost(pair)
        found.append(abs(float(pair[cells[:, 0], cells[:, 1]].sum()) - want) / want)
    return found

"""Benchmark of transport between utterances: beside SeqSim for all pairs, and for SeqSim's best few only.

All through the code of the grid, frames in memory or on the devices before. Useful work is 2 D for every pair
of frames in use, the cosines that all of them need: so ratios are those of the whole time.
"""

import functools
from collections.abc import Callable

import numpy as np

from isogloss.engine.bench import data, oracle, seqsim
from isogloss.engine.bench.data import Batch
from isogloss.engine.bench.setting import FLOPS_UNIT, BenchSetting, Planned
from isogloss.engine.bench.timing import Case, Check, TimedTask
from isogloss.engine.grid.device_scores import DeviceScores
from isogloss.engine.grid.host_scores import HostScores
from isogloss.engine.grid.shortlist import BEST, Shortlisting
from isogloss.kernels import frame_transport, pair_table, reference

PEERS = ()
_BOTH = ("seqsim", "transport", "transport_error")
_CHECKED = 2  # pairs, whose reference is plain Python: 40 iterations over every cell
_CELLS = 40_000  # of a checked pair at most, but for the first


def cases(setting: BenchSetting) -> list[Planned]:
    """Utterances of the demo's length, and of FLEURS's."""
    features = 24 if setting.quick else 512
    planned = []
    for frames in (10,) if setting.quick else (155, 0):
        count = 4 if setting.quick else 160 if frames else 32
        lengths = f"{frames} frames" if frames else "4 to 30 s"
        title = f"SeqSim and transport, {features} features, {lengths}, {count} x {count}"
        build = functools.partial(_case, setting, title, features, frames, count)
        planned.append(Planned(title=title, build=build))
    return planned


def _case(setting: BenchSetting, title: str, features: int, frames: int, count: int) -> Case:
    random = data.rng(features + frames)
    lengths = [
        np.full(count, frames, np.int32) if frames else data.fleurs_frames(count, random) for _ in range(2)
    ]
    x, y = (data.batch(of_side, features, random) for of_side in lengths)
    # Among few candidates nearly every pair is on a shortlist.
    best = min(BEST, count // 4)
    places = np.arange(count)
    shortlists = Shortlisting(best=best, rows=places, columns=places)
    work = seqsim.flops(x, y)

    def task(
        name: str, measures: tuple[str, ...], among: Shortlisting | None, check: Callable[[object], Check]
    ) -> TimedTask:
        call = _call(setting, measures, (_utterances(setting, x), _utterances(setting, y)), among)
        return TimedTask(name=name, call=call, work=work, unit=FLOPS_UNIT, check=check)

    check = functools.partial(_check, setting, x, y)
    return Case(
        title=title,
        tasks=(
            task("SeqSim and transport", _BOTH, None, check),
            task("SeqSim alone", _BOTH[:1], None, functools.partial(_check_seqsim, setting, x, y)),
            task(f"SeqSim, transport of its best {best}", _BOTH, shortlists, check),
        ),
        yardstick=setting.product,
    )


def _call(
    setting: BenchSetting,
    measures: tuple[str, ...],
    utterances: tuple[list[np.ndarray], list[np.ndarray]],
    among: Shortlisting | None,
) -> Callable[[], object]:
    """Computes the scores as the grid does; frames are in place before."""
    if setting.implementation == "numba":
        host = HostScores(measures, setting.implementation, dtw_normalise="none", remove_mean=False)
        x, y = map(host.place, utterances)
        return host.start(x, y, among)
    device = DeviceScores(measures, setting.implementation, scan_bytes=pair_table.SCAN_BYTES)
    left, right = map(device.place, utterances)

    def call() -> object:
        return device.start(left, right, among)()

    return call


def _utterances(setting: BenchSetting, batch: Batch) -> list[np.ndarray]:
    """Frames in use, in the type of stores."""
    kind = np.float32 if setting.device == "cpu" else np.float16
    return [states[:n].astype(kind) for states, n in zip(batch.states, batch.frames, strict=True)]


def _check_seqsim(setting: BenchSetting, x: Batch, y: Batch, result: object) -> Check:
    assert isinstance(result, dict)
    wrong = []
    for u, v in _pairs(x, y, result["seqsim"]):
        f1 = reference.f1(*oracle.seqsim(x.states[u, : x.frames[u]], y.states[v, : y.frames[v]]))
        wrong.append(abs(float(result["seqsim"][u, v]) - f1))
    return Check(error=float(np.max(wrong)), bound=2 * seqsim.bound(setting, x, y))


def _check(setting: BenchSetting, x: Batch, y: Batch, result: object) -> Check:
    """Error of some pairs, SeqSim's and transport's, and of those that have transport.

    A cosine that is off by d changes a cell of the kernel by d / epsilon of itself, each scaling by as much
    and the plan by 4 d / epsilon; it moves a mass of 1 at costs of at most 2.
    """
    assert isinstance(result, dict)
    similar = _check_seqsim(setting, x, y, result)
    wrong = [similar.error]
    for u, v in _pairs(x, y, result["transport"]):
        c = oracle.cosines(x.states[u, : x.frames[u]], y.states[v, : y.frames[v]])
        expected = reference.transport(1 - c)
        found = (float(result[name][u, v]) for name in _BOTH[1:])
        wrong += [abs(value - want) for value, want in zip(found, expected, strict=True)]
    factor = 1 + 2 * 4 / frame_transport.EPSILON
    return Check(error=float(np.max(wrong)), bound=factor * seqsim.bound(setting, x, y))


def _pairs(x: Batch, y: Batch, scores: np.ndarray) -> list[tuple[int, int]]:
    """The smallest pairs that have a score, of which there must be one."""
    cells = np.where(np.isnan(scores), np.inf, x.frames[:, None] * y.frames[None, :].astype(float))
    order = np.argsort(cells, axis=None, kind="stable")[:_CHECKED].tolist()
    found = [divmod(at, len(y.frames)) for at in order if cells.flat[at] < np.inf]
    assert found, "no pair has a score"
    return [pair for k, pair in enumerate(found) if not k or cells[pair] <= _CELLS]

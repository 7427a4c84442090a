"""Benchmark of the frame kernels: precision and recall of all pairs, alone and together with DTW.

Ours against the best dense product. On a CPU also ours from frames rounded to eight bits, and with peers
PyTorch's slab form: one product per utterance of A with all of B, then both maxima. Useful work is 2 D for
every pair of frames in use.
"""

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from isogloss.engine.bench import data, oracle
from isogloss.engine.bench.data import Batch
from isogloss.engine.bench.setting import FLOPS_UNIT, BenchSetting, Planned, peer
from isogloss.engine.bench.timing import Case, Check, TimedTask
from isogloss.kernels import dtw, frame_scores, reference

PEERS = ("torch",)
MAXIMA = ("precision", "recall")
_CHECKED = 6  # pairs of utterances that are computed again in float64
_REAL = 384  # features of the smallest Whisper
_CHECKED_CELLS = 300_000  # of DTW tables, in plain Python


def cases(setting: BenchSetting) -> list[Planned]:
    """Every number of features at every length, then SeqSim and DTW from one product against apart."""
    # The widths of Whisper tiny, base, small and large.
    features = (24,) if setting.quick else (384, 512, 768, 1280)
    planned = []
    for depth in features:
        for frames in (10, 0) if setting.quick else (100, 500, 1500, 0):
            lengths = f"{frames} frames" if frames else "4 to 30 s"
            sizes = _sizes(setting, frames)
            title = f"P and R, {depth} features, {lengths}, {sizes[0]} x {sizes[1]}"
            build = functools.partial(_maxima_case, setting, title, depth, frames)
            planned.append(Planned(title=title, build=build))
    for frames in (10,) if setting.quick else (300, 0):
        title = f"P, R and DTW, {features[-1]} features, {f'{frames} frames' if frames else '4 to 30 s'}"
        build = functools.partial(_together_case, setting, title, features[-1], frames)
        planned.append(Planned(title=title, build=build))
    return planned


def _sizes(setting: BenchSetting, frames: int) -> tuple[int, int]:
    """Utterances of A and B: about a second of a CPU, milliseconds of a GPU."""
    if setting.quick:
        return 2, 3
    if setting.device != "cpu":
        return 64, 64
    return {100: (32, 64), 500: (8, 32), 300: (16, 16), 1500: (2, 16), 0: (8, 32)}[frames]


def _batches(setting: BenchSetting, frames: int, depth: int, sizes: tuple[int, int]) -> tuple[Batch, Batch]:
    random = data.rng(depth + frames)
    lengths = [
        np.full(count, frames, np.int32) if frames else data.fleurs_frames(count, random) for count in sizes
    ]
    if setting.quick:
        lengths = [-(-length // 20) for length in lengths]
    x, y = (data.batch(length, depth, random) for length in lengths)
    return x, y


def flops(x: Batch, y: Batch) -> float:
    """GFLOP of the cosines of all frames in use."""
    return 2e-9 * x.states.shape[2] * float(x.frames.sum()) * float(y.frames.sum())


def _call(
    setting: BenchSetting, x: Batch, y: Batch, measures: tuple[str, ...], implementation: str
) -> Callable[[], dict[str, np.ndarray]]:
    left, right = setting.frames(x.states), setting.frames(y.states)
    return lambda: frame_scores.frame_scores(
        left, x.frames, right, y.frames, measures=measures, implementation=implementation
    )


def _rounding(x: Batch, y: Batch) -> float:
    """Largest error of a score that rounding frames to eight bits may cause.

    At most the error that is proven; at the sizes of real states, where roundings cancel, 5e-4.
    """
    from isogloss.kernels.cpu import packing  # noqa: PLC0415 Numba takes long to import

    e, f = (
        max(packing.rounding_error(states[:n]) for states, n in zip(batch.states, batch.frames, strict=True))
        for batch in (x, y)
    )
    return min(e + f + e * f, 5e-4 if x.states.shape[2] >= _REAL else np.inf)


def _maxima_case(setting: BenchSetting, title: str, depth: int, frames: int) -> Case:
    x, y = _batches(setting, frames, depth, _sizes(setting, frames))
    work = flops(x, y)
    kinds = [(setting.implementation, 0.0)]
    if setting.implementation == "numba":
        kinds.append(("numba_int8", _rounding(x, y)))
    tasks = [
        TimedTask(
            name=name,
            call=_call(setting, x, y, MAXIMA, name),
            work=work,
            unit=FLOPS_UNIT,
            check=functools.partial(check_maxima, setting, x, y, more=more),
        )
        for name, more in kinds
    ]
    if "torch" in setting.peers:
        call = torch_slabs(x, y, setting.device)
        check = functools.partial(check_maxima, setting, x, y)
        tasks.append(TimedTask(name="torch slabs", call=call, work=work, unit=FLOPS_UNIT, check=check))
    return Case(title=title, tasks=tuple(tasks), yardstick=setting.product)


def _pairs(x: Batch, y: Batch, count: int) -> list[tuple[int, int]]:
    """Some pairs of utterances, first and last among them."""
    # Spread over the grid of pairs, so that a kernel which misplaces a block of it is found.
    grid = np.linspace(0, len(x.frames) * len(y.frames) - 1, count).astype(int)
    return [divmod(int(at), len(y.frames)) for at in np.unique(grid)]


def check_maxima(setting: BenchSetting, x: Batch, y: Batch, result: object, more: float = 0.0) -> Check:
    """Error of some pairs, which may be `more` than float32's; of every pair that it is a number.

    A sum of K float32 terms is off by at most K 2**-24 of the terms' magnitudes, which sum to at most 1 in a
    cosine and in a mean of cosines. Outside a CPU frames are rounded to bfloat16: 2 * 2**-9 more.
    """
    assert isinstance(result, dict)
    scores = {measure: np.asarray(result[measure]) for measure in MAXIMA}
    # NaN is an error beyond every bound, so a score that isn't a number fails wherever it stands.
    wrong = [0.0 if np.isfinite(matrix).all() else np.nan for matrix in scores.values()]
    for u, v in _pairs(x, y, _CHECKED):
        expected = oracle.seqsim(x.states[u, : x.frames[u]], y.states[v, : y.frames[v]])
        wrong += [abs(float(scores[m][u, v]) - want) for m, want in zip(MAXIMA, expected, strict=True)]
    return Check(error=float(np.max(wrong)), bound=more + bound(setting, x, y))


def bound(setting: BenchSetting, x: Batch, y: Batch) -> float:
    """Largest error of a cosine or of a mean of cosines."""
    rounding = 0.0 if setting.device == "cpu" else 2.0**-8
    longest = max(x.states.shape[1], y.states.shape[1])
    return rounding + (x.states.shape[2] + longest + 8) * oracle.UNIT_ROUNDOFF


def torch_slabs(x: Batch, y: Batch, device: str) -> Callable[[], dict[str, Float[np.ndarray, "U V"]]]:
    """PyTorch's best form: one product per utterance of A against all frames of B, then both maxima.

    Frames in use only; float32 on CPU, bfloat16 elsewhere.
    """
    torch = peer("torch")
    place = {"device": "cpu"} if device == "cpu" else {"device": "cuda", "dtype": torch.bfloat16}
    left = [torch.from_numpy(s[:n]).to(**place) for s, n in zip(x.states, x.frames, strict=True)]
    kept = [s[:m] for s, m in zip(y.states, y.frames, strict=True)]
    right, lengths = torch.from_numpy(np.concatenate(kept)).to(**place), y.frames.tolist()
    equal = len(set(lengths)) == 1  # then a view is enough, and PyTorch needs no loop over utterances
    normalise = torch.nn.functional.normalize

    def call() -> dict[str, Float[np.ndarray, "U V"]]:
        found = torch.empty((2, len(left), len(lengths)), **{**place, "dtype": torch.float32})
        with torch.inference_mode():
            columns = normalise(right, dim=1).T
            for u, frames in enumerate(left):
                c = normalise(frames, dim=1) @ columns
                tops = c.amax(0).float()
                if equal:
                    found[0, u] = c.view(len(c), len(lengths), -1).amax(2).float().mean(0)
                    found[1, u] = tops.view(len(lengths), -1).mean(1)
                else:
                    parts = [part.amax(1).float().mean() for part in c.split(lengths, 1)]
                    found[0, u] = torch.stack(parts)
                    found[1, u] = torch.stack([part.mean() for part in tops.split(lengths)])
        return dict(zip(MAXIMA, found.cpu().numpy(), strict=True))

    return call


def _together_case(setting: BenchSetting, title: str, depth: int, frames: int) -> Case:
    """All three measures from one product, against the maxima alone and DTW alone one after the other."""
    sizes = (
        (16, 16) if setting.device == "cpu" and not setting.quick else (2, 3) if setting.quick else (32, 32)
    )
    sizes = sizes if frames or setting.quick else (sizes[0] // 2, sizes[1])
    x, y = _batches(setting, frames, depth, sizes)
    pairs = np.repeat(x.frames, len(y.frames)), np.tile(y.frames, len(x.frames))
    # DTW alone gets distances that exist already, so the product of frames counts once on either side.
    given = data.distances(x.frames, y.frames, data.rng(1))
    distances = setting.place(given.reshape(-1, *given.shape[2:]))
    maxima = _call(setting, x, y, MAXIMA, setting.implementation)

    def apart() -> object:
        costs = dtw.dtw_cost(distances, *pairs, implementation=setting.implementation)
        return maxima(), costs

    work = flops(x, y)
    together = _call(setting, x, y, (*MAXIMA, "dtw"), setting.implementation)
    check = functools.partial(_check_together, setting, x, y)
    ours = TimedTask(name=setting.implementation, call=together, work=work, unit=FLOPS_UNIT, check=check)
    other = TimedTask(name="P and R alone, then DTW alone", call=apart, work=work, unit=FLOPS_UNIT)
    return Case(title=title, tasks=(ours, other), yardstick=setting.product)


def _check_together(setting: BenchSetting, x: Batch, y: Batch, result: object) -> Check:
    """Check of the maxima and of DTW costs, whose relative error is that of their distances and their sum.

    A path has at most n + m cells and costs at least about max(n, m) times 1 minus the largest cosine, which
    is below 1/2 for random frames: 4 times the error of a cosine.
    """
    assert isinstance(result, dict)
    maxima = check_maxima(setting, x, y, result)
    wrong, cells = [maxima.error], 0
    for u, v in _pairs(x, y, _CHECKED):
        cells += int(x.frames[u]) * int(y.frames[v])
        if cells > _CHECKED_CELLS and len(wrong) > 1:
            break
        c = oracle.cosines(x.states[u, : x.frames[u]], y.states[v, : y.frames[v]])
        expected = reference.dtw_cost(1 - c)
        wrong.append(abs(float(result["dtw"][u, v]) - expected) / expected)
    return Check(error=float(np.max(wrong)), bound=8 * maxima.bound)

"""Trial of the Pallas kernels' block sizes on the GPU at hand: every candidate of `kernels.block_sizes`.

The fastest of each case belongs into that module's table, with this command. Useful work and checks are those
of the suites seqsim and dtw; frames are bfloat16, as tensor cores want them.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from isogloss.engine.bench import data, oracle, seqsim
from isogloss.engine.bench.setting import FLOPS_UNIT, BenchSetting, Planned
from isogloss.engine.bench.timing import Case, Check, Row, TimedTask
from isogloss.kernels import block_sizes, dtw_pallas, frame_scores_pallas, reference
from isogloss.kernels.block_sizes import Blocks, Strip, Tile

PEERS = ()


def cases(setting: BenchSetting) -> list[Planned]:
    """Tiles at two numbers of features, and strips.

    Raises:
      ValueError: there is no GPU, and it isn't the quick look whether everything runs.
    """
    if setting.device != "gpu" and not setting.quick:
        raise ValueError(
            f"--suite=blocks tries the blocks of a GPU's kernels, JAX runs on {setting.device}. Remedy: "
            "a machine with a GPU, or --quick, which interprets them and measures nothing"
        )
    features = (24,) if setting.quick else (512, 1280)
    planned = []
    for depth in features:
        title = f"tiles, {depth} features"
        planned.append(Planned(title=title, build=functools.partial(_tile_case, setting, title, depth)))
    return [*planned, Planned(title="strips", build=functools.partial(_strip_case, setting, "strips"))]


def best(rows: Sequence[Row]) -> dict[str, str]:
    """The fastest candidate of each case."""
    ours = [row for row in rows if row.suite == "blocks" and row.role != "yardstick"]
    fastest: dict[str, Row] = {}
    for row in ours:
        if row.work not in fastest or row.rate > fastest[row.work].rate:
            fastest[row.work] = row
    return {work: row.name for work, row in fastest.items()}


def _candidates(setting: BenchSetting) -> tuple[list[Blocks], bool]:
    """Block sizes to try, and whether to interpret them."""
    if setting.device != "gpu":
        return [block_sizes.INTERPRETED], True
    kind = jax.devices()[0].device_kind
    here = block_sizes.blocks(kind)
    tiles = [tile for tile in block_sizes.TILES if tile.shared_bytes <= block_sizes.shared_bytes(kind)]
    return [
        *(dataclasses.replace(here, tile=tile) for tile in tiles),
        *(dataclasses.replace(here, strip=strip) for strip in block_sizes.STRIPS),
    ], False


def _name(blocks: Tile | Strip) -> str:
    return " ".join(f"{field}={value}" for field, value in dataclasses.asdict(blocks).items())


def _tile_case(setting: BenchSetting, title: str, depth: int) -> Case:
    random = data.rng(depth)
    count = 2 if setting.quick else 64
    lengths = [data.fleurs_frames(count, random) for _ in range(2)]
    if setting.quick:
        lengths = [-(-length // 20) for length in lengths]
    x, y = (data.batch(length, depth, random) for length in lengths)
    left, right = setting.frames(x.states), setting.frames(y.states)
    candidates, interpret = _candidates(setting)

    def call(blocks: Blocks) -> Callable[[], object]:
        options = {"maxima": True, "dtw": False, "blocks": blocks, "interpret": interpret}
        return lambda: dict(
            zip(
                seqsim.MAXIMA,
                frame_scores_pallas.frame_scores(left, x.frames, right, y.frames, **options),
                strict=False,
            )
        )

    check = functools.partial(seqsim.check_maxima, setting, x, y)
    work = seqsim.flops(x, y)
    unique = {_name(blocks.tile): blocks for blocks in candidates}
    tasks = [
        TimedTask(name=name, call=call(blocks), work=work, unit=FLOPS_UNIT, check=check)
        for name, blocks in unique.items()
    ]
    return Case(title=title, tasks=tuple(tasks), yardstick=setting.product)


def _strip_case(setting: BenchSetting, title: str) -> Case:
    random = data.rng()
    frames = data.fleurs_frames(3 if setting.quick else 32, random)
    frames = -(-frames // 20) if setting.quick else frames
    square = data.distances(frames, frames, data.rng(2))
    flat = jnp.asarray(square.reshape(-1, *square.shape[2:]))
    n, m = np.repeat(frames, len(frames)), np.tile(frames, len(frames))
    cells = float((n.astype(np.int64) * m).sum())
    candidates, interpret = _candidates(setting)
    smallest = int(np.argmin(n.astype(np.int64) * m))

    def check(result: object) -> Check:
        want = reference.dtw_cost(np.asarray(flat[smallest, : n[smallest], : m[smallest]], np.float64))
        error = abs(float(np.asarray(result)[smallest]) - want) / want
        return Check(error=error, bound=sum(flat.shape[1:]) * oracle.UNIT_ROUNDOFF)

    def call(blocks: Blocks) -> Callable[[], object]:
        return lambda: dtw_pallas.dtw_cost(flat, n, m, blocks=blocks, interpret=interpret)

    unique = {_name(blocks.strip): blocks for blocks in candidates}
    tasks = [
        TimedTask(
            name=name, call=call(blocks), work=1e-9 * cells, unit="GCUPS", effort=4e-9 * cells, check=check
        )
        for name, blocks in unique.items()
    ]
    return Case(title=title, tasks=tuple(tasks), yardstick=setting.copy)

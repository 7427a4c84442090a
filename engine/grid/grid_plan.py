"""Plan of the grid job: what enters a grid, the languages that fit memory, and what the work costs."""

import functools
import itertools
import math
import time
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from isogloss.engine.activations import language_states, store_languages
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.activations.language_states import GridLanguage
from isogloss.engine.grid import grid_work, self_pairs
from isogloss.engine.grid.device_scores import DeviceScores
from isogloss.engine.grid.grid_axes import natural
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.grid.grid_store import Pair, Plan
from isogloss.engine.grid.grid_work import Unit
from isogloss.engine.grid.host_scores import HostScores
from isogloss.engine.grid.measures import MEASURES, with_errors
from isogloss.engine.grid.scorers import device_sets, on_devices, scan_bytes
from isogloss.engine.runtime import devices, disk_space
from isogloss.engine.runtime.options import recorded
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import named_states
from isogloss.kernels import frame_scores, operands

_PADDING = 1.15  # frames with padding over frames, on the host
_DEVICE_SHARE = 0.9  # of a device's memory that is planned with
_ON_HOST = 2  # languages beside two blocks: those that are read ahead
_ON_DEVICES = 3  # and one that the unit before, still computed, may use, though no block has it any more
_UPLOADS = 2  # that may be there at once
_LEAST_SCAN = 0.1  # GB; a smaller one is as slow as no scan of several products
_SAMPLE = 16, 200  # utterances, and frames of each, that kernels of CPUs are timed with
_LARGE_SAMPLE = language_states.GROUP, 640  # full group: fewer would time an accelerator's launches


def stores(config: GridConfig) -> dict[str, LanguageStore]:
    """Stores of the languages to compare: those of --languages, by default all that are extracted."""
    found = store_languages.compared(config.store, config.languages, "a grid")
    self_pairs.check_names(tuple(found))
    return found


def plan(
    config: GridConfig, pairs: tuple[Pair, ...], members: Mapping[str, GridLanguage], implementation: str
) -> Plan:
    """Axes and identity of the grid that is asked for."""
    stored = next(iter(members.values())).store.states
    shared = language_states.agreement(members)
    sentences = {sentence for member in members.values() for sentence in member.sentences}
    common = [len(set(members[a].sentences) & set(members[b].sentences)) for a, b in pairs]
    return Plan(
        pairs=pairs,
        states=named_states.choose_states(config.states, stored),
        sentences=tuple(sorted(sentences, key=natural)),
        measures=with_errors(config.measures),
        common=tuple(common),
        identity={
            **shared,
            "languages": {code: member.identity() for code, member in members.items()},
            "remove_language_mean": config.remove_language_mean,
            "implementation": implementation,
            "dtw_normalise": config.dtw_normalise,
            **({"rerank": config.rerank} if config.rerank else {}),
        },
        # Grids made without these keep the bytes that they had before the options existed.
        flags={
            name: value
            for name, value in recorded(config).items()
            if name not in ("self_pairs", "rerank") or value
        },
        recordings={code: member.recordings() for code, member in members.items()},
        frames={
            code: dict(zip(member.sentences, member.frames.tolist(), strict=True))
            for code, member in members.items()
        },
    )


def block_size(config: GridConfig, members: Mapping[str, GridLanguage], implementation: str) -> int:
    """Number of languages in a block, so that what is there at once fits memory, see `languages_of_block`.

    That is a device's memory where one says how much it has, beside a scan of DTW; else --memory_gb.
    """
    there = on_devices(implementation)
    size = _device_bytes if there else _host_bytes
    largest = max(size(member, config, implementation) for member in members.values())
    sharing = jax.local_device_count()
    upload = max(_upload_bytes(member, sharing) for member in members.values()) if there else 0
    beside, number = (_ON_DEVICES, "five") if there else (_ON_HOST, "four")
    needed = (2 + beside) * largest + _UPLOADS * upload
    memory = devices.memory() if there else None
    if memory is None:
        room = int(config.memory_gb * 1e9)
        name, remedy = f"--memory_gb={config.memory_gb}", f"give at least {math.ceil(needed / 1e6) / 1e3:.3f}"
    else:
        scan = scan_bytes(config.dtw_memory_gb) if "dtw" in config.measures else 0
        room = device_room(memory, scan)
        name = f"a device's memory of {memory / 1e9:.1f} GB"
        name += f" less {scan / 1e9:.3g} GB for DTW" if scan else ""
        left = math.floor((device_room(memory, 0) - needed) / 1e6) / 1e3
        if left >= _LEAST_SCAN:
            remedy = f"give --dtw_memory_gb={left}"
        else:
            remedy = "compare on CPUs with --implementation=numba, or on devices with more memory"
    block = languages_of_block(room, largest, upload, beside)
    if block < 1:
        rule = f"{number} languages of up to {largest / 1e9:.3f} GB at one state"
        rule += f" and {_UPLOADS} uploads of {upload / 1e9:.3f} GB" if upload else ""
        raise Refusal(f"{name} is too little: {rule} must fit; {remedy}")
    return block


def device_room(memory: int, scan: int) -> int:
    """Bytes for languages on a device of this memory, beside a scan of DTW."""
    return int(_DEVICE_SHARE * memory) - scan


def languages_of_block(room: int, language: int, upload: int, beside: int = _ON_DEVICES) -> int:
    """Number of languages in a block, below 1 where memory is too small.

    There at once are two blocks, a pair that is read ahead, on devices one that the unit before still uses,
    and the uploads of two languages, because the second is sent while the first is being made.

    Args:
      room: bytes for all of them.
      language: bytes of a language at a state, as kernels take it.
      upload: bytes of an upload, which stays until all of the language is made.
      beside: languages beside the two blocks.
    """
    return ((room - _UPLOADS * upload) // language - beside) // 2


def language_bytes(padded: int, features: int, value: int) -> int:
    """Bytes of a language at a state as products take it.

    Args:
      padded: frames, padding included.
      features: of a frame.
      value: bytes of a number's parts; each frame's length, inverted, takes 4 more.
    """
    return padded * (features * value + 4)


def _host_bytes(member: GridLanguage, config: GridConfig, _: str) -> int:
    itemsize = 4 if config.remove_language_mean else member.store.dtype.itemsize
    return max(1, int(_PADDING * int(member.frames.sum()) * member.store.features * itemsize))


def _device_bytes(member: GridLanguage, config: GridConfig, implementation: str) -> int:
    """Bytes of a language on each device: the parts of its frames, and frames for kernels of their own."""
    dtype = member.store.dtype
    per_value = operands.value_bytes(operands.form_for(jax.default_backend(), dtype, implementation), dtype)
    if any(MEASURES[name].by_frame and MEASURES[name].kernel for name in config.measures):
        per_value += 4
    padded = _padded_frames(member, jax.local_device_count())
    return max(1, language_bytes(padded, member.store.features, per_value))


def _upload_bytes(member: GridLanguage, devices: int) -> int:
    """Bytes of a language at a state as they are sent to devices that share it, padding included."""
    return _padded_frames(member, devices) * member.store.features * member.store.dtype.itemsize


def _padded_frames(member: GridLanguage, devices: int) -> int:
    """Frames of a language on each of the devices that share its rows, padding included."""
    return sum(u * n for u, n in language_states.device_shapes(member.frames, devices))


def estimate(
    config: GridConfig,
    grid_plan: Plan,
    members: Mapping[str, GridLanguage],
    todo: Sequence[Unit],
    implementation: str,
) -> dict[str, int | float]:
    """Work, bytes and time of units, from a sample of the kernels timed here.

    The time is that of the largest share where devices have units of their own.
    """
    frames = {code: int(member.frames.sum()) for code, member in members.items()}
    features = next(iter(members.values())).store.features
    pairs = _pairs(grid_plan, todo)
    sets = device_sets(len(todo), grid_plan.measures, implementation)
    of_each = grid_work.shares(todo, len(sets))
    by_share = [sum(frames[a] * frames[b] for a, b in _pairs(grid_plan, share)) for share in of_each]
    cells = float(sum(by_share))
    by_frame = tuple(name for name in grid_plan.measures if MEASURES[name].by_frame)
    per_cell = compiling = 0.0
    if by_frame and todo:
        per_cell, compiling = _timed(config, grid_plan, features, by_frame, implementation)
    uploads: list[int] = []
    if on_devices(implementation):
        # XLA compiles a program for each pair of shapes. Those of other devices take other cores.
        compiling *= len(_shapes(members, pairs, len(sets[0])))
        per_cell /= len(sets[0])
        sizes = {code: _upload_bytes(member, len(sets[0])) for code, member in members.items()}
        uploads = _uploads(sizes, grid_plan, of_each, block_size(config, members, implementation))
    return {
        "units": len(todo),
        "utterance_pairs": sum(len(members[a].rows) * len(members[b].rows) for a, b in pairs),
        "flops": 2 * features * cells if by_frame else 0.0,
        "dtw_cells": cells if "dtw" in by_frame else 0.0,
        "uploads": len(uploads),
        "upload_bytes": sum(uploads),
        "files": len(grid_plan.measures) * len(todo),
        "bytes": unit_bytes(grid_plan) * len(todo),
        "compile_seconds": round(compiling, 1),
        "estimated_seconds": round(compiling + max(by_share) * per_cell, 1),
    }


def _timed(
    config: GridConfig, grid_plan: Plan, features: int, by_frame: tuple[str, ...], implementation: str
) -> tuple[float, float]:
    """Seconds per pair of frames, and to compile, of all measures of frames."""
    shortlisted = frame_scores.TRANSPORT if config.rerank else ()
    of_all = tuple(name for name in by_frame if name not in shortlisted)
    scan = scan_bytes(config.dtw_memory_gb)
    per_cell, compiling = _speed(features, of_all, implementation, scan)
    if shortlisted:  # the lists of both directions, which may have no pair in common
        later = _speed(features, shortlisted, implementation, scan)
        share = min(1.0, 2 * config.rerank / max(1, *grid_plan.common))
        per_cell, compiling = per_cell + share * later[0], compiling + later[1]
    return per_cell, compiling


def _pairs(grid_plan: Plan, units: Sequence[Unit]) -> list[Pair]:
    return [grid_plan.pairs[pair] for _, pair in units]


def _uploads(
    sizes: Mapping[str, int], grid_plan: Plan, of_each: Sequence[Sequence[Unit]], block: int
) -> list[int]:
    """Bytes of each upload of a language at a state; for the units of each scorer."""
    of_all = (grid_work.visits(todo, grid_plan.pairs, block) for todo in of_each)
    arriving = (visit.arriving for visit in itertools.chain.from_iterable(of_all))
    return [sizes[code] for _, code in itertools.chain.from_iterable(arriving)]


def unit_bytes(grid_plan: Plan) -> int:
    """Size of a unit's files, each with its checksum."""
    return len(grid_plan.measures) * (4 * len(grid_plan.sentences) ** 2 + 4)


def check_disk(config: GridConfig, grid_plan: Plan, units: int) -> None:
    """Refuse a run whose files don't fit the disk."""
    needed = units * unit_bytes(grid_plan)
    disk_space.require(config.grid, needed, f"{units:,} units", "name another --grid, or fewer --measures")


def _shapes(
    members: Mapping[str, GridLanguage], pairs: Sequence[Pair], devices: int
) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """Shapes of the groups of utterances that are compared with each other on devices that share rows."""
    shapes = {code: language_states.device_shapes(member.frames, devices) for code, member in members.items()}
    return {shape for a, b in pairs for shape in itertools.product(shapes[a], shapes[b])}


def _speed(features: int, names: tuple[str, ...], implementation: str, scan: int) -> tuple[float, float]:
    """Seconds per pair of frames, and to compile, on one device of this machine; from a sample.

    That is _SAMPLE on a CPU. An accelerator, which its launches would bound, gets _LARGE_SAMPLE by the grid's
    own program with its scans of DTW.

    Args:
      features: of a frame.
      names: measures of frames.
      implementation: of the kernels.
      scan: bytes of the distances of one scan.
    """
    large = jax.default_backend() != "cpu" and on_devices(implementation)
    shape = *(_LARGE_SAMPLE if large else _SAMPLE), features
    sample = list(np.random.default_rng(0).standard_normal(shape, np.float32).astype(np.float16))
    if large:
        own = tuple(jax.local_devices()[:1])
        on_device = DeviceScores(names, implementation, scan_bytes=scan, devices=own)
        groups = on_device.place(sample)
        start = functools.partial(on_device.start, groups, groups)
    else:
        host = HostScores(names, implementation, dtw_normalise="none", remove_mean=False)
        x = host.place(sample)
        start = functools.partial(host.start, x, x)
    seconds = []
    for _ in range(3):  # the first one compiles
        begin = time.perf_counter()
        start()()
        seconds.append(time.perf_counter() - begin)
    best = min(seconds)
    return best / (shape[0] * shape[1]) ** 2, seconds[0] - best

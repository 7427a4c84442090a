"""Plan of the grid on devices: languages that fit at once, by their bytes there; the sample that is timed."""

import dataclasses
import itertools
import pathlib
from unittest import mock

import jax
import numpy as np
import pytest

from isogloss.engine.activations import language_states
from isogloss.engine.grid import device_scores, grid_plan, grid_store, grid_work
from isogloss.engine.grid.grid_config import GridConfig

D = 8
GB = 10**9


def long_language():
    member = mock.create_autospec(language_states.GridLanguage, instance=True)
    member.frames = np.full(400, 1600, np.int32)
    member.store = mock.Mock(features=1280, dtype=np.dtype(np.float16))
    return member


@pytest.mark.parametrize(("memory", "block"), [(60 * GB, 9), (27 * GB, 2), (20 * GB, 1), (None, 1)])
def test_the_block_of_languages_follows_the_device(monkeypatch, memory, block):
    """1.7 GB a language at a state, and an upload; beside two of these fit 22, 7, 5 and 5 languages."""
    monkeypatch.setattr(grid_plan.devices, "memory", lambda: memory)
    member = long_language()
    config = GridConfig(store=pathlib.Path("store"), grid=pathlib.Path("grid.zarr"), memory_gb=13.0)
    assert grid_plan.block_size(config, {"aa": member}, "xla") == block
    for short, reason in (
        (
            {"measures": ("seqsim", "dtw")},
            r"4\.0 GB less 1\.2 GB for DTW is too little: five languages .*=numba",
        ),
        (
            {"measures": ("seqsim",)},
            r"a device's memory of 4\.0 GB is too little: .* and 2 uploads of .*--implementation=numba",
        ),
    ):
        monkeypatch.setattr(grid_plan.devices, "memory", lambda: 4 * GB)
        with pytest.raises(ValueError, match=reason):
            grid_plan.block_size(dataclasses.replace(config, **short), {"aa": member}, "xla")


def test_a_smaller_scan_is_advised_where_it_helps(monkeypatch):
    config = GridConfig(store=pathlib.Path("store"), grid=pathlib.Path("grid.zarr"), measures=("dtw",))
    members = {"aa": long_language()}
    for memory, remedy in ((18 * GB, r"--dtw_memory_gb=4\.259"), (13.3 * GB, r".*--implementation=numba.*")):
        monkeypatch.setattr(grid_plan.devices, "memory", lambda memory=memory: int(memory))
        with pytest.raises(ValueError, match=rf"less .* GB for DTW .* {remedy}$"):
            grid_plan.block_size(config, members, "xla")
    monkeypatch.setattr(grid_plan.devices, "memory", lambda: 18 * GB)
    assert grid_plan.block_size(dataclasses.replace(config, dtw_memory_gb=4.259), members, "xla") == 1


def placed_bytes(monkeypatch):
    """List that gets the bytes of all frames on a device, each time that an operand was made of an upload."""
    before, found, make = {id(array) for array in jax.live_arrays()}, [], device_scores._operand

    def watched(*arguments, **options):
        made = make(*arguments, **options)
        new = [array for array in jax.live_arrays() if id(array) not in before]
        found.append(sum(array.nbytes for array in new if array.ndim > 1 and array.shape[1] == 64))
        return made

    monkeypatch.setattr(device_scores, "_operand", watched)
    return found


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_device_holds_no_more_than_is_planned(monkeypatch, dtype):
    """Six languages where five and two uploads fit: blocks of one, and never more frames at once than that.

    Counted are arrays that Python knows; on a device an upload is freed later, when what was made of it is
    there. For that a second upload is planned, which can't be seen here.
    """
    codes = [f"l{i}" for i in range(6)]
    pairs = tuple(itertools.combinations(codes, 2))
    members = {code: mock.create_autospec(language_states.GridLanguage, instance=True) for code in codes}
    rng = np.random.default_rng(0)
    data = [rng.standard_normal((n, D)).astype(dtype) for n in rng.integers(3, 60, 11)]
    for member in members.values():
        member.frames = np.int32([len(frames) for frames in data])
        member.store = mock.Mock(features=D, dtype=np.dtype(dtype))
    monkeypatch.setattr(language_states, "read", lambda member, state: data)
    given = device_scores.DeviceScores(
        ("seqsim",), "xla", scan_bytes=1, devices=tuple(jax.local_devices()[:1])
    )
    frames = 16 * 64
    # Parts of 2 bytes, one of float16 and three of float32, and the lengths; an upload is what is stored.
    language = frames * (D * {2: 2, 4: 6}[np.dtype(dtype).itemsize] + 4)
    upload = frames * D * np.dtype(dtype).itemsize
    found = placed_bytes(monkeypatch)
    given.place(data)
    assert found == [language + upload]
    found.clear()
    room = 5 * language + 2 * upload
    config = GridConfig(store=pathlib.Path("store"), grid=pathlib.Path("grid.zarr"), memory_gb=room / 1e9)
    block = grid_plan.block_size(config, members, "xla")
    facts = {"pairs": pairs, "states": ("0",), "sentences": (), "measures": ("seqsim",), "common": ()}
    plan = grid_store.Plan(**facts, identity={"remove_language_mean": False}, flags={})
    units = [(0, pair) for pair in range(len(pairs))]
    assert len(list(grid_work._started(plan, members, units, given, block))) == len(units)
    assert 3 * language + upload <= max(found) <= room
    short = dataclasses.replace(config, memory_gb=(room - 1) / 1e9)
    with pytest.raises(ValueError, match=r"five languages of .* and 2 uploads of"):
        grid_plan.block_size(short, members, "xla")


@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_the_plan_counts_languages_of_the_unit_before(block):
    """Of all pairs of up to 12: what is held, and what the unit before uses, fits beside two uploads."""
    fits = [grid_plan.languages_of_block(10 * n + 14, 10, 7) for n in (2 * block + 2, 2 * block + 3)]
    assert fits == [block - 1, block]
    for count in range(2, 13):
        pairs = tuple(itertools.combinations([f"{i:02d}" for i in range(count)], 2))
        uploads, held, used = itertools.count(), {}, set()
        for visit in grid_work.visits([(s, p) for s in (0, 1) for p in range(len(pairs))], pairs, block):
            held = {key: upload for key, upload in held.items() if key in visit.kept}
            held |= {key: next(uploads) for key in visit.arriving}
            assert len(used | set(held.values())) <= 2 * block + 3
            used = {held[visit.unit[0], code] for code in visit.codes}


@pytest.mark.parametrize(
    ("platform", "implementation", "shape"),
    [("cpu", "xla", (16, 200)), ("gpu", "numba", (16, 200)), ("gpu", "xla", (64, 640))],
)
def test_an_accelerator_is_timed_with_a_full_group(monkeypatch, platform, implementation, shape):
    """By the grid's own program and scan, on one device; a sample that launches bound would mislead."""
    scorers = {}
    for name in ("DeviceScores", "HostScores"):
        scorers[name] = mock.Mock()
        scorers[name].return_value.start.side_effect = lambda *_: lambda: None
        monkeypatch.setattr(grid_plan, name, scorers[name])
    clock = iter([0.0, 9.0, 10.0, 12.0, 20.0, 23.0])
    monkeypatch.setattr(grid_plan.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(grid_plan.jax, "default_backend", lambda: platform)
    per_cell, compiling = grid_plan._speed(D, ("seqsim",), implementation, 123)
    large = shape == (64, 640)
    used, unused = (scorers[name] for name in ("DeviceScores", "HostScores")[:: 1 if large else -1])
    assert not unused.called
    [sample] = used.return_value.place.call_args.args
    assert {frames.shape for frames in sample} == {(shape[1], D)}
    assert len(sample) == shape[0]
    assert (per_cell, compiling) == (2.0 / (shape[0] * shape[1]) ** 2, 7.0)
    if large:
        assert used.call_args.kwargs == {"scan_bytes": 123, "devices": tuple(jax.local_devices()[:1])}
        [group] = language_states.device_shapes(np.full(shape[0], shape[1], np.int32), 1)
        assert group == shape  # full, and nothing padded

"""Benchmark of activation stores: write utterances whole, read one state of all of them.

Ours against zarr-python and TensorStore alone on the same layout, and against a sequential write and fsync
or a sequential read of as many bytes. Only bytes of frames in use count. TensorStore syncs every file,
zarr-python none. Reads are from the page cache, so that software is compared, not disks. Needs twice the
store's size in TMPDIR.
"""

import functools
import itertools
import os
import pathlib
from collections.abc import Callable

import numpy as np
import tensorstore as ts
import zarr
from jaxtyping import Float

from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.bench import activations, data, machine_peak
from isogloss.engine.bench.setting import BenchSetting, Planned
from isogloss.engine.bench.timing import Case, Check, TimedTask
from isogloss.engine.runtime import temporary

PEERS = ()
_UNIT = "GB/s"
_States = list[Float[np.ndarray, "S N D"]]  # by utterance
_Frames = list[Float[np.ndarray, "_ D"]]


def cases(setting: BenchSetting) -> list[Planned]:
    """Write, and read of one state, of a base-sized store."""
    count, states, features = (3, 2, 16) if setting.quick else (32, 8, 512)
    shape = f"{count} utterances, {states} states, {features} features"
    builds = {f"write {shape}": _write_case, f"read one state of {shape}": _read_case}
    return [
        Planned(title=title, build=functools.partial(build, title, count, states, features))
        for title, build in builds.items()
    ]


class _Work:
    """A folder for stores, and what is to be in them."""

    def __init__(self, count: int, states: int, features: int) -> None:
        self.folder = temporary.Folder("isogloss-bench-")
        self.root = pathlib.Path(self.folder.name)
        self.frames = data.fleurs_frames(count, data.rng(6))
        self.names = tuple(map(str, range(states)))
        self.features = features
        self.utterances: _States = activations.random_states(self.frames, states, features, 7)
        self.state_bytes = int(self.frames.sum()) * features * 2
        self._fresh = itertools.count()

    def empty(self) -> LanguageStore:
        """A new store without activations; the one before is gone."""
        # The store before goes first, so that the disk need not hold one for every call.
        for old in self.root.glob("store-*"):
            _remove(old)
        place = self.root / f"store-{next(self._fresh)}"
        return activations.create(place, "aa", self.frames, self.names, self.features)


def _remove(folder: pathlib.Path) -> None:
    for path, folders, files in os.walk(folder, topdown=False):
        for name in files:
            (pathlib.Path(path) / name).unlink()
        for name in folders:
            (pathlib.Path(path) / name).rmdir()
    folder.rmdir()


def _write_zarr(store: LanguageStore, utterances: _States) -> None:
    array = _zarr_array(store)
    for u, states in enumerate(utterances):
        array[u] = states


def _write_tensorstore(store: LanguageStore, utterances: _States) -> None:
    array = _tensorstore(store)
    # All writes are started before the first is waited for, as ours are.
    for write in [array[u].write(states) for u, states in enumerate(utterances)]:
        write.result()


def _zarr_array(store: LanguageStore) -> zarr.Array:
    array = zarr.open_array(store.path / "states", mode="r+")
    assert isinstance(array, zarr.Array)
    return array


def _tensorstore(store: LanguageStore) -> ts.TensorStore:
    place = {"driver": "file", "path": f"{store.path / 'states'}/"}
    return ts.open({"driver": "zarr3", "kvstore": place}, open=True).result()


def _write_case(title: str, count: int, states: int, features: int) -> Case:
    work = _Work(count, states, features)
    size = states * work.state_bytes
    current: list[LanguageStore] = []

    def task(name: str, write: Callable[[LanguageStore, _States], None]) -> TimedTask:
        return TimedTask(
            name=name,
            call=lambda: write(current[0], work.utterances),
            work=size / 1e9,
            unit=_UNIT,
            prepare=lambda: current.__setitem__(slice(None), [work.empty()]),
            check=lambda _: _check_written(current[0], work),
        )

    tasks = (
        task("isogloss", activations.write),
        task("zarr-python", _write_zarr),
        task("TensorStore alone", _write_tensorstore),
    )
    return Case(
        title=title,
        tasks=tasks,
        yardstick=machine_peak.sequential_write(work.root / "plain", size),
        folder=work.folder,
    )


def _check_written(store: LanguageStore, work: _Work) -> Check:
    """Values that differ from what was written, over all states and padding."""
    array = _zarr_array(store)
    wrong = 0
    for u, states in enumerate(work.utterances):
        found = np.asarray(array[u])
        # Compared as bits, because padding is NaN, which equals nothing.
        wrong += int((found.view(np.uint16) != states.view(np.uint16)).sum())
    return Check(error=float(wrong), bound=0.0)


def _read_case(title: str, count: int, states: int, features: int) -> Case:
    work = _Work(count, states, features)
    store = work.empty()
    activations.write(store, work.utterances)
    state = states // 2
    # Opened once, as the grid opens ours: reading metadata isn't part of reading states.
    by_zarr, by_tensorstore = _zarr_array(store), _tensorstore(store)

    def ours() -> _Frames:
        return list(store.read(work.names[state], range(count)))

    def zarr_python() -> _Frames:
        return [np.asarray(by_zarr[u, state, : int(n)]) for u, n in enumerate(work.frames)]

    def tensorstore() -> _Frames:
        reads = [by_tensorstore[u, state, : int(n)].read() for u, n in enumerate(work.frames)]
        return [np.asarray(read.result()) for read in reads]

    def check(result: object) -> Check:
        assert isinstance(result, list)
        wanted = [states[state, :n] for states, n in zip(work.utterances, work.frames, strict=True)]
        wrong = sum(int((a != b).sum()) for a, b in zip(result, wanted, strict=True))
        return Check(error=float(wrong), bound=0.0)

    size = work.state_bytes / 1e9
    calls = {"isogloss": ours, "zarr-python": zarr_python, "TensorStore alone": tensorstore}
    return Case(
        title=title,
        tasks=tuple(
            TimedTask(name=name, call=call, work=size, unit=_UNIT, check=check)
            for name, call in calls.items()
        ),
        yardstick=machine_peak.sequential_read(work.root / "plain", work.state_bytes),
        folder=work.folder,
    )

"""The grid job on several devices: each takes units of its own, or all share the rows; the same bytes."""

import dataclasses
import shutil
import threading

import jax
import numpy as np
import pytest
from processes import PATIENCE

from isogloss.engine.grid import comparison, device_scores, grid, grid_plan, grid_store, grid_work, scorers
from isogloss.engine.grid.device_scores import DeviceScores
from isogloss.engine.runtime.devices import Rows
from isogloss.kernels import reference


@pytest.fixture
def config(spoken, tmp_path):
    """Three pairs at two states: six units."""
    return grid.GridConfig(
        store=spoken / "store", grid=tmp_path / "grid.zarr", measures=("seqsim", "dtw"),
        implementation="xla", memory_gb=1.0, dtw_memory_gb=0.01,
    )  # fmt: skip


@pytest.fixture
def on(monkeypatch):
    """Function that lets this host have the first devices only."""

    def having(count):
        some = jax.devices()[:count]
        monkeypatch.setattr(jax, "local_devices", lambda: some)
        monkeypatch.setattr(jax, "local_device_count", lambda: count)
        return some

    return having


@pytest.fixture
def computed(monkeypatch):
    """Devices that the scores of each unit lie on before anybody asks for them."""
    found, result = [], device_scores._result

    def spied(measures, sizes, places):
        found.append(frozenset().union(*(matrix.devices() for *_, matrix in places)))
        return result(measures, sizes, places)

    monkeypatch.setattr(device_scores, "_result", spied)
    return found


@pytest.mark.parametrize("count", [2, pytest.param(6, marks=pytest.mark.deep)])
@pytest.mark.parametrize(
    "change",
    [
        {},
        pytest.param({"remove_language_mean": True, "measures": ("dtw", "meanpool")}, marks=pytest.mark.deep),
        pytest.param({"measures": ("seqsim", "dtw", "transport"), "rerank": 2}, marks=pytest.mark.deep),
    ],
)
def test_each_device_takes_units_of_its_own(config, on, computed, files, count, change):
    """As many as another. Bytes are those of one device."""
    some, config = on(count), dataclasses.replace(config, **change)
    assert grid.run(config).done == 6
    assert sorted(map(len, computed)) == [1] * 6
    assert {device: computed.count({device}) for device in some} == dict.fromkeys(some, 6 // count)
    computed.clear()
    on(1)
    one = dataclasses.replace(config, grid=config.grid.with_name("one.zarr"))
    assert grid.run(one).done == 6
    assert computed == [{some[0]}] * 6
    assert files(config.grid, "*/c.*") == files(one.grid, "*/c.*")


@pytest.mark.parametrize(
    ("measures", "pairs", "count"),
    [
        pytest.param(("seqsim", "dtw"), (), 8, id="fewer units than devices", marks=pytest.mark.deep),
        pytest.param(("seqsim",), (), 2, id="no DTW", marks=pytest.mark.deep),
        pytest.param(("seqsim", "dtw"), ("aa-bb",), 3, id="fewer units than three devices"),
    ],
)
def test_else_all_devices_share_the_rows(config, on, computed, measures, pairs, count):
    some = on(count)
    assert grid.run(dataclasses.replace(config, measures=measures, pairs=pairs)).complete
    assert computed == [set(some)] * (2 if pairs else 6)


def test_arrays_are_compared_by_all_devices(on, computed):
    some = on(2)
    x, y = (np.random.default_rng(seed).standard_normal((3, 5)) for seed in (0, 1))
    found = float(comparison.compare([x, x], y, implementation="xla").seqsim[1])
    assert computed == [set(some)]
    assert found == pytest.approx(reference.f1(*reference.seqsim(x, y)), abs=1e-6)


def test_kernels_of_the_host_take_all_units():
    assert scorers.device_sets(100, ("dtw",), "numba") == [tuple(jax.local_devices())]


@pytest.mark.parametrize(
    ("count", "languages"),
    [(2, 2 * 3), *(pytest.param(*c, marks=pytest.mark.deep) for c in ((3, 10), (7, 6)))],
)
def test_a_plan_counts_the_uploads_of_each_device(config, on, monkeypatch, count, languages):
    """Of two, each has a state and three languages; of three, the middle one has a pair of each state.

    Seven share the rows of each pair, 8 filled up to 14. A pair of frames takes a second here.
    """
    monkeypatch.setattr(grid_plan, "_speed", lambda *_: (1.0, 0.0))
    on(count)
    uploads, upload = [], Rows.upload

    def spied(self, arrays):
        uploads.append((self.count, arrays[0].nbytes))
        return upload(self, arrays)

    monkeypatch.setattr(Rows, "upload", spied)
    planned = grid.run(dataclasses.replace(config, dry_run=True)).plan
    uploads.clear()
    assert grid.run(config).complete
    assert planned["uploads"] == languages
    each = planned["estimated_seconds"] / planned["dtw_cells"]
    assert 1 / count <= each < 1.3 / count
    assert planned["upload_bytes"] == sum(size for _, size in uploads)
    assert {count for count, _ in uploads} == {1 if count <= 6 else count}


def test_a_damaged_shard_fails_its_own_units(config, on, spoken, tmp_path):
    on(2)
    shutil.copytree(spoken / "store", tmp_path / "store")
    shard = tmp_path / "store" / "cc.zarr" / "states" / "c.1.0.0.0"
    data = bytearray(shard.read_bytes())
    data[10] ^= 255  # in a chunk of the first state
    shard.write_bytes(data)
    summary = grid.run(dataclasses.replace(config, store=tmp_path / "store"))
    assert summary.done == 4
    assert set(summary.failed) == {"aa-cc state 1", "bb-cc state 1"}


def test_a_failure_of_one_device_ends_the_run_and_keeps_what_is_written(config, on, monkeypatch, files):
    """The second device fails when the first has written a unit, which stays as it is."""
    some, start, written = on(2), DeviceScores.start, threading.Event()
    write = grid_store.Grid.write

    def failing(self, x, y, among=None):
        if self._options[-1] == (some[1],):
            assert written.wait(PATIENCE)
            raise RuntimeError("the device is full")
        return start(self, x, y, among)

    def noted(self, *given):
        write(self, *given)
        written.set()

    with monkeypatch.context() as patch:
        patch.setattr(DeviceScores, "start", failing)
        patch.setattr(grid_store.Grid, "write", noted)
        with pytest.raises(RuntimeError, match="the device is full"):
            grid.run(config)
    kept = files(config.grid, "*/c.*")
    units = len(list((config.grid / "dtw").glob("c.*")))
    assert 1 <= units <= 3
    summary = grid.run(config)
    assert (summary.skipped, summary.done) == (units, 6 - units)
    assert kept.items() <= files(config.grid, "*/c.*").items()


def test_shares_are_neighbours_and_make_the_whole():
    units = [(state, pair) for state in (0, 1) for pair in range(5)]
    of_each = grid_work.shares(units, 4)
    assert [unit for share in of_each for unit in share] == units
    assert sorted(map(len, of_each)) == [2, 2, 3, 3]

"""A grid job that was started before the grid grew writes no score of older recordings after it."""

import multiprocessing.pool

import numpy as np
import pytest
from processes import PATIENCE

from isogloss.engine.grid import grid_store
from isogloss.engine.runtime import objects, place, zarr_growth
from isogloss.engine.runtime.refusal import UnfinishedError
from small_grids import made_grid

PAIRS = [("aa", "bb"), ("aa", "cc"), ("bb", "cc")]
OLD = {code: {"s1": f"{code} 1", "s2": f"{code} 2"} for code in ("aa", "bb", "cc")}
NEW = OLD | {"bb": {"s1": "bb 1", "s2": "another"}}
UNIT = {"seqsim": np.ones((2, 2), np.float32)}


def grown(path, recordings, pairs=PAIRS):
    languages = {code: {"corpus_sha256": str(held), "missing": []} for code, held in recordings.items()}
    return made_grid(
        path, pairs, ["s1", "s2"],
        measures=("seqsim",), recordings=recordings, model="m", languages=languages,
    )  # fmt: skip


@pytest.fixture(params=["folder", "bucket"])
def path(request, tmp_path):
    if request.param == "folder":
        return tmp_path / "grid.zarr"
    return place.parse(f"{request.getfixturevalue('s3').bucket()}/grid.zarr")


def test_scores_of_older_recordings_are_refused(path):
    late = grown(path, OLD)
    late.write(0, 0, UNIT)
    now = grown(path, NEW)
    for pair in (0, 2):
        with pytest.raises(UnfinishedError, match=r"aa-bb|bb-cc is of other recordings now.*again"):
            late.write(pair, 0, UNIT)
    assert now.done() == set()
    late.write(1, 0, UNIT)  # aa-cc is what it was
    now.write(0, 0, UNIT)
    assert grid_store.open_grid(path).done() == {(0, 0), (1, 0)}


def test_pairs_that_were_added_stop_nobody(path):
    late = grown(path, OLD, PAIRS[:1])
    now = grown(path, OLD)
    late.write(0, 0, UNIT)
    assert now.done() == {(0, 0)}


def test_a_growth_waits_for_the_write_and_removes_it(tmp_path, monkeypatch):
    """In a folder. The write is under way when the growth begins; whatever lands, no old score stays."""
    path = tmp_path / "grid.zarr"
    late = grown(path, OLD)
    with multiprocessing.pool.ThreadPool(1) as pool:
        real, growth = late._write, []

        def slowly(*unit):
            growth.append(pool.apply_async(grown, (path, NEW)))
            growth[0].wait(0.3)
            assert not growth[0].ready(), "the growth waits for the lock"
            real(*unit)

        monkeypatch.setattr(grid_store.Grid, "_write", lambda self, *unit: slowly(*unit))
        late.write(0, 0, UNIT)
        assert growth[0].get(PATIENCE).done() == set()


@pytest.mark.parametrize("committed", [True, False])
def test_without_locks_what_was_written_in_between_is_removed(s3, monkeypatch, committed):
    """The bucket's grid grows, or begins to, between the look at it and the write."""
    path = place.parse(f"{s3.bucket()}/grid.zarr")
    late = grown(path, OLD)
    real = grid_store.Grid._write

    def overtaken(self, *unit):
        monkeypatch.setattr(grid_store.Grid, "_write", real)
        if committed:
            grown(path, NEW)
        else:
            metadata = objects.read(path / "zarr.json")
            objects.write_new(zarr_growth._claim(path, metadata), b"")
        real(self, *unit)

    monkeypatch.setattr(grid_store.Grid, "_write", overtaken)
    with pytest.raises(UnfinishedError):
        late.write(0, 0, UNIT)
    assert grid_store.open_grid(path).done() == set()


def test_a_second_growth_to_the_same_labels_removes_nothing(s3, monkeypatch):
    """Of two tasks that find the grid as it was, the slower one must not take away what the other wrote."""
    path = place.parse(f"{s3.bucket()}/grid.zarr")
    grown(path, OLD)
    real = objects.write_new

    def overtaken(at, content):
        monkeypatch.setattr(objects, "write_new", real)
        grown(path, NEW).write(0, 0, UNIT)
        return real(at, content)

    monkeypatch.setattr(objects, "write_new", overtaken)
    slow = grown(path, NEW)
    assert slow.done() == {(0, 0)}

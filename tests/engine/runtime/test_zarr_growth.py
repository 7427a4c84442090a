"""engine.zarr_growth: readers see the old labels or the new ones, whenever a growth is killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import xarray as xr

from isogloss.engine.runtime import zarr_group, zarr_growth
from isogloss.engine.runtime.refusal import WriteError
from isogloss.engine.runtime.zarr_group import Coordinate
from toy_groups import scores_array

ARRAY = scores_array(2, 3)


def labels(pairs):
    return [
        Coordinate(name="pair", axis="pair", values=pairs),
        Coordinate(name="n", axis="pair", values=np.arange(len(pairs), dtype=np.int32)),
    ]


@pytest.fixture
def group(tmp_path):
    path = tmp_path / "g.zarr"
    zarr_group.create(path, {"kind": "toy", "made": 1}, labels(["a-b", "a-c"]), [ARRAY])
    zarr_group.open_group(path).open_array("scores")[1].write(np.float32([1, 2, 3])).result()
    return path


def grow(path, made, pairs):
    with zarr_growth.locked(path):
        zarr_growth.relabel(path, {"kind": "toy", "made": made}, labels(pairs), {"scores": (len(pairs), 3)})


def test_a_group_that_does_not_say_its_day_gets_none(group):
    metadata = group / "zarr.json"
    held = json.loads(metadata.read_text())
    del held["attributes"]["created"]
    metadata.write_text(json.dumps(held))
    grow(group, 2, ["a-b", "a-c", "b-c"])
    assert "created" not in json.loads(metadata.read_text())["attributes"]


def test_labels_chunks_and_attributes_after_each_growth(group, monkeypatch):
    made_on = xr.open_zarr(group).attrs["created"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    long = ["a-b", "a-c"]
    for made in (2, 3, 4):
        long = [*long, f"b-{'ç' * 9 ** (made - 2)}"]
        grow(group, made, long)
        dataset = xr.open_zarr(group)
        assert dataset.pair.values.tolist() == long
        assert (dataset.attrs["made"], dataset.attrs["created"]) == (made, made_on)
        assert dataset.n.values.tolist() == list(range(len(long)))
        np.testing.assert_array_equal(dataset.scores.sel(pair="a-c"), [1, 2, 3])
        assert dataset.scores[2:].isnull().all()
        assert xr.open_zarr(group, consolidated=False).equals(dataset)
        zarr_group.open_group(group).open_array("scores")[made].read().result()
    assert [path.name for path in group.parent.iterdir()] == ["g.zarr"]


def test_who_opened_it_before_reads_on(group):
    before = xr.open_zarr(group)
    grow(group, 2, ["x", "yy", "zzz"])
    assert before.load().pair.values.tolist() == ["a-b", "a-c"]
    assert before.scores.shape == (2, 3)


def test_killed_at_any_moment_it_is_the_old_group_or_the_new_one(group):
    """Killed before each file is moved into the group; then the same growth is made again."""
    code = textwrap.dedent("""
        import os, pathlib, signal, sys
        import numpy as np
        from isogloss.engine.runtime import zarr_group, zarr_growth
        from isogloss.engine.runtime.zarr_group import Coordinate

        path, pairs, moves = pathlib.Path(sys.argv[1]), ["a-b", "a-c", "b-longer"], []
        replace = os.replace
        def counted(source, target):
            moves.extend([target] * (path in pathlib.Path(target).parents))
            if len(moves) == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)
        os.replace = counted
        n = Coordinate(name="n", axis="pair", values=np.int32([7, 8, 9]))
        pair = Coordinate(name="pair", axis="pair", values=pairs)
        with zarr_growth.locked(path):
            zarr_growth.relabel(path, {"kind": "toy", "made": 2}, [pair, n], {"scores": (3, 3)})
    """)
    for move in (1, 3, 6):  # of 6: two chunks, three arrays' metadata, the group's
        command = [sys.executable, "-c", code, str(group), str(move)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        dataset = xr.open_zarr(group)
        assert dataset.pair.values.tolist() == ["a-b", "a-c"]
        assert dataset.n.values.tolist() == [0, 1]
        assert zarr_group.open_group(group).attributes["made"] == 1
        np.testing.assert_array_equal(dataset.scores[1], [1, 2, 3])
    grow(group, 2, ["a-b", "a-c", "b-longer"])
    assert xr.open_zarr(group).pair.values.tolist() == ["a-b", "a-c", "b-longer"]


def test_one_process_at_a_time_grows_a_group(group):
    with zarr_growth.locked(group):
        code = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        other = subprocess.run([sys.executable, "-c", code, str(group)], check=False, capture_output=True)
        assert b"BlockingIOError" in other.stderr


def test_a_disk_that_fails_leaves_the_group_as_it_was(group, monkeypatch):
    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteError, match="No space left"):
        grow(group, 2, ["x", "y", "z"])
    assert xr.open_zarr(group).pair.values.tolist() == ["a-b", "a-c"]

"""engine.runtime.zarr_group: made whole or not at all, and read by zarr-python and xarray."""

import signal
import subprocess
import sys
import textwrap

import numpy as np
import processes
import pytest
import xarray as xr
import zarr

from isogloss.engine.runtime import version, zarr_group
from isogloss.engine.runtime.zarr_group import Coordinate
from toy_groups import scores_array

ARRAY = scores_array(3, 4)
COORDINATES = [
    Coordinate(name="pair", axis="pair", values=["a-b", "a-ç", ""]),
    Coordinate(name="n", axis="pair", values=np.int32([3, 2, 1]), attributes={"long_name": "count"}),
]

ATTRIBUTES = {"format": 1, "flags": {"a": [1, None]}, "centred": True}


def make(path):
    return zarr_group.create(path, ATTRIBUTES, COORDINATES, [ARRAY])


def test_xarray_reads_labels_and_missing_chunks_as_nan(tmp_path):
    assert make(tmp_path / "g.zarr")
    array = zarr_group.open_group(tmp_path / "g.zarr").open_array("scores")
    array[1].write(np.float32([1, 2, 3, 4])).result()
    dataset = xr.open_zarr(tmp_path / "g.zarr")
    assert dataset.scores.dims == ("pair", "query")
    assert set(dataset.coords) == {"pair", "n"}
    np.testing.assert_array_equal(dataset.scores.sel(pair="a-ç"), [1, 2, 3, 4])
    assert dataset.scores.sel(pair="a-b").isnull().all()
    assert dataset.attrs == {
        "isogloss_version": version.isogloss_version(),
        "created": version.today(),
        "format": 1,
        "flags": '{"a": [1, null]}',
        "centred": 1,
    }
    assert dataset.n.attrs["long_name"] == "count"


def test_the_day_is_no_part_of_what_a_group_is(tmp_path, monkeypatch):
    for day, name in enumerate(("one", "other")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1_767_225_600 + day * 86_400))
        make(tmp_path / name)
    groups = [zarr_group.open_group(tmp_path / name) for name in ("one", "other")]
    days = [group.metadata["attributes"]["created"] for group in groups]
    assert days == ["2026-01-01", "2026-01-02"]
    assert groups[0].attributes == groups[1].attributes


def test_the_day_is_the_clocks_by_utc(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    days = []
    for name, now in (("before", 1_767_311_999.9), ("after", 1_767_312_000.0)):
        with monkeypatch.context() as clock:
            clock.setattr(version.time, "time", lambda now=now: now)
            make(tmp_path / name)
        days.append(zarr_group.open_group(tmp_path / name).metadata["attributes"]["created"])
    assert days == ["2026-01-01", "2026-01-02"]


def test_reads_back_labels(tmp_path):
    make(tmp_path / "g.zarr")
    group = zarr_group.open_group(tmp_path / "g.zarr")
    assert set(group.labels) == {"pair", "n"}
    assert list(group.labels["pair"]) == ["a-b", "a-ç", ""]
    assert group.labels["n"].dtype == np.int32
    assert ATTRIBUTES.items() <= group.attributes.items()


def test_second_creation_leaves_the_first_alone(tmp_path):
    make(tmp_path / "g.zarr")
    before = (tmp_path / "g.zarr" / "zarr.json").stat().st_mtime_ns
    assert not make(tmp_path / "g.zarr")
    assert (tmp_path / "g.zarr" / "zarr.json").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["g.zarr"]


def test_many_processes_at_once_make_one_group(tmp_path):
    """All but one lose the race, and none leaves anything behind."""
    code = textwrap.dedent("""
        import pathlib, sys
        import numpy as np
        from isogloss.engine.runtime import version, zarr_group
        from isogloss.engine.runtime.zarr_group import Coordinate

        print("ready", flush=True)
        sys.stdin.readline()
        n = Coordinate(name="n", axis="pair", values=np.int32([3, 2, 1]))
        print(zarr_group.create(pathlib.Path(sys.argv[1]), {"format": 1}, [n], []))
    """)
    command = [sys.executable, "-c", code, str(tmp_path / "g.zarr")]
    pipe = subprocess.PIPE
    racers = [processes.start(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    made = [racer.communicate(timeout=processes.PATIENCE)[0] for racer in racers]
    assert sorted(made) == ["False\n"] * 3 + ["True\n"]
    assert [path.name for path in tmp_path.iterdir()] == ["g.zarr"]
    assert zarr.open_group(tmp_path / "g.zarr", mode="r").attrs["format"] == 1


def test_killed_while_making_it_is_made_by_the_next_of_that_name_and_number(tmp_path):
    """As a container that is restarted: the same host name, the same process number."""
    code = textwrap.dedent("""
        import os, pathlib, signal, socket, sys
        import numpy as np
        from isogloss.engine.runtime import version, zarr_group
        from isogloss.engine.runtime.zarr_group import Coordinate

        itself = os.getpid()
        os.getpid, socket.gethostname = lambda: 7, lambda: "pod-0"
        if sys.argv[2] == "killed":
            os.rename = lambda *_: os.kill(itself, signal.SIGKILL)
        n = Coordinate(name="n", axis="pair", values=np.int32([3, 2, 1]))
        print(zarr_group.create(pathlib.Path(sys.argv[1]), {}, [n], []))
    """)
    command = [sys.executable, "-c", code, str(tmp_path / "g.zarr")]
    assert subprocess.run([*command, "killed"], check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "g.zarr").exists()
    assert list(tmp_path.iterdir())  # what it had made so far
    again = subprocess.run([*command, "again"], check=True, capture_output=True, text=True)
    assert again.stdout == "True\n"
    assert [path.name for path in tmp_path.iterdir()] == ["g.zarr"]


def test_something_else_in_the_way(tmp_path):
    (tmp_path / "g.zarr").mkdir()
    (tmp_path / "g.zarr" / "thesis.tex").write_text("dear")
    with pytest.raises(ValueError, match=r"g\.zarr: exists, but isn't a Zarr"):
        make(tmp_path / "g.zarr")
    assert (tmp_path / "g.zarr" / "thesis.tex").read_text() == "dear"


def test_chunks_present_counts_files_only(tmp_path):
    path = tmp_path / "g.zarr"
    make(path)
    assert zarr_group.open_group(path).chunks_present("scores", 1) == set()
    zarr_group.open_group(path).open_array("scores")[2].write(np.ones(4, np.float32)).result()
    (path / "scores" / "c.0.0.__lock").write_text("half")  # a writer killed before its rename
    assert zarr_group.open_group(path).chunks_present("scores", 1) == {(2,)}


@pytest.mark.parametrize("keep", [True, False])
def test_chunk_of_nan_becomes_a_file_only_if_kept(tmp_path, keep):
    path = tmp_path / "g.zarr"
    make(path)
    array = zarr_group.open_group(path).open_array("scores", keep_fill=keep)
    array[0].write(np.full(4, np.nan, np.float32)).result()
    assert zarr_group.open_group(path).chunks_present("scores", 1) == ({(0,)} if keep else set())


def test_corrupt_chunk_is_noticed(tmp_path):
    path = tmp_path / "g.zarr"
    make(path)
    zarr_group.open_group(path).open_array("scores")[0].write(np.ones(4, np.float32)).result()
    file = path / "scores" / "c.0.0"
    broken = bytearray(file.read_bytes())
    broken[3] ^= 1
    file.write_bytes(broken)
    with pytest.raises(ValueError, match=r"(?i)crc|digest|checksum"):
        zarr_group.open_group(path).open_array("scores")[0].read().result()

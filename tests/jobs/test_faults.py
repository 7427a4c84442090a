"""Stores and grids on storage that fails: a bucket behind a bad network, a folder with errors; long tests."""

import errno
import json
import os
import pathlib
import shutil
import subprocess
import sys

import processes
import pytest
from faulty_proxy import Proxy

pytestmark = pytest.mark.deep


# Run as a process and never imported: importing mfusepy fails where there is no libfuse.
FAULTY_FOLDER = pathlib.Path(__file__).parents[1] / "shared" / "faulty_folder.py"
MEASURES = "--measures=seqsim,meanpool"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, job, source):
    """Folder of a store and a grid."""
    folder = tmp_path_factory.mktemp("undisturbed")
    job("extract", *source, f"--store={folder}/store").summary()
    job("grid", f"--store={folder}/store", f"--grid={folder}/grid.zarr", MEASURES).summary()
    return folder


def test_a_bucket_under_eight_kills(undisturbed, s3, source, files, job):
    url = f"{s3.bucket()}/all"
    extract = job("extract", *source, f"--store={url}/store")
    grid = job("grid", f"--store={url}/store", f"--grid={url}/grid.zarr", MEASURES)
    hits = 0
    for each, below, counts in ((extract, "store", (1, 5, 10, 15)), (grid, "grid.zarr", (1, 7, 13, 19))):
        for count in counts:
            hits += each.killed(lambda: s3.chunks(f"{url}/{below}") >= count)  # noqa: B023
        each.summary()
        assert each.summary()["done"] == 0
    assert hits >= 6  # near its end a job may finish before it is killed
    assert s3.groups(url) == files(undisturbed)


def test_a_bucket_behind_a_bad_network(undisturbed, s3, source, files, job, monkeypatch):
    """A sixth of the requests is broken, and for a while all are."""
    proxy = Proxy(s3.endpoint, outage=(3, 30.0))
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    url = f"{s3.bucket()}/all"
    try:
        assert job("extract", *source, f"--store={url}/store").start().wait() == 0
        assert proxy.counts["down"] > 0
        shards = [
            job(
                "grid",
                f"--store={url}/store",
                f"--grid={url}/grid.zarr",
                MEASURES,
                "--num_shards=2",
                f"--shard_index={index}",
            ).start()
            for index in (0, 1)
        ]
        assert [shard.wait() for shard in shards] == [0, 0]
    finally:
        proxy.close()
    broken = sum(count for what, count in proxy.counts.items() if what not in {"passed", "down"})
    assert broken > 0.1 * proxy.counts["passed"]
    assert s3.groups(url) == files(undisturbed)


@pytest.fixture
def mounted(tmp_path):
    """Function that sets the rules of a folder seen through FUSE, and the folder."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not shutil.which("fusermount3"):
        pytest.skip("needs /dev/fuse and fusermount3: apt-get install fuse3")
    backing, mount, rules = tmp_path / "backing", tmp_path / "mount", tmp_path / "rules.json"
    backing.mkdir()
    mount.mkdir()
    rules.write_text("{}")
    command = [sys.executable, str(FAULTY_FOLDER), str(backing), str(mount), str(rules)]
    server = processes.start(command, stderr=subprocess.PIPE, text=True)
    processes.awaited(lambda: server.poll() is not None or mount.is_mount())
    if server.poll() is not None:
        pytest.skip(f"FUSE can't mount here: {server.communicate()[1].strip()[-200:]}")

    def change(**new):
        changed = rules.with_suffix(".new")
        changed.write_text(json.dumps(new))
        changed.rename(rules)

    yield change, mount
    subprocess.run(["fusermount3", "-u", "-z", str(mount)], check=True)
    server.communicate()


@pytest.mark.parametrize(
    ("operation", "error", "code"),
    [
        ("write", errno.EIO, 1),
        ("write", errno.ENOSPC, 2),
        ("fsync", errno.EIO, 1),
        ("rename", errno.EIO, 1),
        ("write", errno.ESTALE, 1),
        ("create", errno.EACCES, 2),
    ],
)
def test_a_folder_that_can_not_be_written_to(
    mounted, undisturbed, source, files, job, operation, error, code
):
    """A full disk and a missing right wait for a person; launch tries everything else again."""
    change, mount = mounted
    extract = job("extract", *source, f"--store={mount}/store")
    change(match="/states/c.", **{operation: {"share": 0.3, "errno": error}})
    done = extract.run()
    assert done.returncode == code, done.stderr
    assert "can't be written" in done.stderr
    assert "Traceback" not in done.stderr
    change()
    extract.summary()
    found = files(pathlib.Path(mount) / "store")
    assert {key: found[key] for key in found if "__lock" not in key} == files(undisturbed / "store")


def launched(folder, step, given):
    """Exit code of a launch of one step with these flags, starts of its task so far, and what it says."""
    flags = folder / f"{step}.flags"
    flags.write_text("\n".join(given))
    options = ["--cluster=local", f"--run={folder}/{step}", "--shards=1", "--rounds=2", str(flags)]
    command = [sys.executable, "-m", "isogloss.jobs.launch", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    starts = (folder / step / "logs" / f"{step}-0.log").read_text().count("== ")
    return done.returncode, starts, done.stderr


def test_launch_tries_again_what_may_pass(tmp_path, s3, source, monkeypatch, mounted):
    """A bucket, a hub and a disk that fail for now: each round starts the task; the same launch then ends."""
    change, mount = mounted
    url = f"{s3.bucket()}/all"
    [corpus, model] = source
    given = {
        "bucket": [corpus, model, f"--store={url}/store"],
        "hub": ["--corpus=fleurs:test", model, f"--store={tmp_path}/never"],
        "disk": [corpus, model, f"--store={mount}/store"],
    }
    change(match="/states/c.", write={"share": 1.0, "errno": errno.EIO})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))

    for what, flags in given.items():
        code, starts, errors = launched(tmp_path, f"extract-{what}", flags)
        assert (code, starts) == (1, 2), errors
        assert "died 2 times" in errors
    change()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    for what in ("bucket", "disk"):
        assert launched(tmp_path, f"extract-{what}", given[what])[:2] == (0, 3)


def test_a_folder_that_can_not_be_read(mounted, undisturbed, files, job, tmp_path):
    """The pair of the other languages is compared, and launch tries the rest again."""
    change, mount = mounted
    shutil.copytree(undisturbed / "store", mount / "store")
    flags = [f"--store={mount}/store", f"--grid={mount}/grid.zarr", MEASURES]
    change(match="bb.zarr/states/c.", read={"share": 1.0, "errno": errno.EIO})
    code, starts, errors = launched(tmp_path, "grid", flags)
    assert (code, starts) == (1, 2), errors
    found = job("status", f"--grid={mount}/grid.zarr").summary()
    assert found["done"] == found["plan"]["left"] / 2 > 0
    assert not found["failed"]  # as they may be made yet
    assert "the disk failed, perhaps for a moment" in (tmp_path / "grid" / "logs" / "grid-0.log").read_text()
    change()
    assert launched(tmp_path, "grid", flags)[:2] == (0, 3)
    assert files(mount / "grid.zarr") == files(undisturbed / "grid.zarr")

"""engine.objects: a folder and a bucket behave alike; buckets that can't be used are refused soon."""

import contextlib
import errno
import http.server
import pathlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from isogloss.engine.runtime import objects, place, zarr_group
from isogloss.engine.runtime.place import BucketPath
from isogloss.engine.runtime.refusal import Refusal, UnreachableError, WriteError
from isogloss.engine.runtime.zarr_group import Coordinate
from toy_groups import scores_array

ARRAY = scores_array(3, 4)


def labels(*pairs):
    return [Coordinate(name="pair", axis="pair", values=list(pairs))]


@pytest.fixture
def bucket(s3):
    return place.parse(f"{s3.bucket()}/some where/ç")


@pytest.fixture(params=["folder", "bucket"])
def root(request, tmp_path):
    return tmp_path / "ç" if request.param == "folder" else request.getfixturevalue("bucket")


@pytest.mark.parametrize(("number", "kind"), [(errno.EACCES, Refusal), (errno.ESTALE, UnreachableError)])
def test_an_object_that_a_disk_does_not_give_is_not_absent(tmp_path, monkeypatch, number, kind):
    def fail(*_, **__):
        raise OSError(number, "no")

    (tmp_path / "a").mkdir()
    assert (objects.read(tmp_path / "a"), objects.exists(tmp_path / "a")) == (None, False)
    objects.write(tmp_path / "b", b"1")
    assert (objects.read(tmp_path / "b"), objects.exists(tmp_path / "b")) == (b"1", True)
    assert (objects.read(tmp_path / "b" / "c"), objects.exists(tmp_path / "b" / "c")) == (None, False)
    monkeypatch.setattr(pathlib.Path, "stat", fail)
    monkeypatch.setattr(pathlib.Path, "read_bytes", fail)
    for ask in (objects.read, objects.exists):
        with pytest.raises(kind, match=r"b: can't be (read|looked at) \(no\)"):
            ask(tmp_path / "b")


@pytest.mark.parametrize(("number", "kind"), [(errno.EACCES, Refusal), (errno.EIO, UnreachableError)])
def test_a_disk_that_fails_gives_a_message_wherever_it_is_asked(tmp_path, monkeypatch, number, kind):
    """The last entry of a folder may fail, too, behind others that were listed."""

    class Entry:
        def is_dir(self):
            raise OSError(number, "no")

    def fail(*_, **__):
        raise OSError(number, "no")

    (tmp_path / "b").write_bytes(b"1")
    with monkeypatch.context() as failing:
        failing.setattr(objects.os, "scandir", lambda _: contextlib.nullcontext(iter([Entry()])))
        failing.setattr(objects.os, "listdir", fail)
        for name in ("open", "stat", "unlink"):
            failing.setattr(pathlib.Path, name, fail)
        for ask in (objects.keys, objects.children, lambda at: objects.read_ends([at], 4)):
            with pytest.raises(kind, match=r"b: can't be (listed|read) \(no\)"):
                ask(tmp_path / "b")
        with pytest.raises(kind, match=r"b: can't be looked at \(no\)"):
            objects.times([tmp_path / "b"])
        failed = UnreachableError if kind is UnreachableError else WriteError
        with pytest.raises(failed, match=r"b: can't be removed .* it is still there"):
            objects.remove(tmp_path / "b")
        failing.setattr(objects.shutil, "rmtree", fail)
        with pytest.raises(failed, match=r"b: can't be removed .* some of it is still there"):
            objects.remove_all(tmp_path / "b")
    assert objects.keys(tmp_path) == ["b"]


def test_objects_are_listed_read_and_written(root):
    assert objects.children(root) == set()
    assert objects.read(root / "a") is None
    objects.write(root / "a", b"12345678")
    objects.write(root / "b" / "c é", b"")
    objects.write(root / "a", b"abcdefgh")
    assert sorted(objects.keys(root)) == ["a", "b/c é"]
    assert objects.children(root) == {"a", "b"}
    assert [objects.exists(root / name) for name in ("a", "b", "z")] == [True, False, False]
    assert objects.read_all([root / "a", root / "z", root / "b" / "c é"]) == [b"abcdefgh", None, b""]
    (end, absent) = objects.read_ends([root / "a", root / "z"], 4)
    assert end is not None
    assert end[1] == b"efgh"
    assert absent is None
    objects.remove(root / "a")
    objects.remove(root / "a")
    assert not objects.exists(root / "a")
    objects.remove_all(root)
    objects.remove_all(root)
    assert objects.keys(root) == []


def test_a_group_is_the_same_in_both(tmp_path, bucket, s3, files):
    found = []
    for where in (tmp_path / "g.zarr", bucket / "g.zarr"):
        assert zarr_group.create(where, {"kind": "toy"}, labels("a-b", "a-ç", ""), [ARRAY])
        assert not zarr_group.create(where, {"kind": "toy"}, labels("a-b", "a-ç", ""), [ARRAY])
        group = zarr_group.open_group(where)
        group.open_array("scores")[1].write(np.arange(4, dtype=np.float32)).result()
        assert group.chunks_present("scores", 1) == {(1,)}
        assert list(group.labels["pair"]) == ["a-b", "a-ç", ""]
        found += group.checksums([("scores", (1, 0))])
    held = s3.objects(str(bucket / "g.zarr"))
    assert len(held.pop(".claim")) == 64
    assert held == files(tmp_path / "g.zarr")
    assert found[0] == found[1]


def test_a_group_whose_maker_was_killed_is_made_by_the_next(bucket, monkeypatch):
    """Killed before its own metadata, it doesn't exist; labels of another plan never mix with it."""
    write_new = objects.write_new

    def stopped(where, content):
        return where.name == ".claim" and write_new(where, content)

    with monkeypatch.context() as killed:
        killed.setattr(objects, "write_new", stopped)
        assert not zarr_group.create(bucket / "g.zarr", {}, labels("a-b"), [])
    assert zarr_group.find_groups([bucket / "g.zarr"]) == [None]
    with pytest.raises(Refusal, match=r"another process began .* remove s3://.*/g\.zarr/\.claim"):
        zarr_group.create(bucket / "g.zarr", {}, labels("a-c"), [])
    assert zarr_group.create(bucket / "g.zarr", {}, labels("a-b"), [])
    assert list(zarr_group.open_group(bucket / "g.zarr").labels["pair"]) == ["a-b"]


def test_of_many_writers_one_wins(bucket):
    with ThreadPoolExecutor(6) as pool:
        made = [pool.submit(objects.write_new, bucket / "claim", b"%d" % writer) for writer in range(6)]
    won = [writer for writer, each in enumerate(made) if each.result()]
    assert [b"%d" % writer for writer in won] == [objects.read(bucket / "claim")]


@pytest.mark.parametrize("url", ["s3://b", "gs://b/", "s3:///x", "s3://b/../x", "s3://b//x"])
def test_a_bucket_without_a_path_is_no_place(url):
    with pytest.raises(ValueError, match="names a path in a bucket"):
        place.parse(url)


def test_what_a_path_in_a_bucket_is():
    path = place.parse("gs://bucket/a/b.zarr/")
    assert isinstance(path, BucketPath)
    assert (path.scheme, path.bucket, path.key) == ("gs", "bucket", "a/b.zarr")
    assert (path.name, path.stem) == ("b.zarr", "b")
    assert str(path.parent / "c") == "gs://bucket/a/c"
    assert place.parse("folder/s3") is None


class Denying(http.server.BaseHTTPRequestHandler):
    """A server that knows nobody's credentials."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def denying():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Denying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def refusal(url, kind=Refusal):
    start = time.monotonic()
    with pytest.raises(kind) as found:
        objects.exists(place.parse(url))
    assert time.monotonic() - start < 10
    return str(found.value)


def test_a_bucket_that_is_not_there_is_refused(s3):
    message = refusal("s3://nowhere/x")
    assert message.startswith(f"s3://nowhere: {s3.endpoint} has no such bucket. Make it")


def test_a_server_that_is_not_there_is_seen_within_seconds(s3, monkeypatch):
    """Another try may find it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    message = refusal("s3://bucket/x", UnreachableError)
    assert "http://127.0.0.1:9 can't be reached. Check the network, AWS_ENDPOINT_URL" in message


def test_credentials_that_are_not_enough_are_refused(s3, monkeypatch, denying):
    monkeypatch.setenv("AWS_ENDPOINT_URL", denying)
    assert "refuses to list it with credentials from AWS_ACCESS_KEY_ID" in refusal("s3://bucket/x")


def test_a_bucket_that_is_lost_meanwhile_is_not_taken_for_a_fault(bucket, monkeypatch):
    class Lost:
        def result(self):
            raise ValueError("ABORTED: All 32 retry attempts failed: CURL error Could not connect to server")

    with pytest.raises(UnreachableError, match=r"doesn't answer .* run the same command again"):
        objects.result(Lost(), bucket)
    with pytest.raises(UnreachableError):
        objects.finish(Lost(), bucket, "aa s1")


def test_a_right_that_is_missing_waits_for_a_person(bucket):
    class Denied:
        def result(self):
            raise ValueError("PERMISSION_DENIED: HTTP response code: 403 AccessDenied")

    with pytest.raises(WriteError, match=r"aa s1: the bucket refuses .*get the right"):
        objects.finish(Denied(), bucket, "aa s1")

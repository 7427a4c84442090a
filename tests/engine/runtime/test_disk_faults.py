"""engine.runtime.disk_faults: which faults of a disk end a run for good, and which another try may mend."""

import errno
import pathlib
import subprocess
import sys

import pytest

from isogloss.engine.corpora import tsv
from isogloss.engine.runtime import atomic_write, disk_faults, objects, table_files
from isogloss.engine.runtime.refusal import Refusal, UnreachableError, WriteError

LIMITED = """
import pathlib, resource, signal, sys
import tensorstore as ts
from isogloss.engine.runtime import objects
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
folder = pathlib.Path(sys.argv[1])
kept = ts.KvStore.open(objects.spec(folder)).result()
try:
    objects.finish(kept.write("a", bytes(5000)), folder, "this unit")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_a_person_must_help(tmp_path, number):
    error = OSError(number, "no")
    found = disk_faults.failure("a/b", error)
    assert isinstance(found, WriteError)
    assert "a/b: can't be written" in str(found)
    assert "Free or add space" in str(found)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, None])
def test_the_same_command_may_go_on(number):
    found = disk_faults.failure("a/b", OSError(number, "no"))
    assert isinstance(found, UnreachableError)
    assert "run the same command again" in str(found)


@pytest.mark.parametrize(("number", "kind"), [(errno.EACCES, Refusal), (errno.EIO, UnreachableError)])
def test_a_table_that_can_not_be_read(tmp_path, monkeypatch, number, kind):
    def fail(*_, **__):
        raise OSError(number, "no")

    monkeypatch.setattr(pathlib.Path, "open", fail)
    monkeypatch.setattr(pathlib.Path, "read_bytes", fail)
    for read in (lambda path: list(tsv.rows(path)), table_files.read_parquet):
        with pytest.raises(kind, match=r"a\.table: .* \(no\)"):
            read(tmp_path / "a.table")


class Failed:
    """Future of a read that failed."""

    def __init__(self, message):
        self.message = message

    def result(self):
        raise ValueError(self.message)


def test_what_can_not_be_read_now_is_told_from_what_is_damaged(tmp_path):
    """Only the former is tried again."""
    message = "Error opening: failed [os_error_code='{}']"
    for number, passes in (
        (errno.EIO, True),
        (errno.ESTALE, True),
        (errno.EACCES, False),
        (errno.ENOENT, False),
    ):
        assert disk_faults.passing(OSError(number, "no")) == passes
        with pytest.raises(ValueError, match="failed") as found:
            objects.result(Failed(message.format(number)), tmp_path)
        assert disk_faults.may_pass(str(found.value)) == passes
        assert disk_faults.with_remedy(found.value, "; delete it").endswith("; delete it") != passes
    with pytest.raises(ValueError, match="checksum") as found:
        objects.result(Failed("checksum verification failed"), tmp_path)
    assert not disk_faults.may_pass(str(found.value))


@pytest.mark.parametrize(("number", "kind"), [(errno.EROFS, Refusal), (errno.ESTALE, UnreachableError)])
def test_a_folder_that_can_not_be_made(tmp_path, monkeypatch, number, kind):
    def fail(*_, **__):
        raise OSError(number, "no")

    monkeypatch.setattr(atomic_write, "draft", fail)
    with pytest.raises(kind):
        atomic_write.make_folder(tmp_path / "out")


def test_the_number_of_an_error_is_read_from_the_message_of_tensorstore(tmp_path):
    """A real one: a file may not be that large."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("WriteError this unit: can't be written (")
    assert "File too large" in done.stdout
    failed = ValueError("UNKNOWN: Failed writing: Input/output error [os_error_code='5']")
    assert isinstance(disk_faults.failure("a", failed), UnreachableError)

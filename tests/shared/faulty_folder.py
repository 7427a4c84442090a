"""A folder seen through FUSE whose operations fail by rules, which a test changes while jobs run.

    python faulty_folder.py FOLDER MOUNT RULES.json

Rules: {"match": part of a path, "OPERATION": {"share": 0.3, "errno": 5}}; operations are named as FUSE does.
"""

import json
import os
import pathlib
import random
import sys

import mfusepy


class Faulty(mfusepy.Operations):
    """The operations, on the folder behind."""

    use_ns = True

    def __init__(self, root, rules):
        self._root, self._rules, self._random = root, pathlib.Path(rules), random.Random(0)

    def _real(self, operation, path):
        """Path in the folder behind, unless the operation is to fail."""
        rules = json.loads(self._rules.read_text())
        rule = rules.get(operation)
        if rule and rules.get("match", "") in path and self._random.random() < rule["share"]:
            raise mfusepy.FuseOSError(rule["errno"])
        return self._root + path

    def getattr(self, path, fh=None):
        found = os.lstat(self._real("getattr", path))
        kept = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid")
        times = {name: getattr(found, f"{name}_ns") for name in ("st_atime", "st_mtime", "st_ctime")}
        return {name: getattr(found, name) for name in kept} | times

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self._real("readdir", path))]

    def mkdir(self, path, mode):
        os.mkdir(self._real("mkdir", path), mode)

    def rmdir(self, path):
        os.rmdir(self._real("rmdir", path))

    def unlink(self, path):
        os.unlink(self._real("unlink", path))

    def rename(self, old, new):
        os.rename(self._root + old, self._real("rename", new))

    def chmod(self, path, mode):
        os.chmod(self._real("chmod", path), mode)

    def utimens(self, path, times=None):
        os.utime(self._real("utimens", path), ns=times)

    def truncate(self, path, length, fh=None):
        os.truncate(self._real("truncate", path), length)

    def create(self, path, mode, fi=None):
        return os.open(self._real("create", path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

    def open(self, path, flags):
        return os.open(self._real("open", path), flags & ~os.O_EXCL)

    def read(self, path, size, offset, fh):
        self._real("read", path)
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        self._real("write", path)
        return os.pwrite(fh, data, offset)

    def fsync(self, path, datasync, fh):
        self._real("fsync", path)
        os.fsync(fh)

    def flush(self, path, fh):
        return 0

    def release(self, path, fh):
        os.close(fh)

    def statfs(self, path):
        found = os.statvfs(self._root + path)
        return {
            name: getattr(found, name) for name in dir(found) if name.startswith("f_") and name != "f_fsid"
        }


if __name__ == "__main__":
    folder, mount, rules = sys.argv[1:]
    mfusepy.FUSE(
        Faulty(folder, rules), mount, foreground=True, nothreads=False, attr_timeout=0, entry_timeout=0
    )

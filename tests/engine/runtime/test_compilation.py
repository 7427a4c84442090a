"""Programs are counted, and found again by the next process, with the same result."""

import contextlib
import fcntl
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from isogloss.engine.runtime import compilation

SCORE = """
import json, pathlib, sys
import numpy as np
from isogloss.engine.runtime import compilation
from isogloss.kernels import frame_scores
*implementations, folder = sys.argv[1:]
counted = compilation.keep(pathlib.Path(folder) if folder else None, implementations[0])
x = np.random.default_rng(0).standard_normal((3, 20, 8)).astype(np.float32)
n = np.int32([20, 3, 5])
scores = [
    frame_scores.frame_scores(x, n, x, n, measures=("seqsim",), implementation=name)["seqsim"].tolist()
    for name in implementations
]
print(json.dumps({"counts": counted(), "scores": scores}))
"""


def run(implementations, folder, home):
    command = [sys.executable, "-c", SCORE, *implementations, str(folder)]
    environment = os.environ | {"XDG_CACHE_HOME": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.deep
@pytest.mark.parametrize("implementations", [["xla"], ["numba", "numba_int8"]])
def test_a_second_process_compiles_nothing(implementations, tmp_path):
    without = run(implementations, "", tmp_path / "home")
    assert without["counts"]["compiled"] > 0
    first = run(implementations, tmp_path / "cache", tmp_path / "home")
    assert first["counts"]["compiled"] == without["counts"]["compiled"]
    assert first["counts"]["found"] == without["counts"]["found"] == 0
    second = run(implementations, tmp_path / "cache", tmp_path / "home")
    assert second["counts"]["compiled"] == 0
    assert first["scores"] == second["scores"] == without["scores"]
    assert any((tmp_path / "cache").rglob("*"))
    # Without a folder, Numba's functions are in the user's, and XLA's programs nowhere.
    kept = implementations[0] == "numba"
    assert any((tmp_path / "home").rglob("*.nbi")) == kept
    again = run(implementations, "", tmp_path / "home")
    assert (again["counts"]["compiled"] == 0) == kept
    assert again["scores"] == without["scores"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compilation.users_folder() is None
    assert "compiled anew in every process" in caplog.text
    assert "XDG_CACHE_HOME names a folder" in caplog.text
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "~/cache")
    assert compilation.users_folder() is None
    assert not (tmp_path / "~").exists()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "full"))
    with monkeypatch.context() as full:
        full.setattr(compilation.tempfile, "TemporaryFile", lambda **_: open("/dev/full", "wb", 0))
        assert compilation.users_folder() is None
    assert "No space left" in caplog.text
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    assert compilation.users_folder() == tmp_path / "new" / "isogloss"
    assert (tmp_path / "new" / "isogloss").is_dir()


@pytest.mark.parametrize("source", ["cpu/dtw.py", "cpu/transport.py", "frame_transport.py"])
def test_a_change_of_a_source_has_a_folder_of_its_own(source, monkeypatch):
    before = compilation.functions_folder()
    assert compilation.functions_folder() == before
    read = pathlib.Path.read_bytes
    monkeypatch.setattr(
        pathlib.Path, "read_bytes", lambda path: read(path) + b"#" * path.match(f"kernels/{source}")
    )
    assert compilation.functions_folder() != before


@pytest.mark.parametrize("locks", [True, False])
def test_processes_that_save_at_once_do_not_take_each_others_place(locks, tmp_path, monkeypatch):
    """As threads with files of their own, one held between its choice of a name and the writing of it."""
    from numba.core import caching, config  # noqa: PLC0415 takes long to import

    from isogloss.engine.runtime.function_cache import FunctionCache  # noqa: PLC0415

    both = threading.Barrier(2)
    save_index = caching.IndexDataCacheFile._save_index

    def late(self, overloads):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5 if locks else 60)
        save_index(self, overloads)

    def refused(descriptor, kind):
        raise OSError("no locks here")

    def toy():
        pass

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(caching.IndexDataCacheFile, "_save_index", late)
    monkeypatch.setattr(
        caching.FunctionCache, "_save_overload", lambda self, sig, data: self._cache_file.save(sig, data)
    )
    if not locks:
        monkeypatch.setattr(fcntl, "flock", refused)
    caches = [FunctionCache(toy) for _ in range(2)]
    threads = [
        threading.Thread(target=cache.save_overload, args=((i,), f"program {i}"))
        for i, cache in enumerate(caches)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [caches[0]._cache_file.load((i,)) for i in range(2)]
    assert (found == ["program 0", "program 1"]) == locks  # the danger is real where there are no locks
    assert any(found)

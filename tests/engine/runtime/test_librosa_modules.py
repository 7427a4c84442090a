"""librosa where Numba may write nowhere; each case in a process of its own: an import happens once."""

import subprocess
import sys

import pytest

NOWHERE = """
from numba.core import caching
from isogloss.engine.runtime import librosa_modules

def refused(self):
    if "isogloss-librosa-" not in self.get_cache_path():
        raise OSError("read-only")
    ensure(self)

ensure = caching._CacheLocator.ensure_cache_path
caching._CacheLocator.ensure_cache_path = refused
"""


MODULES = {
    "librosa.filters": "assert module.mel(sr=16000, n_fft=400, n_mels=80).shape == (80, 201)",
    "librosa.core.audio": "assert callable(module.resample)",
}


def started(loading, line):
    code = f"{NOWHERE}\nmodule = {loading}\n{line}\nprint(*librosa_modules._kept)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "module", ["librosa.filters", pytest.param("librosa.core.audio", marks=pytest.mark.deep)]
)
def test_functions_are_kept_in_a_temporary_folder_where_nothing_else_can_be_written(module):
    done = started(f"librosa_modules.load({module!r})", MODULES[module])
    assert done.returncode == 0, done.stderr
    assert "isogloss-librosa-" in done.stdout


@pytest.mark.deep
@pytest.mark.parametrize("module", MODULES)
def test_without_it_the_import_would_fail(module):
    assert "cannot cache function" in started(f"__import__({module!r})", "").stderr

"""librosa where Numba may write nowhere; each case in a process of its own: an import happens once."""

import subprocess
import sys

import pytest

NOWHERE = """
import tempfile
from numba.core import caching
from isogloss.engine.runtime import librosa_modules

def refused(self):
    if not self.get_cache_path().startswith(tempfile.gettempdir()):
        raise OSError("read-only")
    ensure(self)

ensure = caching._CacheLocator.ensure_cache_path
caching._CacheLocator.ensure_cache_path = refused
"""


@pytest.mark.parametrize(
    ("module", "lines"),
    [
        ("librosa.filters", "assert module.mel(sr=16000, n_fft=400, n_mels=80).shape == (80, 201)"),
        ("librosa.core.audio", "assert callable(module.resample)"),
    ],
)
def test_functions_are_kept_in_a_temporary_folder_where_nothing_else_can_be_written(module, lines):
    code = f"{NOWHERE}\nmodule = librosa_modules.load({module!r})\n{lines}\nprint(*librosa_modules._kept)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "isogloss-librosa-" in done.stdout
    plain = code.replace(f"librosa_modules.load({module!r})", f"__import__({module!r})")
    failed = subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, check=False)
    assert "cannot cache function" in failed.stderr  # it is this that would end the job

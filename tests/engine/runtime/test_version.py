"""The version of code that isn't installed."""

import shutil
import subprocess
import sys

from isogloss.engine.runtime import version

CODE = "from isogloss.engine.runtime import version as v; print([v.isogloss_version(), v.isogloss_commit()])"


def test_a_folder_on_the_path_alone_has_no_version(tmp_path):
    """As `bench` is run on a machine without a network: by a Python that knows nothing of isogloss."""
    folder = tmp_path / "isogloss" / "engine" / "runtime"
    folder.mkdir(parents=True)
    shutil.copy(version.__file__, folder)
    # -S leaves out what is installed, -E the environment's own path.
    command = [sys.executable, "-S", "-E", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {CODE}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "['not installed', '']"

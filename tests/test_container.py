"""The Dockerfile against the repository; the image itself is built where a Docker daemon runs."""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def test_what_is_copied_is_there_and_is_a_whole_package(tmp_path):
    """The same steps on the same files, without the network."""
    copies = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    admitted = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    for name in (name for copy in copies for name in copy.split()):
        if name == "locks/${LOCK}.txt":
            assert all((ROOT / "locks" / f"{lock}.txt").is_file() for lock in ("run", "cuda", "torch"))
            continue
        assert name in admitted
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    command = [sys.executable, "setup.py", "-q", "build_py", f"--build-lib={tmp_path}/built"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    for part in ("engine", "jobs", "kernels"):
        built = {
            path.relative_to(tmp_path / "built" / "isogloss")
            for path in tmp_path.glob(f"built/isogloss/{part}/**/*.*")
        }
        assert {
            path.relative_to(ROOT) for path in (ROOT / part).rglob("*.*") if path.suffix != ".pyc"
        } <= built

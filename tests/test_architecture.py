"""The import rules and the packaging that BUILD.md states, checked on the source."""

import ast
import pathlib
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PARTS = ("engine", "kernels", "jobs")
FORBIDDEN = {"kernels": {"engine", "jobs", "flax", "absl"}, "engine": {"jobs", "absl"}, "jobs": set()}
DISK = {"tensorstore", "zarr", "soundfile", "safetensors", "pyarrow", "huggingface_hub", "tarfile", "shutil"}
MAY_TOUCH_DISK = {
    "engine/activation_store.py",  # types of TensorStore's futures
    "engine/align_table.py",  # rows of words.parquet
    "engine/audio.py",
    "engine/bench_extract.py",  # recordings to be extracted
    "engine/bench_store.py",  # zarr-python and TensorStore alone, to be compared with
    "engine/extract.py",  # free space
    "engine/fleurs_parquet.py",
    "engine/fleurs_tree.py",
    "engine/grid_store.py",  # types of TensorStore's handles
    "engine/huggingface.py",
    "engine/interpret.py",  # parts put together
    "engine/interpret_parts.py",  # types of Arrow's tables
    "engine/interpret_report.py",  # the same
    "engine/interpret_tables.py",  # the same
    "engine/pipeline.py",  # types of TensorStore's futures
    "engine/retrieval_table.py",  # the report's Parquet
    "engine/table_files.py",
    "engine/transcribe.py",  # types of Arrow's tables
    "engine/transcript_report.py",
    "engine/transcript_summary.py",
    "engine/transcript_table.py",
    "engine/zarr_group.py",
}
FILES = [path for part in PARTS for path in sorted((ROOT / part).rglob("*.py"))]


def imports(path):
    """Modules imported anywhere in a file; ours without the `isogloss.` prefix."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrow_reads_in_the_thread_that_asks(path):
    """`read_table` leaves Python files to Arrow's threads, which abort a process that is ending."""
    assert "read_table(" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    relative = path.relative_to(ROOT).as_posix()
    found = {name.removeprefix("isogloss.").split(".")[0] for name in imports(path)}
    assert not found & FORBIDDEN[relative.split("/")[0]]
    assert relative in MAY_TOUCH_DISK or not found & DISK
    assert relative.split("/")[0] != "jobs" or not found & DISK


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short_and_say_what_they_are(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text))
    assert "from __future__" not in text


def test_packages_listed_are_the_folders():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent.relative_to(ROOT) for path in FILES}
    assert set(listed["packages"]) == {"isogloss." + ".".join(folder.parts) for folder in folders}
    assert set(listed["package-dir"].values()) == {str(folder) for folder in folders}


def test_no_top_level_package_named_kernels():
    """Because transformers imports one where it finds it."""
    code = "import isogloss.kernels.dtw, sys, transformers; assert 'kernels' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
    assert "kernels" not in sys.modules


HEAVY = ("jax", "tensorstore", "xarray", "zarr", "pandas", "matplotlib", "librosa", "transformers", "numba")
JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py") if "shared_flags.run" in path.read_text())


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_asked_for_help_without_waiting(job):
    code = f"import isogloss.jobs.{job}, sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_jobs_can_be_imported_together():
    code = "; ".join(f"import isogloss.jobs.{job}" for job in JOBS)
    subprocess.run([sys.executable, "-c", code], check=True)


def test_kernels_import_lightly():
    names = sorted(path.stem for path in (ROOT / "kernels").glob("*.py") if path.stem != "__init__")
    code = f"import sys; import isogloss.kernels; {'; '.join(f'import isogloss.kernels.{n}' for n in names)}"
    code += "; print([m for m in ('transformers', 'datasets', 'librosa', 'flax') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"

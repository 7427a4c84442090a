"""The import rules and the packaging that BUILD.md states, checked on the source."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PARTS = ("engine", "kernels", "jobs")
FORBIDDEN = {"kernels": {"engine", "jobs", "flax", "absl"}, "engine": {"jobs", "absl"}, "jobs": set()}
FLOORS = {
    "time_axis": 0,
    "runtime": 1,
    "corpora": 2,
    "checkpoints": 2,
    "drawing": 2,
    "whisper": 3,
    "activations": 4,
    "decoding": 5,
    "retrieval": 5,
    "transcription": 6,
    "alignment": 6,
    "interpretation": 7,
    "bench": 8,
}
"""Rooms of the engine; a room imports lower floors only."""
DISK = {
    "tensorstore": {"runtime", "activations", "retrieval", "bench"},  # beyond runtime types of handles only
    "zarr": {"runtime", "bench"},
    "pyarrow": {
        "runtime",
        "corpora",
        "decoding",
        "retrieval",
        "transcription",
        "alignment",
        "interpretation",
    },
    "soundfile": {"corpora", "bench"},
    "safetensors": {"checkpoints"},
    "huggingface_hub": {"checkpoints", "corpora"},
    "tarfile": {"corpora"},
    "shutil": {"runtime", "corpora", "activations"},
}
"""Packages that touch the disk, and the rooms that may import them."""
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
    part, *inside = path.relative_to(ROOT).with_suffix("").parts
    room = inside[0] if part == "engine" else part
    found = [name.removeprefix("isogloss.").split(".") for name in imports(path)]
    assert not {name[0] for name in found} & FORBIDDEN[part]
    for package, rooms in DISK.items():
        assert room in rooms or package not in {name[0] for name in found}
    if part == "engine" and room != "__init__":
        others = {name[1] for name in found if name[0] == "engine"} - {room}
        assert not {other for other in others if FLOORS[other] >= FLOORS[room]}


def test_every_room_has_a_floor_and_says_what_it_is():
    rooms = {path.stem for path in (ROOT / "engine").glob("[a-z]*") if path.suffix in {"", ".py"}}
    assert rooms == set(FLOORS)
    for room in rooms - {"time_axis"}:
        assert ast.get_docstring(ast.parse((ROOT / "engine" / room / "__init__.py").read_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short_and_say_what_they_are(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text))
    assert "from __future__" not in text


def test_packages_found_are_the_folders():
    """Those that an installation brings, as setup.py finds them."""
    code = (
        "import setuptools, runpy; setuptools.setup = lambda **settings: print(*settings['packages']);"
        "runpy.run_path('setup.py')"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    folders = {path.parent.relative_to(ROOT) for path in FILES}
    assert set(found.stdout.split()) == {"isogloss." + ".".join(folder.parts) for folder in folders}


def test_no_top_level_package_named_kernels():
    """Because transformers imports one where it finds it."""
    code = "import isogloss.kernels.dtw, sys, transformers; assert 'kernels' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
    assert "kernels" not in sys.modules


HEAVY = ("jax", "tensorstore", "xarray", "zarr", "pandas", "matplotlib", "librosa", "transformers", "numba")
JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py") if "command.run" in path.read_text())


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_asked_for_help_without_waiting(job):
    code = f"import isogloss.jobs.{job}, sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_jobs_can_be_imported_together():
    code = "; ".join(f"import isogloss.jobs.{job}" for job in JOBS)
    subprocess.run([sys.executable, "-c", code], check=True)


def test_kernels_import_lightly():
    """Numba comes only with the implementation that needs it."""
    names = sorted(path.stem for path in (ROOT / "kernels").glob("*.py") if path.stem != "__init__")
    code = f"import sys; {'; '.join(f'import isogloss.kernels.{name}' for name in names)}"
    code += (
        "; print([m for m in ('numba', 'transformers', 'datasets', 'librosa', 'flax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"

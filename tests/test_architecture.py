"""The import rules and the packaging that BUILD.md states, checked on the source."""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib

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
    "speech_encoders": 3,
    "texts": 3,
    "activations": 4,
    "decoding": 5,
    "grid": 5,
    "retrieval": 6,
    "report": 7,
    "similarity": 7,
    "lexicon": 8,
    "training": 6,
    "transcription": 6,
    "alignment": 6,
    "interpretation": 7,
    "linear_maps": 8,
    "tallies": 6,
    "control": 8,
    "cluster": 8,
    "operations": 9,
    "bench": 9,
}
"""Rooms of the engine; a room imports lower floors only. A room without a floor is on the roof."""
ROOF = 9
DISK = {
    # Beyond runtime types of handles only.
    "tensorstore": {"runtime", "activations", "grid", "retrieval", "bench"},
    "zarr": {"runtime", "bench"},
    "pyarrow": {
        "runtime",
        "corpora",
        "decoding",
        "retrieval",
        "report",
        "similarity",
        "lexicon",
        "linear_maps",
        "training",
        "transcription",
        "alignment",
        "interpretation",
        "control",
        "operations",
    },
    "soundfile": {"corpora", "bench"},
    "safetensors": {"checkpoints", "training", "bench"},
    "orbax": {"training"},
    "huggingface_hub": {"runtime", "checkpoints", "corpora", "operations"},
    "tarfile": {"corpora"},
    "shutil": {"runtime", "corpora", "activations"},
}
"""Packages that touch the disk, and the rooms that may import them."""
FILES = [path for part in PARTS for path in sorted((ROOT / part).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))


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
        assert not {other for other in others if FLOORS.get(other, ROOF) >= FLOORS.get(room, ROOF)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_one_module_knows_how_devices_divide_work(path):
    known = path == ROOT / "engine" / "runtime" / "devices.py"
    called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert known or not called & {"pmap", "shard_map", "default_device"}


def test_every_room_says_what_it_is():
    rooms = {path.stem for path in (ROOT / "engine").glob("[a-z]*") if path.suffix in {"", ".py"}}
    assert rooms >= set(FLOORS)
    for room in rooms - {"time_axis"}:
        assert ast.get_docstring(ast.parse((ROOT / "engine" / room / "__init__.py").read_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_say_what_they_are(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert "from __future__" not in text


def test_no_two_classes_share_a_name():
    """So that a name in a signature or a traceback means one thing."""
    names = [
        node.name
        for path in FILES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert not {name for name in names if names.count(name) > 1}


LONGEST = 45
"""Lines of a function, from `def` to its end, docstring included."""


def test_docstrings_open_with_what_comes_back():
    asked = re.compile(r"(What|How|Which|Whether|Where|When|Whose|Who|Why)\b")
    opened = {
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and asked.match(ast.get_docstring(node) or "")
    }
    assert not opened


def test_modules_are_short():
    assert not {str(path) for path in [*FILES, *TESTS] if len(path.read_text().splitlines()) > 400}


def test_functions_are_short():
    long = set()
    for path in [*FILES, *TESTS]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= LONGEST:
                long.add(f"{path.relative_to(ROOT)} {node.name}")
    assert not long


DISTRIBUTIONS = {"absl": "absl-py", "orbax": "orbax-checkpoint", "yaml": "pyyaml"}
"""Names by which pip knows packages whose modules have another."""
DEVELOPMENT = {"test", "check"}
"""Extras that the product never needs."""


def test_what_is_imported_is_declared():
    """A package that is there only because another needs it may be gone with that one's next version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [every for extra, every in project["optional-dependencies"].items() if extra not in DEVELOPMENT]
    required = [line for every in (project["dependencies"], *extras) for line in every]
    declared = {re.split(r"[^\w-]", line)[0] for line in required}
    found = {name.split(".")[0] for path in FILES for name in imports(path)}
    others = found - sys.stdlib_module_names - {"isogloss"}
    assert others >= {"jax", *DISTRIBUTIONS}
    assert {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in others} <= declared


def test_packages_found_are_the_folders():
    """Those that an installation brings, as setup.py finds them."""
    code = (
        "import setuptools, runpy; setuptools.setup = lambda **settings: print(*settings['packages']);"
        "runpy.run_path('setup.py')"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    folders = {path.parent.relative_to(ROOT) for path in FILES}
    assert set(found.stdout.split()) == {"isogloss." + ".".join(folder.parts) for folder in folders}


def loaded(modules, among):
    """Modules of `among` that a fresh process has once it has imported `modules`."""
    code = f"import sys, {', '.join(modules)}; print(*[name for name in {among} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/")
    return done.stdout.split()


def test_no_top_level_package_named_kernels():
    """Because transformers imports one where it finds it."""
    assert not loaded(["isogloss.kernels.dtw", "transformers"], ["kernels"])
    assert "kernels" not in sys.modules


HEAVY = (
    "jax",
    "numpy",
    "tensorstore",
    "xarray",
    "zarr",
    "pandas",
    "pyarrow",
    "matplotlib",
    "librosa",
    "numba",
    "tqdm",
)
JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py") if "command.run" in path.read_text())


def test_jobs_are_imported_together_and_at_once():
    """So that none is asked for help with waiting."""
    assert not loaded([f"isogloss.jobs.{job}" for job in JOBS], (*HEAVY, "transformers"))


def test_kernels_import_lightly():
    """Numba comes only with the implementation that needs it."""
    names = sorted(path.stem for path in (ROOT / "kernels").glob("*.py") if path.stem != "__init__")
    heavy = ("numba", "transformers", "datasets", "librosa", "flax")
    assert not loaded([f"isogloss.kernels.{name}" for name in names], heavy)


@pytest.mark.parametrize(
    ("conductor", "needed"),
    [("grid.grid", ()), ("transcription.transcribe", ("pyarrow", "flax", "transformers"))],
)
def test_a_job_imports_what_it_needs(conductor, needed):
    """A person waits for its imports; Numba comes while languages are read, Matplotlib with a figure."""
    heavy = ("pandas", "pyarrow", "scipy", "xarray", "matplotlib", "librosa", "transformers", "flax", "numba")
    assert set(loaded([f"isogloss.engine.{conductor}"], heavy)) <= set(needed)

"""jobs.report, run as a user runs it, on a grid that the engine makes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from isogloss.engine.retrieval import grid_store


@pytest.fixture
def grid(tmp_path):
    made = grid_store.create_or_open(
        tmp_path / "grid.zarr",
        grid_store.Plan(
            pairs=(("en", "fr"), ("en", "es")),
            states=("6", "final"),
            sentences=("a", "b", "c"),
            measures=("seqsim", "dtw"),
            common=(3, 3),
            identity={"model": "made-up"},
            flags={},
        ),
    )
    near = np.eye(3, dtype=np.float32)
    for pair in range(2):
        for state in range(2):
            made.write(pair, state, {"seqsim": near, "dtw": near if state else 1 - near})
    return tmp_path / "grid.zarr"


def run(*flags, env=None):
    command = [sys.executable, "-m", "isogloss.jobs.report", *flags]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=env)


def test_ends_with_one_line_of_json_and_prints_the_table_aside(grid):
    done = run(f"--grid={grid}", f"--out={grid.parent / 'out'}")
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    summary = json.loads(line)
    assert (summary["done"], summary["rows"], summary["missing"]) == (2, 16, {})
    assert summary["report"] == str(grid.parent / "out" / "report.html")
    assert "report: " + summary["report"] in done.stderr
    [found] = [text.split() for text in done.stderr.splitlines() if text.startswith("en-fr  dtw")]
    # A cost prefers the smaller: at state 6 the right one is nearest, at "final" it is farthest.
    assert found[2:6] == ["6", "3", "33.3%", "100.0%"]


def test_a_missing_chunk_gives_exit_code_1(grid):
    (grid / "dtw" / "c.1.0.0.0").unlink()
    done = run(f"--grid={grid}", f"--out={grid.parent / 'out'}")
    assert done.returncode == 3
    assert json.loads(done.stdout)["missing"] == {"en-es dtw": 1}
    assert "en-es dtw (1 of 2 states)" in done.stderr
    assert (grid.parent / "out" / "report.html").is_file()


def test_what_is_not_a_grid_is_said_without_a_traceback(tmp_path):
    done = run(f"--grid={tmp_path}", f"--out={tmp_path / 'out'}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}: there is no grid")


def test_out_inside_a_file_is_said_without_a_traceback(grid):
    (grid.parent / "file").write_text("")
    done = run(f"--grid={grid}", f"--out={grid.parent / 'file' / 'x'}")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]  # old libraries may warn before
    assert line.startswith(f"error: {grid.parent / 'file' / 'x'}: must be a writable folder")
    assert "Traceback" not in done.stderr


def test_a_locale_of_ascii_changes_nothing(tmp_path):
    """Languages, sentences and paths that ASCII can't say, one pair complete and one not."""
    folder = tmp_path / "språk"
    made = grid_store.create_or_open(
        folder / "gitter-é.zarr",
        grid_store.Plan(
            pairs=(("en", "føroyskt"), ("en", "èdè")),
            states=("final",),
            sentences=("smørrebrød", "b"),
            measures=("dtw",),
            common=(2, 2),
            identity={"model": "modèle", "languages": {"èdè": {"missing": ["smørrebrød.0"]}}},
            flags={},
        ),
    )
    made.write(0, 0, {"dtw": 1 - np.eye(2, dtype=np.float32)})
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = run(f"--grid={made.path}", f"--out={folder / 'plain'}", env=os.environ | plain)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert json.loads(done.stdout)["missing"] == {"en-èdè dtw": 1}
    usual = run(f"--grid={made.path}", f"--out={folder / 'usual'}", env=os.environ | {"PYTHONUTF8": "1"})
    assert usual.returncode == 3, usual.stderr
    for name in ("retrieval.csv", "retrieval.parquet", "report.html"):
        assert (folder / "plain" / name).read_bytes() == (folder / "usual" / name).read_bytes()
    page = (folder / "plain" / "report.html").read_text("utf-8")
    assert all(text in page for text in ("modèle", "føroyskt", "smørrebrød", "gitter-é.zarr"))


def test_help_needs_no_heavy_import():
    code = (
        "import sys, isogloss.jobs.report; "
        "print([m for m in ('numpy', 'matplotlib', 'pyarrow', 'tensorstore', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

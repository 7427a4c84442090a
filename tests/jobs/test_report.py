"""jobs.report, run as a user runs it, on a grid that the engine makes."""

import itertools
import json

import numpy as np
import pages
import pytest

from small_grids import made_grid


@pytest.fixture
def grid(tmp_path):
    made = made_grid(tmp_path / "grid.zarr", [("en", "fr"), ("en", "es")], "abc", model="made-up")
    near = np.eye(3, dtype=np.float32)
    for pair, state in itertools.product(range(2), repeat=2):
        made.write(pair, state, {"seqsim": near, "dtw": near if state else 1 - near})
    return made.path


@pytest.fixture
def report(job):
    """Function that runs the job; a process, at its end."""
    return lambda grid, out, **environment: job("report", f"--grid={grid}", f"--out={out}").run(**environment)


@pytest.mark.deep
def test_ends_with_one_line_of_json_and_prints_the_table_aside(report, grid):
    done = report(grid, grid.parent / "out")
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    summary = json.loads(line)
    assert (summary["done"], summary["rows"], summary["missing"]) == (2, 48, {})
    assert summary["report"] == str(grid.parent / "out" / "report.html")
    assert "report: " + summary["report"] in done.stderr
    [found] = [text.split() for text in done.stderr.splitlines() if text.startswith("en-fr  dtw")]
    # A cost prefers the smaller: at state 6 the right one is nearest, at "final" it is farthest.
    assert found[2:6] == ["6", "3", "33.3%", "100.0%"]


@pytest.mark.deep
def test_a_missing_chunk_gives_exit_code_3(report, grid):
    (grid / "dtw" / "c.1.0.0.0").unlink()
    done = report(grid, grid.parent / "out")
    assert done.returncode == 3
    assert json.loads(done.stdout)["missing"] == {"en-es dtw": 1}
    assert "en-es dtw (1 of 2 states)" in done.stderr
    assert (grid.parent / "out" / "report.html").is_file()


@pytest.mark.deep
def test_a_locale_of_ascii_changes_nothing(report, tmp_path):
    """Languages, sentences and paths that ASCII can't say, one pair complete and one not."""
    folder = tmp_path / "språk"
    languages = {"èdè": {"missing": ["smørrebrød.0"]}}
    pairs = [("en", "føroyskt"), ("en", "èdè")]
    made = made_grid(
        folder / "gitter-é.zarr", pairs, ("smørrebrød", "b"), states=("final",), measures=("dtw",),
        model="modèle", languages=languages,
    )  # fmt: skip
    made.write(0, 0, {"dtw": 1 - np.eye(2, dtype=np.float32)})
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = report(made.path, folder / "plain", **plain)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert json.loads(done.stdout)["missing"] == {"en-èdè dtw": 1}
    usual = report(made.path, folder / "usual", PYTHONUTF8="1")
    assert usual.returncode == 3, usual.stderr
    for name in ("retrieval.csv", "retrieval.parquet", "report.html"):
        assert (folder / "plain" / name).read_bytes() == (folder / "usual" / name).read_bytes()
    page = pages.opened((folder / "plain" / "report.html").read_text("utf-8"))
    assert all(text in page for text in ("modèle", "føroyskt", "smørrebrød", "gitter-é.zarr"))

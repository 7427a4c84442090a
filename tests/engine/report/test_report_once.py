"""A report is written once, whoever ends last, and again if anything that it shows has changed."""

import itertools
import pathlib

import numpy as np
import pytest

from isogloss.engine.report import report
from small_grids import made_grid

pytestmark = pytest.mark.usefixtures("undrawn")

PAIRS = [("en", "es"), ("en", "fr")]


@pytest.fixture
def grid(tmp_path):
    made = made_grid(tmp_path / "grid.zarr", PAIRS, "abc", model="made-up")
    for pair, state in itertools.product(range(2), repeat=2):
        made.write(pair, state, {measure: np.eye(3, dtype=np.float32) for measure in made.measures})
    return made.path


@pytest.fixture
def run(grid, tmp_path):
    """Function that runs the job with some options; its configuration and its summary."""

    def run(**changed):
        config = report.ReportConfig(**{"grid": grid, "out": tmp_path / "out"} | changed)
        return config, report.run(config)

    return run


def times(out):
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_a_second_run_writes_nothing_and_says_so(run, tmp_path):
    config, first = run()
    assert (first.done, first.written) == (2, True)
    assert first.sentence(config).endswith(f"; the report is {tmp_path}/out/report.html")
    before = times(tmp_path / "out")
    config, again = run()
    assert (again.done, again.skipped, again.written, again.rows) == (0, 2, False, first.rows)
    assert times(tmp_path / "out") == before
    assert again.sentence(config) == (
        f"nothing was left to do: all 2 pairs are in {tmp_path}/out; "
        f"the report is {tmp_path}/out/report.html, written before"
    )


def test_shards_that_come_after_the_last_write_nothing(run, tmp_path):
    for index in (0, 1):
        _, last = run(shard_index=index, num_shards=2)
    assert last.written
    before = times(tmp_path / "out")
    for index in range(4):
        _, late = run(shard_index=index, num_shards=4)
        assert (late.report, late.written, late.rows) == (last.report, False, last.rows)
    assert times(tmp_path / "out") == before


@pytest.mark.parametrize("changed", [{"fdr": "by"}, {"corrections": ("csls",)}, {"candidates": 2}])
def test_other_options_write_it_again(run, changed):
    run()
    config, again = run(**changed)
    assert again.written
    assert "nothing was left" not in again.sentence(config)
    assert not run(**changed)[1].written
    assert run()[1].written


def test_an_output_that_is_gone_is_written_again(run, tmp_path):
    run()
    (tmp_path / "out" / "retrieval.csv").unlink()
    assert run()[1].written
    assert (tmp_path / "out" / "retrieval.csv").is_file()


def test_a_chunk_that_came_later_is_in_the_report(run, grid, tmp_path):
    chunk: pathlib.Path = grid / "dtw" / "c.0.1.0.0"
    content = chunk.read_bytes()
    chunk.unlink()
    _, lacking = run()
    assert (lacking.written, lacking.missing) == (True, {"en-es dtw": 1})
    _, again = run()
    assert (again.written, again.missing, again.complete) == (False, lacking.missing, False)
    chunk.write_bytes(content)
    _, whole = run()
    assert (whole.written, whole.complete) == (True, True)
    assert whole.rows > lacking.rows

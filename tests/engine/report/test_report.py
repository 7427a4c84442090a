"""From a grid on disk to table, figures and page; grids are written here by zarr-python alone."""

import csv
import itertools
import os
import pathlib
import shutil
import warnings

import numpy as np
import pages
import pytest
import zarr
from pyarrow import parquet

from isogloss.engine.report import report
from isogloss.engine.retrieval import metrics, pair_metrics
from isogloss.engine.runtime.shards import Share

pytestmark = pytest.mark.usefixtures("undrawn")

COLUMNS = (
    "language_a language_b state measure correction direction n "
    "recall_at_1 recall_at_5 mrr mutual_nn chance ci_low ci_high "
    "p q recall_at_1_of_100 dali dali_s hubness hub_queries matched mismatched hub "
    "hub_2 hub_queries_2 hub_3 hub_queries_3 above_duration"
).split()
TABLES = ("retrieval", "contrasts", "best_states", "inductive", "means", "languages")
LANGUAGES = ("en", "fr", "es")
PAIRS = tuple(itertools.combinations(LANGUAGES, 2))
STATES = ("0", "final")
SENTENCES = ("1500", "1501", "1502", "1503")
HAS = {"en": [1, 1, 1, 1], "fr": [1, 1, 0, 1], "es": [0, 0, 1, 0]}  # fr and es share nothing


def scores(seed=0, measures=("seqsim", "precision", "recall", "dtw")):
    """Small integers, so that ties are common; NaN where a language lacks a sentence."""
    rng = np.random.default_rng(seed)
    made = {}
    for measure in measures:
        array = rng.integers(0, 3, (len(PAIRS), len(STATES), 4, 4)).astype(np.float32)
        for p, (a, b) in enumerate(PAIRS):
            array[p][:, ~np.array(HAS[a], bool)] = np.nan
            array[p][:, :, ~np.array(HAS[b], bool)] = np.nan
        made[measure] = array
    return made


def write_grid(path, arrays, attributes=()):
    """Grid of format 1, whose chunks lie in a folder for each index; those of NaN alone are left out."""
    kind = {"kind": "grid", "format": 1, "measures": list(arrays)}
    names = {"model": "made-up", "languages": {"en": {"sentences": 4}}}
    group = zarr.create_group(path, attributes={**kind, **names, **dict(attributes)})
    common = [int(np.sum(np.array(HAS[a]) & np.array(HAS[b]))) for a, b in PAIRS]
    coordinates = {
        "pair": ("pair", ["-".join(pair) for pair in PAIRS]),
        "language_a": ("pair", [a for a, _ in PAIRS]),
        "language_b": ("pair", [b for _, b in PAIRS]),
        "state": ("state", STATES),
        **{axis: (axis, SENTENCES) for axis in ("sentence", "query", "candidate")},
    }
    for name, (axis, values) in coordinates.items():
        text = np.asarray(values, np.dtypes.StringDType())
        group.create_array(name, data=text, dimension_names=(axis,))
    group.create_array("n_common", data=np.asarray(common, np.int32), dimension_names=("pair",))
    for name, values in arrays.items():
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=(1, 1, 4, 4),
            dtype="float32",
            fill_value=np.nan,
            compressors=[zarr.codecs.Crc32cCodec()],
            dimension_names=("pair", "state", "query", "candidate"),
        )
        array[:] = values
    with warnings.catch_warnings(action="ignore"):
        zarr.consolidate_metadata(path)
    return path


@pytest.fixture
def grid(tmp_path):
    return write_grid(tmp_path / "grid.zarr", scores())


def config(grid, **changed):
    return report.ReportConfig(**{"grid": grid, "out": grid.parent / "out"} | changed)


def table(grid):
    return parquet.read_table(grid.parent / "out" / "retrieval.parquet").to_pylist()


def uncorrected(grid):
    return [row for row in table(grid) if row["correction"] == "none"]


def chunk(grid, measure, pair, state):
    return grid / measure / "c" / str(pair) / str(state) / "0" / "0"


def test_one_row_per_pair_state_measure_and_direction(grid):
    done = report.run(config(grid))
    rows = table(grid)
    assert list(rows[0]) == COLUMNS
    keys = [
        tuple(row[c] for c in ("language_a", "language_b", "state", "measure", "correction", "direction"))
        for row in rows
    ]
    assert keys == [
        (a, b, state, measure, correction, arrow)
        for a, b in sorted(PAIRS)
        for state in STATES
        for measure in ("seqsim", "precision", "recall", "dtw")
        for correction in ("none", "csls", "centred")
        for arrow in (f"{a}->{b}", f"{b}->{a}")
    ]
    assert done.complete
    assert (done.done, done.skipped, done.rows, done.missing, done.failed) == (3, 0, len(rows), {}, [])


def recall_by_loops(matrix, *, cost):
    """R@1 of rows as queries; another answer that is as good makes a miss."""
    known = ~np.isnan(matrix)
    both = [i for i in range(4) if known[i].any() and known[:, i].any()]
    good = (lambda x, y: x <= y) if cost else (lambda x, y: x >= y)
    hits = [sum(good(matrix[i, j], matrix[i, i]) for j in both) == 1 for i in both]
    return np.mean(hits)


def test_rows_equal_plain_loops_in_both_directions(grid):
    report.run(config(grid))
    arrays = scores()
    back = {"precision": "recall", "recall": "precision"}
    for row in uncorrected(grid):
        pair, state = PAIRS.index((row["language_a"], row["language_b"])), STATES.index(row["state"])
        if row["n"] == 0:
            continue
        measure = row["measure"]
        if row["direction"] == f"{row['language_a']}->{row['language_b']}":
            matrix = arrays[measure][pair, state]
        else:
            matrix = arrays[back.get(measure, measure)][pair, state].T
        assert row["recall_at_1"] == recall_by_loops(matrix, cost=measure == "dtw")
        assert row["chance"] == 1 / row["n"]
        assert row["ci_low"] <= row["recall_at_1"] <= row["ci_high"]


def test_a_pair_without_common_sentences_has_rows_of_nan(grid):
    done = report.run(config(grid))
    rows = [row for row in table(grid) if row["language_a"] == "fr"]
    assert {row["n"] for row in rows} == {0}
    assert all(np.isnan(row[name]) for row in rows for name in COLUMNS[7 : COLUMNS.index("hub")])
    assert done.complete


def test_csv_and_parquet_hold_the_same(grid):
    report.run(config(grid))
    with (grid.parent / "out" / "retrieval.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    written = [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in table(grid)
    ]
    assert lines == written


def test_everything_is_written_and_no_draft_is_left(grid, undrawn, monkeypatch):
    monkeypatch.setattr(report, "_draw", undrawn)
    done = report.run(config(grid))
    measures = ("seqsim", "precision", "recall", "dtw")
    kinds = ("png", "svg", "pdf")
    orders = ("by_group", "clustered")
    pictures = {f"heatmap_{m}_{order}.{kind}" for m in measures for order in orders for kind in kinds}
    names = {path.name for path in (grid.parent / "out").iterdir()}
    assert names == {
        *pictures,
        *(f"{table}.{kind}" for table in TABLES for kind in ("csv", "parquet")),
        *(f"curves.{kind}" for kind in kinds),
        "columns.tsv",
        "ranks.zarr",
        "report.html",
        "parts",
        "sentences",
    }
    assert done.report == str(grid.parent / "out" / "report.html")
    assert "made-up" in pages.opened(pathlib.Path(done.report).read_text())


def test_a_deleted_part_is_scored_again(grid):
    report.run(config(grid))
    parts = sorted((grid.parent / "out" / "parts").glob("*.npz"))
    content = parts[1].read_bytes()
    parts[1].unlink()
    again = report.run(config(grid))
    assert (again.done, again.skipped) == (1, 2)
    assert parts[1].read_bytes() == content


def test_parts_of_another_grid_are_not_reused(grid):
    report.run(config(grid))
    shutil.rmtree(grid)
    write_grid(grid, scores(seed=1))
    again = report.run(config(grid))
    assert (again.done, again.skipped) == (2, 1)  # fr and es share nothing, whatever the scores
    assert len(list((grid.parent / "out" / "parts").glob("*.npz"))) == 3  # old parts are gone
    other = write_grid(grid.parent / "other.zarr", scores(seed=1))
    report.run(config(other, out=grid.parent / "fresh"))
    fresh = (grid.parent / "fresh" / "retrieval.csv").read_bytes()
    assert (grid.parent / "out" / "retrieval.csv").read_bytes() == fresh


def test_one_rewritten_chunk_makes_its_pair_stale(grid):
    report.run(config(grid))
    array = zarr.open_group(grid)["dtw"]
    array[1, 0] = array[1, 0] + 1
    again = report.run(config(grid))
    assert (again.done, again.skipped) == (1, 2)


def test_a_copy_of_the_grid_keeps_the_parts(grid, tmp_path):
    report.run(config(grid))
    copy = tmp_path / "elsewhere" / "grid.zarr"
    shutil.copytree(grid, copy, copy_function=shutil.copyfile)  # with new times
    os.utime(chunk(copy, "dtw", 1, 0), ns=(1, 1))
    again = report.run(config(copy, out=grid.parent / "out"))
    assert (again.done, again.skipped) == (0, 3)


def test_missing_chunks_are_named_and_the_rest_goes_on(grid, caplog):
    report.run(config(grid))
    chunk(grid, "seqsim", 0, 1).unlink()
    chunk(grid, "recall", 1, 0).unlink()
    again = report.run(config(grid))
    assert not again.complete
    assert again.missing == {"en-fr seqsim": 1, "en-es recall": 1}
    assert report.run(config(grid, dry_run=True)).missing == again.missing
    assert "en-fr seqsim (1 of 2 states)" in caplog.text
    left = {(row["language_a"], row["language_b"], row["state"], row["measure"]) for row in table(grid)}
    every = {(*pair, state, measure) for pair in PAIRS for state in STATES for measure in scores()}
    # Recall is also the other direction of precision.
    gone = {("en", "fr", "final", "seqsim"), ("en", "es", "0", "recall"), ("en", "es", "0", "precision")}
    assert left == every - gone
    assert "3 of 24 cells aren&#x27;t computed yet" in pages.opened(pathlib.Path(again.report).read_text())
    names = [path.name for path in (grid.parent / "out" / "parts").iterdir()]
    third = report.run(config(grid))
    assert (third.done, third.skipped) == (2, 1)  # incomplete pairs are never kept
    assert [path.name for path in (grid.parent / "out" / "parts").iterdir()] == names


def test_a_chunk_that_cannot_be_used_is_named_and_the_rest_goes_on(grid):
    array = zarr.open_group(grid)["dtw"]
    block = array[0, 0]
    block[3] = np.nan  # as if en had one sentence less than n_common says
    array[0, 0] = block
    chunk(grid, "seqsim", 0, 0).write_bytes(b"no Zstandard")
    done = report.run(config(grid))
    assert not done.complete
    assert [text.split(":")[0] for text in done.failed] == ["en-fr seqsim state 0", "en-fr dtw state 0"]
    assert "3 sentences" in done.failed[1]
    assert done.rows == (3 * 8 - 2) * 2 * 3


def test_shards_divide_the_pairs_and_the_last_writes_the_report(grid):
    first = report.run(config(grid, shard_index=0, num_shards=2))
    assert (first.done, first.waiting, first.report, first.complete) == (1, 2, None, True)
    assert not (grid.parent / "out" / "report.html").exists()
    second = report.run(config(grid, shard_index=1, num_shards=2))
    assert (second.done, second.waiting, second.rows) == (2, 0, 144)
    assert pathlib.Path(second.report).is_file()
    whole = report.run(config(grid, out=grid.parent / "whole"))
    for name in ("retrieval.csv", "retrieval.parquet", "report.html"):
        assert (grid.parent / "out" / name).read_bytes() == (grid.parent / "whole" / name).read_bytes()
    assert whole.done == 3


def test_shards_of_an_incomplete_grid_write_the_report_too(grid):
    chunk(grid, "seqsim", 0, 1).unlink()
    chunk(grid, "dtw", 1, 0).unlink()
    first = report.run(config(grid, shard_index=0, num_shards=2))  # can't know of the other shard's pairs
    second = report.run(config(grid, shard_index=1, num_shards=2))
    assert (first.waiting, second.waiting) in {(0, 0), (1, 0)}
    again = report.run(config(grid, shard_index=0, num_shards=2))
    whole = report.run(config(grid, out=grid.parent / "whole"))
    for done in (second, again):
        assert done.report == str(grid.parent / "out" / "report.html")
        assert (done.missing, done.complete, done.rows) == (whole.missing, False, whole.rows)
    assert whole.missing == {"en-fr seqsim": 1, "en-es dtw": 1}
    assert len(list((grid.parent / "out" / "parts").glob("*.npz"))) == 1  # incomplete pairs are never kept
    same = [(grid.parent / out / "retrieval.csv").read_bytes() for out in ("out", "whole")]
    assert same[0] == same[1]


def test_what_others_lack_is_not_named_while_complete_pairs_are_waited_for(grid):
    chunk(grid, "dtw", 1, 0).unlink()
    shares = {pair: index for index in (0, 1) for pair in Share(index=index, count=2).of(range(3))}
    done = report.run(config(grid, shard_index=1 - shares[2], num_shards=2))
    assert done.report is None
    assert done.waiting >= 1
    assert done.missing == ({} if shares[0] == shares[2] else {"en-es dtw": 1})


def test_nobody_waits_for_a_pair_whose_chunk_is_broken(grid):
    for pair in (0, 1):
        chunk(grid, "seqsim", pair, 0).write_bytes(b"no Zstandard")
    report.run(config(grid, shard_index=0, num_shards=2))
    for index in (1, 0):
        done = report.run(config(grid, shard_index=index, num_shards=2))
        assert len(done.failed) == 2
        assert done.rows == (3 * 8 - 2) * 2 * 3
        assert not done.complete
    notes = sorted((grid.parent / "out" / "parts").glob("*.txt"))
    assert [note.name.split(".")[0] for note in notes] == ["en-es", "en-fr"]
    assert "en-es seqsim state 0" in notes[0].read_text()
    group = zarr.open_group(grid)
    for pair in (0, 1):
        group["seqsim"][pair, 0] = scores()["seqsim"][pair, 0]
        # The array has en-fr first, the report has en-es first.
        assert report.run(config(grid, shard_index=1 - pair, num_shards=2)).failed == (
            [] if pair else done.failed[:1]
        )
    report.run(config(grid))
    assert len(list((grid.parent / "out" / "parts").glob("*.npz"))) == 3
    assert not list((grid.parent / "out" / "parts").glob("*.txt"))


def test_dry_run_writes_nothing(grid):
    planned = report.run(config(grid, dry_run=True))
    assert planned.plan["pairs"] == 3
    assert planned.plan["bytes"] == 3 * 2 * 4 * 16 * 4
    assert min(planned.plan[figure] for figure in ("flops", "estimated_seconds")) > 0
    assert not (grid.parent / "out").exists()


def test_half_of_a_transposed_pair_is_left_out_aloud(tmp_path, caplog):
    given = scores(measures=("precision", "dtw"))
    grid = write_grid(tmp_path / "grid.zarr", given)
    assert report.run(config(grid)).complete
    assert {row["measure"] for row in table(grid)} == {"dtw"}
    assert "precision is left out" in caplog.text
    lone = write_grid(tmp_path / "lone.zarr", {"precision": given["precision"]})
    with pytest.raises(ValueError, match="precision together with recall"):
        report.run(config(lone))


def test_no_grid_and_something_else_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no grid"):
        report.run(config(tmp_path / "none.zarr"))
    zarr.create_group(tmp_path / "store.zarr")
    with pytest.raises(ValueError, match="needed is 'grid'"):
        report.run(config(tmp_path / "store.zarr"))
    assert not (tmp_path / "out").exists()


def test_the_terminal_table_names_the_best_state(grid):
    values = np.zeros((3, 2, 1, 2, len(metrics.ALL_FIGURES)))
    values[0, 1, 0, :, :6] = [[0.5, 0.75, 0.6, 0.25, 0.4, 0.6], [0.25, 0.5, 0.4, 0.25, 0.1, 0.5]]
    values[2] = np.nan
    given = metrics.Results(
        pairs=PAIRS,
        states=STATES,
        measures=("dtw",),
        n=np.array([4, 10, 0]),
        computed=np.ones((3, 2, 1), bool),
        values=values,
    )
    lines = [line.split() for line in report.best_states(given).splitlines()]
    found = "en-fr dtw final 4 25.0% 50.0% [40.0, 60.0] 25.0% [10.0, 50.0] 25.0%"
    assert lines[1] == found.split()
    assert lines[3] == ["fr-es", "dtw", "-", "0", "-", "-", "-", "-"]


def test_heatmaps_of_an_older_report_are_removed(grid, undrawn, monkeypatch):
    monkeypatch.setattr(report, "_draw", undrawn)
    out = grid.parent / "out"
    out.mkdir()
    mine = {"mine.png", "heatmap_notes.png"}
    for name in ("heatmap_meanpool_by_group.png", "heatmap_dtw_clustered.png", *mine):
        (out / name).write_text("old")
    (out / "heatmap_of_mine.svg").mkdir()
    shutil.rmtree(grid)
    write_grid(grid, scores(measures=("dtw",)))
    report.run(config(grid))
    pictures = {path.name for path in out.glob("*.png")}
    assert pictures == {"heatmap_dtw_by_group.png", "heatmap_dtw_clustered.png", "curves.png", *mine}
    assert (out / "heatmap_dtw_clustered.png").read_bytes() != b"old"


@pytest.mark.parametrize("out", ["file", "file/x", "taken"])
def test_out_is_tried_before_any_score_is_read(grid, monkeypatch, out):
    (grid.parent / "file").write_text("")
    (grid.parent / "taken").mkdir()
    (grid.parent / "taken" / "parts").write_text("")
    monkeypatch.delattr(pair_metrics, "score")
    with pytest.raises(ValueError, match="must be a writable folder"):
        report.run(config(grid, out=grid.parent / out))

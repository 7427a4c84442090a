"""Reports of several grids: joined tables, and differences on the sentences that both grids have."""

import itertools
import pathlib

import numpy as np
import pages
import pytest
from pyarrow import parquet

from isogloss.engine.grid import grid_store
from isogloss.engine.report import grid_differences, report, reported_grids, several_grids
from isogloss.engine.retrieval.contrasts import sign_flip
from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.refusal import UnreachableError, UnreadableError
from small_grids import made_grid

pytestmark = pytest.mark.usefixtures("undrawn")

PAIRS = (("de", "en"), ("de", "fr"), ("en", "fr"))
SENTENCES = {"base": [str(i) for i in range(12)], "large": [str(i) for i in range(4, 16)]}
STATES = {"base": ("0", "6", "final"), "large": ("0", "6", "12", "final")}


def scores(seed):
    """Small integers, so that ties are common."""
    return np.random.default_rng(seed).integers(0, 4, (12, 12)).astype(np.float32) + np.eye(
        12, dtype=np.float32
    )


def made(folder):
    """The folder, with grids of two models: in the second "de-en" shares other sentences with the first."""
    for g, name in enumerate(SENTENCES):
        recordings = {code: dict.fromkeys(SENTENCES[name], code) for code in ("de", "en", "fr")}
        frames = {code: dict.fromkeys(SENTENCES[name], 50) for code in recordings}
        grid = made_grid(
            folder / f"{name}.zarr", PAIRS, SENTENCES[name], states=STATES[name], measures=("seqsim",),
            recordings=recordings, frames=frames, model=name,
        )  # fmt: skip
        for pair, state in itertools.product(range(3), range(len(STATES[name]))):
            grid.write(pair, state, {"seqsim": scores(100 * g + 10 * pair + state)})
    return folder


@pytest.fixture
def grids(tmp_path):
    return made(tmp_path)


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Grids with their report, and its summary; tests only read them."""
    grids = made(tmp_path_factory.mktemp("reported"))
    return grids, report.run(config(grids, figure_width=3.5))


def config(grids, names=("base", "large"), **change):
    joined = ",".join(str(grids / f"{name}.zarr") for name in names)
    return report.ReportConfig(**{"grid": pathlib.Path(joined), "out": grids / "out"} | change)


def rows(folder, name):
    return parquet.read_table(folder / f"{name}.parquet").to_pylist()


def test_tables_are_those_of_each_grid_with_its_name(reported, tmp_path):
    grids, summary = reported
    assert (summary.done, summary.complete, summary.report) == (6, True, str(grids / "out" / "report.html"))
    for name in several_grids.TABLES:
        joined = rows(grids / "out", name)
        for grid in SENTENCES:
            alone = rows(grids / "out" / grid, name)
            mine = [{k: v for k, v in row.items() if k != "grid"} for row in joined if row["grid"] == grid]
            np.testing.assert_equal(mine, alone)
    assert (grids / "out" / "large" / "report.html").is_file()
    assert (grids / "out" / "curves.svg").stat().st_size > 3_000
    assert 'width="252pt"' in (grids / "out" / "curves.svg").read_text()
    told = (grids / "out" / "columns.tsv").read_text().splitlines()
    described = {tuple(line.split("\t")[:2]) for line in told[1:]}
    for name in (*several_grids.TABLES, "grid_contrasts", "grid_means"):
        assert all((f"{name}.parquet", column) in described for column in rows(grids / "out", name)[0])
    assert all(all(line.split("\t")) for line in told)
    assert not any("earlier version" in line for line in told)
    alone = report.run(report.ReportConfig(grid=grids / "base.zarr", out=tmp_path))
    assert alone.rows < summary.rows
    files = (tmp_path / "retrieval.csv", grids / "out" / "base" / "retrieval.csv")
    assert files[0].read_bytes() == files[1].read_bytes()


def hits(name, pair, state):
    """Hits of rows and of columns among 4 to 11, by loops: a tie is a miss."""
    matrix = scores(100 * ("base", "large").index(name) + 10 * pair + state)
    kept = [SENTENCES[name].index(str(i)) for i in range(4, 12)]
    return [
        [all(side[i, i] > side[i, j] for j in kept if j != i) for i in kept] for side in (matrix, matrix.T)
    ]


def test_differences_are_of_shared_sentences_ranked_among_themselves(reported):
    found = rows(reported[0] / "out", "grid_contrasts")
    plain = [row for row in found if (row["measure"], row["correction"]) == ("seqsim", "none")]
    same = [row for row in plain if row["compared"] == "same state"]
    assert len(same) == 3 * 3 * 2
    assert {(row["state"], row["other_state"]) for row in same} == {(s, s) for s in STATES["base"]}
    for row in same:
        pair = PAIRS.index((row["language_a"], row["language_b"]))
        side = 0 if row["direction"].startswith(row["language_a"]) else 1
        here = hits("base", pair, STATES["base"].index(row["state"]))[side]
        there = hits("large", pair, STATES["large"].index(row["state"]))[side]
        assert row["n"] == 8
        assert (row["recall_at_1"], row["other_recall_at_1"]) == (np.mean(here), np.mean(there))
        assert row["difference"] == pytest.approx(np.mean(here) - np.mean(there), abs=1e-12)
        only = [
            sum(x and not y for x, y in zip(*both, strict=True)) for both in ((here, there), (there, here))
        ]
        assert row["p"] == pytest.approx(sign_flip(8)[only[0], only[1]])
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]
        assert row["q"] >= row["p"]
    best = [row for row in plain if row["compared"] == "best state" and row["direction"] == "de->en"]
    means = [np.mean(hits("large", 0, state)) for state in range(4)]
    assert [row["other_state"] for row in best] == [STATES["large"][int(np.argmax(means))]]


def test_differences_of_means_are_those_of_all_pairs(reported):
    found = {
        row["state"]: row
        for row in rows(reported[0] / "out", "grid_means")
        if (row["measure"], row["correction"]) == ("seqsim", "none")
    }
    assert list(found) == [*STATES["base"], "best"]
    for state in STATES["base"]:
        row, sides = found[state], []
        for name in SENTENCES:
            place = STATES[name].index(state)
            sides.append(np.array([hits(name, pair, place) for pair in range(3)], float))
        assert (row["pairs"], row["compared"]) == (3, "same state")
        means = [side.mean() for side in sides]
        assert [row["recall_at_1"], row["other_recall_at_1"]] == pytest.approx(means)
        assert row["difference"] == pytest.approx(means[0] - means[1], abs=1e-12)
        assert row["sentences_low"] <= row["difference"] <= row["sentences_high"]
        assert row["languages_low"] <= row["difference"] <= row["languages_high"]
        by_sentence = (sides[0] - sides[1]).mean((0, 1))
        sums = np.array(list(itertools.product((-1, 1), repeat=8))) @ by_sentence
        exact = (np.abs(sums) > abs(by_sentence.sum()) - 1e-9).mean()
        assert row["p"] == pytest.approx(exact, abs=0.02)
        assert row["q"] >= row["p"]
    best = [
        max(np.mean(hits(name, pair, s)) for s in range(len(STATES[name])))
        for name in SENTENCES
        for pair in range(3)
    ]
    assert found["best"]["difference"] == pytest.approx(np.mean(best[:3]) - np.mean(best[3:]))


@pytest.mark.deep
def test_tables_in_pieces_have_the_same_rows(grids, monkeypatch):
    """Pieces of few rows, as those of many languages would be beside the size of a piece."""
    report.run(config(grids))
    whole = {name: (grids / "out" / f"{name}.csv").read_bytes() for name in ("grid_contrasts", "grid_means")}
    monkeypatch.setattr(grid_differences, "_ROWS", 10)
    (grids / "out" / "report.html").unlink()
    assert report.run(config(grids)).written
    assert {name: (grids / "out" / f"{name}.csv").read_bytes() for name in whole} == whole
    file = parquet.ParquetFile(grids / "out" / "grid_contrasts.parquet")
    assert file.num_row_groups > 2
    assert file.read().num_rows == len(rows(grids / "out", "grid_contrasts"))
    assert not list((grids / "out").glob(".*grid_contrasts*"))


def test_equal_sentences_take_the_figures_that_are_there(grids, monkeypatch):
    """The grid with itself under another name: no difference, and nothing is scored again."""
    (grids / "again.zarr").symlink_to(grids / "base.zarr")
    report.run(report.ReportConfig(grid=grids / "base.zarr", out=grids / "out" / "base"))
    report.run(report.ReportConfig(grid=grids / "again.zarr", out=grids / "out" / "again"))
    monkeypatch.setattr(report.pair_metrics, "score", lambda *a: pytest.fail("scored again"))
    report.run(config(grids, ("base", "again")))
    found = rows(grids / "out", "grid_contrasts")
    assert {(row["difference"], row["p"]) for row in found} == {(0.0, 1.0)}
    assert {row["n"] for row in found} == {12}


def test_shares_a_dry_run_and_a_rerun(grids):
    dry = report.run(config(grids, dry_run=True))
    assert (dry.plan["pairs"], (grids / "out").exists()) == (6, False)
    first = report.run(config(grids, num_shards=2, shard_index=0))
    assert (first.report, first.waiting > 0, (grids / "out" / "retrieval.csv").exists()) == (
        None,
        True,
        False,
    )
    last = report.run(config(grids, num_shards=2, shard_index=1))
    assert (last.written, first.done + last.done) == (True, 6)
    again = report.run(config(grids))
    assert (again.done, again.written, again.rows) == (0, False, last.rows)
    ahead = rows(grids / "out", "grid_means")[0]
    assert report.run(config(grids, names=("large", "base"))).written
    assert rows(grids / "out", "grid_means")[0]["difference"] == pytest.approx(-ahead["difference"])


@pytest.mark.deep
def test_a_report_of_one_grid_and_of_several_in_one_folder_replace_each_other(grids):
    for names in (("base",), ("base", "large"), ("base",), ("base", "large")):
        assert report.run(config(grids, names=names)).written
        page = pages.opened((grids / "out" / "report.html").read_text("utf-8"))
        assert ("grid_contrasts" in page) == (len(names) == 2)


def test_the_last_of_interleaved_shards_writes_what_another_waited_for(grids, monkeypatch):
    """Shard 1 ends base, then shard 0 both as far as it can, then shard 1 large: nobody is left to write."""
    opened, others = report.pair_metrics.open_parts, []

    def interleaved(folder, *args):
        if folder == grids / "out" / "large" / "parts" and not others:
            others.append(None)
            others.append(report.run(config(grids, num_shards=2, shard_index=0)))
        return opened(folder, *args)

    monkeypatch.setattr(report.pair_metrics, "open_parts", interleaved)
    last = report.run(config(grids, num_shards=2, shard_index=1))
    assert others[1].report is None
    assert (last.report, last.written, last.waiting) == (str(grids / "out" / "report.html"), True, 0)
    assert (last.done, others[1].done, last.skipped) == (4, 2, 0)
    assert (grids / "out" / "grid_contrasts.parquet").is_file()


def test_pairs_that_only_one_grid_holds_are_named(tmp_path, caplog):
    held = {"base": [("de", "en"), ("de", "fr")], "large": [("en", "de")]}
    of_each = {}
    for name, pairs in held.items():
        made = made_grid(tmp_path / f"{name}.zarr", pairs, ("s0", "s1"), measures=("seqsim",))
        of_each[name] = report.ReportConfig(grid=made.path, out=tmp_path / name)
    reported = reported_grids.opened(of_each, report._statistics(of_each["base"]))
    grid_differences.write(tmp_path, reported, "bh")
    for name in ("grid_contrasts", "grid_means"):
        assert rows(tmp_path, name) == []
        assert len((tmp_path / f"{name}.csv").read_text().splitlines()) == 1
    (first, second) = caplog.messages
    assert first.startswith(
        "2 language pairs of base aren't compared: large lacks them (1 it holds the other"
    )
    assert first.endswith(": de-en, de-fr")
    assert second.startswith("1 language pairs of large")


def older(folder):
    """Configuration of the report of two grids of a format that lists no recordings."""
    for name in SENTENCES:
        grid = made_grid(
            folder / f"{name}.zarr", PAIRS, SENTENCES["base"], states=("0", "final"), measures=("seqsim",)
        )
        for pair, state in itertools.product(range(3), range(2)):
            grid.write(pair, state, {"seqsim": scores(10 * pair + state)})
    return config(folder)


def test_pairs_of_older_grids_are_compared_as_far_as_their_chunks_can_be_read(tmp_path, caplog):
    asked = older(tmp_path)
    for name, pair, state in (("base", 0, 0), ("large", 1, 0), ("large", 1, 1)):
        group = grid_store.open_grid(tmp_path / f"{name}.zarr").group
        group.chunk("seqsim", (pair, state, 0, 0)).write_bytes(b"no Zstandard")
    summary = report.run(asked)
    assert (summary.complete, summary.report) == (False, str(tmp_path / "out" / "report.html"))
    same = [row for row in rows(tmp_path / "out", "grid_contrasts") if row["compared"] == "same state"]
    compared = {(f"{row['language_a']}-{row['language_b']}", row["state"]) for row in same}
    assert compared == {("de-en", "final"), ("en-fr", "0"), ("en-fr", "final")}
    assert {row["n"] for row in same} == {12}
    found = [text for text in caplog.messages if ".zarr: de-" in text]
    assert all(text.endswith("; delete that chunk and run the grid job again") for text in found)
    for chunk in ("base.zarr: de-en seqsim state 0:", "large.zarr: de-fr seqsim state final:"):
        assert any(chunk in text for text in found)


def test_older_grids_of_a_disk_that_fails_for_a_moment_are_not_compared_in_part(tmp_path, monkeypatch):
    asked = older(tmp_path)
    of_each = {"base": report.ReportConfig(grid=tmp_path / "base.zarr", out=tmp_path / "out")}
    [reported] = reported_grids.opened(of_each, report._statistics(asked)).values()

    def failing(*args):
        raise UnreadableError(f"I/O error; {disk_faults.AGAIN}")

    monkeypatch.setattr(grid_store.Grid, "read", failing)
    with pytest.raises(
        UnreachableError, match=r"base\.zarr: de-en seqsim state 0: .*same command again first$"
    ):
        reported.sentences(("de", "en"))


def test_grids_of_one_name_and_no_grid_are_refused(grids):
    with pytest.raises(ValueError, match="distinct names, got base, base"):
        report.run(config(grids, ("base", "../" + grids.name + "/base")))
    with pytest.raises(ValueError, match="there is no grid"):
        report.run(config(grids, ("base", "nothing")))
    assert not (grids / "out").exists()

"""Self pairs: a language with itself and with second recordings, from the store to the tables of a report."""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest
import soundfile
import xarray as xr
from pyarrow import parquet

from isogloss.engine.activations import extract
from isogloss.engine.grid import grid, grid_store
from isogloss.engine.interpretation import inputs
from isogloss.engine.operations import status, verify
from isogloss.engine.operations.status_config import StatusConfig
from isogloss.engine.operations.verify_config import VerifyConfig
from isogloss.engine.report import report
from isogloss.engine.retrieval import dali
from isogloss.kernels import reference

pytestmark = pytest.mark.usefixtures("undrawn")

TWO = ["aa-bb", "aa-cc", "bb-cc"]
OWN = ["aa-aa", "aa-aa@2", "bb-bb", "cc-cc"]
AGAIN = ("s1", "s2", "s5")  # sentences of aa that have a second recording


@pytest.fixture(scope="module")
def store(tmp_path_factory, speech, model_folder):
    """All recordings of a corpus in which three sentences of "aa" are spoken twice."""
    folder = tmp_path_factory.mktemp("twice")
    shutil.copytree(speech.parent, folder / "speech")
    lines = [speech.read_text().rstrip()]
    for sentence in AGAIN:
        wave, rate = soundfile.read(folder / "speech" / f"aa-{sentence[1:]}.wav")
        name = f"aa-{sentence[1:]}-again.wav"
        soundfile.write(folder / "speech" / name, 0.7 * wave[: int(0.9 * len(wave))], rate)
        lines.append(f"aa\t{sentence}\t{name}\tagain")
    (folder / "speech" / "speech.tsv").write_text("\n".join(lines) + "\n")
    config = extract.ExtractConfig(
        corpus=f"manifest:{folder}/speech/speech.tsv", model=str(model_folder), store=folder / "store",
        states=("0", "final"), recordings="all", dtype="float32",
    )  # fmt: skip
    assert extract.run(config).complete
    return config.store


def configured(store, path, **change):
    return grid.GridConfig(
        store=store, grid=path, **{"measures": ("seqsim", "dtw"), "self_pairs": True} | change
    )


@pytest.fixture(scope="module")
def made(store, tmp_path_factory):
    """Grid with self pairs, and one of the same store without."""
    folder = tmp_path_factory.mktemp("grids")
    for name, flag in (("with.zarr", True), ("plain.zarr", False)):
        assert grid.run(configured(store, folder / name, self_pairs=flag)).complete
    return folder


def frames_of(store, code, sentence, rank):
    dataset = xr.open_zarr(store / f"{code}.zarr")
    [row] = np.flatnonzero((dataset.sentence.values == sentence) & (dataset["rank"].values == rank))
    return dataset.states.sel(state="final")[row].values[: int(dataset.frames[row])].astype(np.float64)


def test_other_scores_and_labels_are_as_without_the_flag(made):
    ours, plain = (xr.open_zarr(made / name).load() for name in ("with.zarr", "plain.zarr"))
    assert ours.pair.values.tolist() == [*TWO, "aa-aa", "aa-aa@2", "bb-bb", "cc-cc"]
    assert plain.pair.values.tolist() == TWO
    assert (ours.attrs["format"], plain.attrs["format"]) == (4, 3)
    assert "self_pairs" not in json.loads(plain.attrs["flags"])
    for name, pair in itertools.product(("seqsim", "dtw"), range(len(TWO))):
        for state in (0, 1):
            chunk = f"{name}/c.{pair}.{state}.0.0"
            assert (made / "with.zarr" / chunk).read_bytes() == (made / "plain.zarr" / chunk).read_bytes()


def test_scores_of_second_recordings_equal_the_reference(made, store):
    """Cosines of 16 float32 features are off by some 1e-6."""
    dataset = xr.open_zarr(made / "with.zarr").load()
    assert (
        dict(zip(dataset.pair.values.tolist(), dataset.n_common.values.tolist(), strict=True))["aa-aa@2"] == 3
    )
    scores = dataset.seqsim.sel(pair="aa-aa@2", state="final")
    assert scores.notnull().any("query").values.tolist() == [f"s{i}" in AGAIN for i in range(7)]
    for query, candidate in itertools.product(("s1", "s3"), AGAIN[:2]):
        x, y = frames_of(store, "aa", query, 0), frames_of(store, "aa", candidate, 1)
        got = float(scores.sel(query=query, candidate=candidate))
        assert abs(got - reference.MEASURES["seqsim"](x, y)) < 1e-5
    own = dataset.seqsim.sel(pair="aa-aa", state="final").values
    np.testing.assert_allclose(np.diagonal(own), 1, atol=1e-5)


def test_the_mean_removed_from_second_recordings_is_that_of_the_first(store, tmp_path):
    change = {
        "remove_language_mean": True,
        "measures": ("meanpool",),
        "states": ("final",),
        "pairs": ("aa-bb",),
    }
    assert grid.run(configured(store, tmp_path / "g.zarr", **change)).done == 4
    means = [frames_of(store, "aa", f"s{i}", 0).mean(0) for i in range(7)]
    x = frames_of(store, "aa", "s3", 0).mean(0) - np.mean(means, 0)
    y = frames_of(store, "aa", "s2", 1).mean(0) - np.mean(means, 0)
    expected = x @ y / np.sqrt((x @ x) * (y @ y))
    got = xr.open_zarr(tmp_path / "g.zarr").meanpool.sel(pair="aa-aa@2", query="s3", candidate="s2")
    assert abs(float(got[0]) - expected) < 1e-4


def test_a_grid_grows_by_self_pairs_and_keeps_them(made, store, tmp_path):
    shutil.copytree(made / "plain.zarr", tmp_path / "grid.zarr")
    config = configured(store, tmp_path / "grid.zarr")
    (tmp_path / "grid.zarr" / "dtw" / "c.1.0.0.0").unlink()
    done = grid.run(dataclasses.replace(config, shard_index=1, num_shards=2)).done
    assert grid.run(dataclasses.replace(config, dry_run=True)).plan["units"] == 9 - done
    assert grid.run(config).done == 9 - done
    again = grid.run(dataclasses.replace(config, self_pairs=False))
    assert (again.done, again.skipped) == (0, 6)
    opened = [grid_store.open_grid(path) for path in (config.grid, made / "with.zarr")]
    assert [each.attributes["format"] for each in opened] == [4, 4]
    assert ["-".join(pair) for pair in opened[0].pairs] == sorted(TWO + OWN)
    for pair, state in itertools.product(range(7), range(2)):
        scores = [each.read("seqsim", pair, state) for each in opened]
        np.testing.assert_array_equal(*scores)


def test_a_code_that_names_second_recordings_is_refused(store, tmp_path):
    shutil.copytree(store, tmp_path / "store")
    shutil.copytree(store / "bb.zarr", tmp_path / "store" / "aa@2.zarr")
    with pytest.raises(ValueError, match="aa@2: names second recordings"):
        grid.run(configured(tmp_path / "store", tmp_path / "g.zarr", self_pairs=False))


def test_status_verify_and_interpretation_know_them(made, store):
    found = status.run(StatusConfig(grid=made / "with.zarr"))
    assert (found.done, found.total) == (14, 14)
    counts = {code: count.total for code, count in found.parts["language"].items()}
    assert counts == {"aa": 8, "aa@2": 2, "bb": 6, "cc": 6}
    assert verify.run(VerifyConfig(grid=made / "with.zarr")).checked == 28
    opened = inputs.open_input(store, made / "with.zarr", (), ())
    assert ["-".join(pair) for pair in opened.pairs] == TWO
    with pytest.raises(ValueError, match="has no such pair"):
        inputs.open_input(store, made / "with.zarr", ("aa-aa",), ())


@pytest.fixture(scope="module")
def reported(made):
    """Reports of both grids: the first in two shares."""
    for index in (1, 0):
        config = report.ReportConfig(
            grid=made / "with.zarr", out=made / "with", num_shards=2, shard_index=index
        )
        last = report.run(config)
    assert last.complete
    assert last.report
    report.run(report.ReportConfig(grid=made / "plain.zarr", out=made / "plain"))
    return made


def rows(folder, name):
    return parquet.read_table(folder / f"{name}.parquet").to_pylist()


def test_no_other_table_has_self_pairs(reported):
    for name in ("contrasts", "best_states", "inductive", "means", "languages"):
        both = [(reported / folder / f"{name}.csv").read_bytes() for folder in ("with", "plain")]
        assert both[0] == both[1], name
    ours, plain = (rows(reported / folder, "retrieval") for folder in ("with", "plain"))
    strict = [row.pop("dali_s") for row in ours]
    assert all(np.isnan(row.pop("dali_s")) for row in plain)
    np.testing.assert_equal(ours, plain)
    of = [row["correction"] == "none" and row["n"] >= dali.GROUP for row in ours]
    np.testing.assert_array_equal(np.isnan(strict), ~np.array(of))
    assert all(s <= row["dali"] for s, row, known in zip(strict, ours, of, strict=True) if known)
    ranks = xr.open_zarr(reported / "with" / "ranks.zarr")
    assert ranks.pair.values.tolist() == TWO
    assert xr.open_zarr(reported / "with" / "self_ranks.zarr").pair.values.tolist() == OWN
    assert not (reported / "plain" / "self_ranks.zarr").exists()


def test_dali_s_equals_plain_loops(reported):
    dataset = xr.open_zarr(reported / "with.zarr").load().seqsim
    whole = [f"s{i}" for i in range(7) if i != 4]  # "cc" lacks one
    matrices = [
        dataset.sel(pair=pair, state="final", query=whole, candidate=whole).values
        for pair in ("aa-cc", "aa-aa", "cc-cc")
    ]
    won = 0
    for group in dali.groups(6):
        worst = min(matrices[0][i, i] for i in group)
        best = max(m[i, j] for m in matrices for i in group for j in group if i != j)
        won += worst > best
    [row] = [
        row
        for row in rows(reported / "with", "retrieval")
        if (row["direction"], row["state"], row["measure"], row["correction"])
        == ("cc->aa", "final", "seqsim", "none")
    ]
    assert row["dali_s"] == won / 1000


def test_ceiling_and_anisotropy_equal_plain_loops(reported):
    dataset = xr.open_zarr(reported / "with.zarr").load()
    found = rows(reported / "with", "self_pairs")
    assert sorted({row["direction"] for row in found}) == [
        "aa->aa",
        "aa->aa@2",
        "aa@2->aa",
        "bb->bb",
        "cc->cc",
    ]
    for row in found:
        if row["measure"] not in ("seqsim", "dtw"):
            continue
        pair = f"{row['language_a']}-{row['language_b']}"
        matrix = dataset[row["measure"]].sel(pair=pair, state=row["state"]).values.astype(float)
        kept = [i for i in range(7) if np.isfinite(matrix[i, i])]
        assert row["n"] == len(kept)
        np.testing.assert_allclose(
            row["ceiling"], np.mean([matrix[i, i] for i in kept]), rtol=1e-6, atol=1e-6
        )
        others = [matrix[i, j] for i in kept for j in kept if i != j]
        np.testing.assert_allclose(row["anisotropy"], np.mean(others), rtol=1e-6)
        if row["language_a"] == row["language_b"]:
            assert row["recall_at_1"] == 1
    assert (reported / "with" / "self_pairs.svg").stat().st_size > 5_000


@pytest.mark.deep
def test_a_pair_is_scored_again_when_its_self_pairs_are_complete(reported, store, tmp_path):
    made = reported
    shutil.copytree(made / "with.zarr", tmp_path / "grid.zarr")
    row = OWN.index("aa-aa") + len(TWO)
    (tmp_path / "grid.zarr" / "seqsim" / f"c.{row}.0.0.0").unlink()
    config = report.ReportConfig(grid=tmp_path / "grid.zarr", out=tmp_path / "out")
    first = report.run(config)
    assert first.missing == {"aa-aa seqsim": 1}
    assert grid.run(configured(store, tmp_path / "grid.zarr")).done == 1
    second = report.run(config)
    assert (second.complete, second.done, second.skipped) == (True, 3, 4)
    assert (tmp_path / "out" / "retrieval.csv").read_bytes() == (made / "with" / "retrieval.csv").read_bytes()


def test_tables_of_self_pairs_go_with_them(reported, tmp_path):
    shutil.copytree(reported / "with", tmp_path / "out")
    report.run(report.ReportConfig(grid=reported / "plain.zarr", out=tmp_path / "out"))
    assert not list((tmp_path / "out").glob("self_*"))

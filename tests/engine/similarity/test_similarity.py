"""The similarity job: table, shares, resume, refusals, damaged stores."""

import dataclasses
import shutil

import numpy as np
import pytest
import xarray as xr
from dictionary import described
from pyarrow import parquet

from isogloss.engine.similarity import representations, similarity
from isogloss.engine.similarity.similarity_config import SimilarityConfig


@pytest.fixture(scope="module")
def store(two_states):
    return two_states


@pytest.fixture(scope="module")
def made(store, tmp_path_factory):
    config = SimilarityConfig(store=store, out=tmp_path_factory.mktemp("made") / "out")
    return config, similarity.run(config)


def test_rows_equal_mean_states_read_by_xarray(made, store):
    """With 7 sentences nothing is left to compare without length."""
    config, summary = made
    rows = parquet.read_table(config.out / "similarity.parquet").to_pylist()
    assert (summary.done, summary.rows, len(rows)) == (4, 12, 12)
    assert described(config.out) == {"similarity"}
    assert [(r["state"], r["language_a"], r["language_b"]) for r in rows[::2]] == [
        (state, a, b) for state in ("0", "final") for a, b in (("aa", "bb"), ("aa", "cc"), ("bb", "cc"))
    ]
    opened = [xr.open_zarr(store / f"{code}.zarr").sel(state="final").load() for code in ("aa", "cc")]
    common = [f"s{i}" for i in range(7) if i != 4]
    where = [[list(each.sentence.values).index(s) for s in common] for each in opened]
    sides = [
        np.array([each.states[row].mean("frame", skipna=True).values for row in rows_of])
        for each, rows_of in zip(opened, where, strict=True)
    ]
    for row in rows:
        if (row["language_a"], row["language_b"], row["state"]) != ("aa", "cc", "final"):
            continue
        x, y = sides
        if row["length"] == "partialled out":
            assert (row["n"], np.isnan(row["cka"]), np.isnan(row["q"])) == (6, True, True)
            continue
        expected = dataclasses.asdict(representations.similarity(x, y))
        assert row["n"] == 6
        for name in ("cka", "cka_unbiased", "svcca", "rsa"):
            assert row[name] == pytest.approx(expected[name], abs=1e-3), name
    assert all(row["q"] >= row["mantel_p"] for row in rows[::2])


def test_lengths_are_those_of_the_recordings_of_both(store, tmp_path, monkeypatch):
    given = []
    real = representations.without_length
    monkeypatch.setattr(
        representations, "without_length", lambda x, *frames: given.append(frames) or real(x, *frames)
    )
    similarity.run(SimilarityConfig(store=store, out=tmp_path / "out", languages=("bb", "cc"), states=("0",)))
    expected = []
    for code in ("bb", "cc"):
        opened = xr.open_zarr(store / f"{code}.zarr")
        expected.append(opened.frames.values[opened.sentence.values != "s4"].tolist())
    assert [[frames.tolist() for frames in each] for each in given] == [expected] * 2


def test_shares_and_resume_give_the_same_table(made, store, tmp_path):
    config = SimilarityConfig(store=store, out=tmp_path / "out")
    first = similarity.run(dataclasses.replace(config, num_shards=2, shard_index=1))
    assert (first.done, first.waiting, first.table) == (2, 2, None)
    dry = similarity.run(dataclasses.replace(config, dry_run=True))
    assert (dry.plan["units"], dry.skipped) == (2, 2)
    part = sorted((config.out / "parts" / "similarity").glob("[!.]*.parquet"))[0]
    part.unlink()
    last = similarity.run(config)
    assert (last.done, last.skipped, last.rows) == (3, 1, 12)
    for name in ("similarity.parquet", "similarity.csv"):
        assert (config.out / name).read_bytes() == (made[0].out / name).read_bytes()
    assert similarity.run(config).done == 0


def test_a_damaged_shard_is_named_and_the_rest_goes_on(store, tmp_path):
    shutil.copytree(store, tmp_path / "store")
    shard = tmp_path / "store" / "cc.zarr" / "states" / "c.1.0.0.0"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:10] + bytes([whole[10] ^ 255]) + whole[11:])  # in a chunk of the first state
    config = SimilarityConfig(store=tmp_path / "store", out=tmp_path / "out")
    summary = similarity.run(config)
    assert (summary.done, summary.complete, summary.rows) == (2, False, 6)
    assert set(summary.failed) == {"aa state 0", "bb state 0"}
    shard.write_bytes(whole)
    again = similarity.run(config)
    assert (again.done, again.complete, again.rows) == (2, True, 12)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"languages": ("aa",)}, "needs two extracted languages, got aa"), ({"states": ("9",)}, "0, final")],
)
def test_nonsense_is_refused(store, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        similarity.run(SimilarityConfig(store=store, out=tmp_path / "out", **change))
    assert not (tmp_path / "out").exists()

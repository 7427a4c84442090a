"""The linear_maps job: table, figure, shares, resume, refusals, damaged stores, figures."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from dictionary import described
from drawn_figures import looks
from scipy import stats

from isogloss.engine.linear_maps import folds, linear_maps
from isogloss.engine.linear_maps.linear_maps_config import LinearMapsConfig


@pytest.fixture(scope="module")
def store(two_states):
    return two_states


@pytest.fixture(scope="module")
def made(store, tmp_path_factory):
    config = LinearMapsConfig(
        store=store,
        out=tmp_path_factory.mktemp("made") / "out",
        folds=3,
        measures=("meanpool", "seqsim"),
        pivot="bb",
    )
    return config, linear_maps.run(config)


def test_rows_of_no_map_equal_mean_states_read_by_xarray(made, store):
    config, summary = made
    rows = pd.read_parquet(config.out / "linear_maps.parquet")
    assert (summary.done, summary.rows, len(rows)) == (4, 2 * 2 * 2 * (4 + 4 + 8), summary.rows)
    assert (config.out / "linear_maps.svg").stat().st_size > 0
    assert described(config.out) == {"linear_maps"}
    keys = ["language_a", "language_b", "state", "measure", "method", "pivot_language", "mapped", "direction"]
    assert not rows.duplicated(keys).any()
    assert set(rows.loc[rows["pivot_language"] == "bb", "language_b"]) == {"cc"}
    opened = [xr.open_zarr(store / f"{code}.zarr").sel(state="final").load() for code in ("aa", "cc")]
    common = [f"s{i}" for i in range(7) if i != 4]
    means = []
    for each in opened:
        at = [list(each.sentence.values).index(s) for s in common]
        means.append(np.array([each.states[i].mean("frame", skipna=True).values for i in at]))
    hits = 0
    for held in folds.folds(common, 3):
        where = np.isin(common, held)
        x, y = (side[where] - side[~where].mean(0) for side in means)
        score = np.array([[p @ q / np.sqrt((p @ p) * (q @ q)) for q in y] for p in x])
        hits += sum(score[i].argmax() == i for i in range(len(x)))
    mine = rows.query(
        "language_a == 'aa' and language_b == 'cc' and state == 'final' and method == 'centred'"
    )
    found = mine.query("measure == 'meanpool' and direction == 'aa->cc'").iloc[0]
    assert (found["recall_at_1"], found["n"], found["chance"]) == (hits / 6, 6, 0.5)


def test_q_is_over_one_map_and_route(made):
    rows = pd.read_parquet(made[0].out / "linear_maps.parquet")
    for _, family in rows.groupby(["measure", "method", "pivot_language", "mapped"]):
        known = family["p"].notna()
        assert known.all() == (family["method"] != "centred").all()
        if known.all():
            np.testing.assert_allclose(family["q"], stats.false_discovery_control(family["p"]))


def test_summary_has_the_means_of_the_table(made):
    config, summary = made
    rows = pd.read_parquet(config.out / "linear_maps.parquet").query("pivot_language == ''")
    for measure, by_map in summary.recall_at_1.items():
        for kind, by_state in by_map.items():
            for state, value in by_state.items():
                mine = rows.query(f"measure == '{measure}' and method == '{kind}' and state == '{state}'")
                assert value == pytest.approx(mine["recall_at_1"].mean(), abs=1e-6)
    assert summary.chance == pytest.approx(rows["chance"].mean(), abs=1e-6)
    assert set(summary.recall_at_1["meanpool"]) == {"centred", "procrustes", "ridge", "duration"}
    assert "by their length alone" in summary.sentence(config)
    json.dumps(dataclasses.asdict(summary))


def test_shares_and_resume_give_the_same_table(made, tmp_path):
    config = dataclasses.replace(made[0], out=tmp_path / "out")
    first = linear_maps.run(dataclasses.replace(config, num_shards=2, shard_index=1))
    assert (first.done, first.waiting, first.table, first.recall_at_1) == (2, 2, None, {})
    assert "waits for 2" in first.sentence(config)
    dry = linear_maps.run(dataclasses.replace(config, dry_run=True))
    assert (dry.plan["units"], dry.skipped) == (2, 2)
    assert dry.plan["estimated_seconds"] > 0
    sorted((config.out / "parts" / "linear_maps").glob("[!.]*.parquet"))[0].unlink()
    last = linear_maps.run(config)
    assert (last.done, last.skipped, last.rows) == (3, 1, made[1].rows)
    for name in ("linear_maps.parquet", "linear_maps.csv", "linear_maps.svg"):
        assert (config.out / name).read_bytes() == (made[0].out / name).read_bytes()
    again = linear_maps.run(config)
    assert (again.done, again.recall_at_1, again.chance) == (0, last.recall_at_1, last.chance)
    looking = linear_maps.run(dataclasses.replace(config, figure_width=3.5, figure_font="DejaVu Serif"))
    assert (looking.done, looking.chance) == (0, last.chance)
    assert looks(config.out / "linear_maps.svg") == (3.5, {"DejaVu Serif"})


def test_units_of_before_intervals_were_widened_are_computed_again(made, monkeypatch):
    dry = dataclasses.replace(made[0], dry_run=True)
    assert linear_maps.run(dry).skipped == 4
    monkeypatch.setattr(linear_maps, "_LAYOUT", 2)
    assert linear_maps.run(dry).skipped == 0


def test_a_damaged_shard_is_named_and_the_rest_goes_on(store, tmp_path):
    shutil.copytree(store, tmp_path / "store")
    shard = tmp_path / "store" / "cc.zarr" / "states" / "c.1.0.0.0"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:10] + bytes([whole[10] ^ 255]) + whole[11:])  # in a chunk of the first state
    config = LinearMapsConfig(store=tmp_path / "store", out=tmp_path / "out", folds=3)
    summary = linear_maps.run(config)
    assert (summary.done, summary.complete) == (2, False)
    assert set(summary.failed) == {"aa state 0", "bb state 0"}
    assert set(summary.recall_at_1["meanpool"]["ridge"]) == {"final"}


def test_too_few_sentences_have_no_figures(store, tmp_path):
    config = LinearMapsConfig(store=store, out=tmp_path / "out", states=("0",))
    summary = linear_maps.run(config)
    rows = pd.read_parquet(config.out / "linear_maps.parquet")
    assert (summary.complete, summary.chance, summary.recall_at_1) == (True, None, {})
    assert set(rows["n"]) == {6, 7}
    assert rows[["recall_at_1", "chance", "p", "q"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"languages": ("aa",)}, "needs two extracted languages, got aa"),
        ({"states": ("9",)}, "0, final"),
        ({"pivot": "en"}, "no en among the languages aa, bb, cc"),
        ({"measures": ("dtw",)}, "--measures must name some of meanpool, seqsim; got dtw"),
        ({"folds": 1}, "--folds must be at least 2"),
    ],
)
def test_nonsense_is_refused(store, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        linear_maps.run(LinearMapsConfig(store=store, out=tmp_path / "out", **change))
    assert not (tmp_path / "out").exists()

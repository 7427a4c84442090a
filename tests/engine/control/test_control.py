"""The control job on a small corpus: tables against plain loops, missing readers, refusals, resuming."""

import dataclasses
import json
import shutil

import numpy as np
import pages
import pandas as pd
import pytest
import xarray as xr
from dictionary import described
from drawn_figures import looks

from isogloss.engine.control import control, figures, inputs, pair_tables
from isogloss.engine.control.terms import CAUTIONS
from isogloss.engine.retrieval import contrasts

REAL = figures.drawn


def read(out, name):
    table = pd.read_parquet(out / f"{name}.parquet")
    text = pd.read_csv(out / f"{name}.csv", dtype=dict.fromkeys(["sentence", "state", "other_state"], str))
    assert text.columns.tolist() == table.columns.tolist()
    assert len(text) == len(table)
    return table


@pytest.fixture(scope="module")
def ran(given):
    config = given.configure(against=given.other, permutations=9)
    return config, control.run(config)


def test_the_tables_of_a_run(ran):
    config, summary = ran
    assert summary.complete
    assert (summary.done, summary.waiting, summary.tables["factors"]) == (3, 0, 3 * 4 * 3)
    made = {name: read(config.out, name) for name in summary.tables}
    assert described(config.out) == set(made)
    sentences = made["sentences"].set_index(["language", "sentence"])
    assert sentences.loc[("aa", "1"), "names_found"] == "Veuillez"
    assert sentences.index[sentences.names].get_level_values(1).unique().tolist() == ["3"]  # both raters
    assert sentences.index[sentences.numbers].get_level_values(1).unique().tolist() == ["5"]
    pairs = made["sentence_pairs"].set_index(["language_a", "language_b", "sentence"])
    assert pairs.loc[("aa", "bb", "7"), ["word_a", "word_b"]].tolist() == ["televisor", "televizor"]
    assert pairs.index[pairs.alike].get_level_values(2).unique().tolist() == ["7"]
    agreement = made["agreement"].query("between == 'languages'").set_index(["rater_a", "rater_b"])
    assert agreement.loc[("names:aa", "names:bb"), "marked_a"] == 2
    assert agreement.loc[("names:aa", "names:bb"), "kappa"] == pytest.approx(5 / 8)
    q = contrasts.false_discovery(made["factors"].p.to_numpy(), "bh")
    np.testing.assert_allclose(made["factors"].q, q)
    assert made["factors"].p_permutation.between(0.1, 1).all()
    assert set(made["factors"].other_state) == {"0", "1", "final"}
    page = pages.opened((config.out / "control.html").read_text())
    assert all(caution.replace("'", "&#x27;") in page for caution in CAUTIONS)


def test_figures_of_a_run(ran):
    config, _ = ran
    frames = [read(config.out, name) for name in ("factors", "control")]
    made = REAL(*frames)
    assert set(made) == set(figures.NAMES)
    assert len(made["factors"].axes) == 3
    assert not REAL(frames[0].iloc[:0], frames[1].drop(columns="alike"))


def test_challenge_sets_by_plain_loops(ran):
    config, _ = ran
    table = read(config.out, "control")
    grid, other = (xr.open_zarr(path) for path in (config.grid, config.against))
    gone = {"names": {3}, "numbers": {5}, "alike": {7}}
    for row in table[(table.scores == pair_tables.AS_IS)].to_dict("records"):
        if row["removed"] == pair_tables.ADVANTAGE or row["alike"] in (0.5, 1.0):
            continue
        kept = sorted(set(range(12)) - set().union(*(gone.get(r, set()) for r in row["removed"].split("+"))))
        for prefix, source in (("", grid), ("other_", other)):
            state = source.seqsim.sel(
                state=row[f"{prefix}state"], pair=f"{row['language_a']}-{row['language_b']}"
            )
            scores = state.values if row["direction"].startswith(row["language_a"]) else state.values.T
            among = range(12) if row["form"] == "queries" else kept
            hits = [all(scores[i, i] > scores[i, j] for j in among if j != i) for i in kept]
            assert row[f"{prefix}recall_at_1"] == pytest.approx(np.mean(hits))
        assert row["other_difference"] == pytest.approx(row["recall_at_1"] - row["other_recall_at_1"])
        assert (row["queries"], row["candidates"]) == (len(kept), len(among))
    assert set(table.removed) == {
        "nothing", "names", "numbers", "alike", "names+numbers", "names+numbers+alike", "advantage",
    }  # fmt: skip
    assert sorted(table.alike.dropna().unique()) == [0.5, 0.6, 1.0]


def test_a_rerun_does_nothing_and_shards_join_to_equal_bytes(given, monkeypatch):
    whole = given.configure()
    control.run(whole)
    kept = {path.name: path.read_bytes() for path in whole.out.iterdir() if path.is_file()}
    again = control.run(whole)
    assert (again.done, again.skipped) == (0, 3)
    assert {path.name: path.read_bytes() for path in whole.out.iterdir() if path.is_file()} == kept
    for index in (0, 1):
        config = dataclasses.replace(whole, out=given.folder / "shards", num_shards=2, shard_index=index)
        summary = control.run(config)
        assert (summary.waiting > 0) == (summary.page is None) == (index == 0)
    for name, content in kept.items():
        if name.endswith((".parquet", ".csv", ".png")):
            assert (given.folder / "shards" / name).read_bytes() == content
    monkeypatch.setattr(figures, "drawn", REAL)
    looking = control.run(dataclasses.replace(whole, figure_width=3.5, figure_font="DejaVu Serif"))
    assert (looking.done, looking.skipped) == (0, 3)
    assert looks(whole.out / "factors.svg") == (3.5, {"DejaVu Serif"})
    assert all((whole.out / name).read_bytes() == kept[name] for name in kept if name.endswith(".parquet"))


def test_without_readers_columns_are_missing_and_it_says_so(given):
    config = given.configure(phones="none", sentence_encoder="none", names=("none",))
    summary = control.run(config)
    assert summary.without_names
    table, factors = read(config.out, "sentence_pairs"), read(config.out, "factors")
    assert not {"overlap", "meaning", "alike", "names"} & set(table.columns)
    assert factors.factor.unique().tolist() == ["length"]
    assert not {"other_weight", "p_permutation"} & set(factors.columns)
    page = pages.opened((config.out / "control.html").read_text())
    assert "Without phones" in page
    assert "Without a sentence encoder" in page


def test_languages_that_the_encoder_does_not_know_are_named(given, monkeypatch):
    encoder = control.meaning.load("any")
    encoder._languages = ("aa", "bb")
    monkeypatch.setattr(control.meaning, "load", lambda name: encoder)
    config = given.configure()
    assert list(control.run(config).without_meaning) == ["cc"]
    factors = read(config.out, "factors")
    known = factors[factors.factor == "meaning"]
    assert set(zip(known.language_a, known.language_b, strict=True)) == {("aa", "bb")}


def test_a_dry_run_writes_nothing(given):
    config = given.configure(dry_run=True)
    summary = control.run(config)
    assert summary.plan["pairs"] == 3
    assert summary.plan["estimated_seconds"] > 0
    assert not config.out.exists()


def test_a_missing_chunk_leaves_out_its_pair(given):
    grid = shutil.copytree(given.grid, given.folder / "lacking.zarr")
    [chunk] = [path for path in (grid / "seqsim").rglob("c*1.2.0.0") if path.is_file()]
    chunk.unlink()
    summary = control.run(given.configure(grid=grid))
    assert not summary.complete
    assert len(summary.missing) == 1
    assert "aa-cc" in summary.missing[0]
    assert summary.done == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measure": "dtw"}, "has seqsim"),
        ({"pairs": ("aa-dd",)}, "--pairs=aa-dd"),
        ({"states": ("9",)}, "has 0, 1, 2, final"),
        ({"names": ("table:nowhere.tsv",)}, "not a file"),
        ({"names": ("en-ner",)}, "must be LANG:spacy:MODEL"),
        ({"names": ("zz:spacy:x",)}, "languages are aa, bb, cc"),
        ({"alike": 0.0}, "--alike must be"),
        ({"curve": ("0.5", "x")}, "--curve must be"),
    ],
)
def test_refusals(given, changes, message):
    out = given.folder / "refused"
    with pytest.raises(ValueError, match=message):
        control.run(given.configure(**changes, out=out))
    assert not out.exists()


def test_other_settings_in_one_folder_are_refused(given):
    config = given.configure(pairs=("aa-bb",))
    control.run(config)
    with pytest.raises(ValueError, match=r"alike: stored 0.6, asked for 0.7"):
        control.run(dataclasses.replace(config, alike=0.7))
    assert json.loads((config.out / "control.json").read_text())["job"] == "control"


def test_parts_of_before_intervals_were_widened_are_not_mixed_with_new_ones(given, monkeypatch):
    config = given.configure(pairs=("aa-bb",))
    with monkeypatch.context() as before:
        before.setattr(control, "_LAYOUT", 1)
        control.run(config)
    with pytest.raises(ValueError, match=r"layout: stored 1, asked for 2"):
        control.run(config)


def test_a_grid_against_itself_has_no_difference(given):
    """An encoder beside itself differs in nothing."""
    first = given.configure(against=given.grid)
    control.run(first)
    factors = read(first.out, "factors")
    np.testing.assert_array_equal(factors.weight, factors.other_weight)
    assert (factors.other_difference == 0).all()
    assert inputs.relative_depths(["0", "3", "6", "final"]) == [0, 0.5, 1, 2]

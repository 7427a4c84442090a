"""engine.grid_store: pairs, layout, commit marks, identity."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
import zarr

from isogloss.engine.grid import grid_store, pair_names
from isogloss.engine.grid.grid_store import Plan
from isogloss.engine.runtime import zarr_group
from isogloss.engine.runtime.zarr_group import Array, Coordinate

PLAN = Plan(
    pairs=(("aa", "bb"), ("aa", "pt-BR")),
    states=("0", "final"),
    sentences=("1", "2", "10"),
    measures=("seqsim", "dtw"),
    common=(3, 2),
    identity={"weights_sha256": "00ff", "languages": {"aa": {"missing": []}}},
    flags={"pairs": []},
)
LANGUAGES = ("aa", "bb", "pt-BR")


def unit(seed):
    seqsim, dtw = np.random.default_rng(seed).standard_normal((2, 3, 3)).astype(np.float32)
    return {"seqsim": seqsim, "dtw": dtw}


def test_an_analyst_selects_by_label(tmp_path):
    grid = grid_store.create_or_grow(tmp_path / "g.zarr", PLAN)
    grid.write(1, 0, unit(5))
    dataset = xr.open_zarr(tmp_path / "g.zarr")
    assert dataset.seqsim.dims == ("pair", "state", "query", "candidate")
    found = dataset.dtw.sel(pair="aa-pt-BR", state="0", query="10")
    np.testing.assert_array_equal(found, unit(5)["dtw"][2])
    assert dataset.seqsim.sel(pair="aa-bb").isnull().all()
    assert dataset.language_b.values.tolist() == ["bb", "pt-BR"]
    assert dataset.n_common.values.tolist() == [3, 2]
    assert dataset.sentence.values.tolist() == ["1", "2", "10"]
    assert dataset.attrs["weights_sha256"] == "00ff"
    assert dataset["sentence"].values.astype(str).tolist() == ["1", "2", "10"]
    assert (dataset["language_a"].values == "aa").all()
    assert (
        dataset.seqsim.sel(pair="aa-pt-BR", state="0").to_pandas().loc["10", "2"] == unit(5)["seqsim"][2, 1]
    )
    assert all(isinstance(value, str | int | list) for value in dataset.attrs.values())  # netCDF holds those
    np.testing.assert_array_equal(grid.read("seqsim", 1, 0), unit(5)["seqsim"])


def test_a_unit_is_done_when_every_measure_is(tmp_path):
    grid = grid_store.create_or_grow(tmp_path / "g.zarr", PLAN)
    assert grid.done() == set()
    nothing = np.full((3, 3), np.nan, np.float32)
    grid.write(0, 1, {"seqsim": nothing, "dtw": nothing})
    grid.write(1, 1, unit(0))
    assert grid.done() == {(0, 1), (1, 1)}
    (tmp_path / "g.zarr" / "dtw" / "c.1.1.0.0").unlink()
    assert grid.done() == {(0, 1)}


def test_a_grid_of_format_1_is_read_and_continued(tmp_path, monkeypatch):
    """One folder for each index of a chunk, labels of variable length, objects as attributes."""

    def old_labels(coordinate):
        text = not isinstance(coordinate.values, np.ndarray)
        return np.asarray(coordinate.values, np.dtypes.StringDType()) if text else coordinate.values

    flat = Array.metadata
    nested = {"name": "default", "configuration": {"separator": "/"}}
    with monkeypatch.context() as old:
        old.setattr(Array, "metadata", lambda *args: flat(*args) | {"chunk_key_encoding": nested})
        old.setattr(Coordinate, "stored", property(old_labels))
        old.setattr(zarr_group, "_plain", dict)
        old.setattr(grid_store, "FORMAT", 1)
        grid_store.create_or_grow(tmp_path / "g.zarr", PLAN).write(1, 0, unit(5))
    assert (tmp_path / "g.zarr" / "dtw" / "c" / "1" / "0" / "0" / "0").is_file()
    grid = grid_store.create_or_grow(tmp_path / "g.zarr", PLAN)
    assert grid.done() == grid_store.existing(tmp_path / "g.zarr", PLAN) == {(1, 0)}
    grid.write(0, 1, unit(6))
    assert grid.done() == {(1, 0), (0, 1)}
    assert (tmp_path / "g.zarr" / "dtw" / "c" / "0" / "1" / "0" / "0").is_file()
    new = grid_store.create_or_grow(tmp_path / "new.zarr", PLAN)
    new.write(1, 0, unit(5))
    assert grid.checksum("dtw", 1, 0) == new.checksum("dtw", 1, 0)
    assert (grid.pairs, grid.sentences, grid.states) == (new.pairs, new.sentences, new.states)


def test_a_unit_has_every_measure(tmp_path):
    grid = grid_store.create_or_grow(tmp_path / "g.zarr", PLAN)
    with pytest.raises(ValueError, match="a unit has"):
        grid.write(0, 0, {"seqsim": unit(0)["seqsim"]})


@pytest.mark.parametrize(
    ("change", "values"),
    [
        ({"measures": ("seqsim",)}, ['["seqsim", "dtw"]', '["seqsim"]']),
        ({"identity": {"weights_sha256": "11", "languages": {}}}, ["00ff", "11"]),
        ({"states": ("0",)}, ['["0", "final"]', '["0"]']),
    ],
)
def test_another_plan_is_refused_with_both_values(tmp_path, change, values):
    grid_store.create_or_grow(tmp_path / "g.zarr", PLAN)
    with pytest.raises(ValueError, match="grid of other stores or flags") as error:
        grid_store.create_or_grow(tmp_path / "g.zarr", dataclasses.replace(PLAN, **change))
    assert all(value in str(error.value) for value in values)


def test_the_same_plan_is_resumed_whatever_its_flags(tmp_path):
    grid_store.create_or_grow(tmp_path / "g.zarr", PLAN).write(0, 0, unit(1))
    again = grid_store.create_or_grow(tmp_path / "g.zarr", dataclasses.replace(PLAN, flags={}))
    assert again.done() == {(0, 0)}


def test_all_pairs_once():
    assert pair_names.parse_pairs((), LANGUAGES) == (("aa", "bb"), ("aa", "pt-BR"), ("bb", "pt-BR"))


@pytest.mark.parametrize("text", ["aa-pt-BR", "pt-BR-aa"])
def test_a_pair_has_one_order_and_languages_may_hold_hyphens(text):
    assert pair_names.parse_pairs((text,), LANGUAGES) == (("aa", "pt-BR"),)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("aa-zz",), "extracted are aa, bb, pt-BR"),
        (("aa",), "two extracted languages"),
        (("bb-bb",), "compared with itself"),
        (("aa-bb", "bb-aa"), "names a pair twice"),
    ],
)
def test_pairs_that_are_none(wanted, message):
    with pytest.raises(ValueError, match=message):
        pair_names.parse_pairs(wanted, LANGUAGES)


def test_opened_again_it_says_what_it_is_of(tmp_path):
    grid_store.create_or_grow(tmp_path / "g.zarr", PLAN).write(1, 0, unit(5))
    grid = grid_store.open_grid(tmp_path / "g.zarr")
    assert (grid.pairs, grid.states, grid.sentences) == (PLAN.pairs, PLAN.states, PLAN.sentences)
    assert (grid.measures, tuple(grid.common)) == (PLAN.measures, PLAN.common)
    assert grid.attributes["weights_sha256"] == "00ff"
    assert [grid.find(pair) for pair in PLAN.pairs] == [(i, False) for i in range(len(PLAN.pairs))]
    assert [grid.find((b, a)) for a, b in PLAN.pairs] == [(i, True) for i in range(len(PLAN.pairs))]
    np.testing.assert_array_equal(grid.read("dtw", 1, 0), unit(5)["dtw"])
    assert grid.checksum("dtw", 1, 0) != grid.checksum("seqsim", 1, 0)
    with pytest.raises(FileNotFoundError):
        grid.checksum("dtw", 1, 1)


def test_what_is_no_grid_is_not_opened(tmp_path):
    with pytest.raises(ValueError, match="there is no grid; make one"):
        grid_store.open_grid(tmp_path / "none.zarr")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file: exists, but isn't a Zarr v3 group"):
        grid_store.open_grid(tmp_path / "file")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "None of format None, needed is 'grid' of format 1 or 2 or 3 or 4; name another folder"),
        ({"kind": "activations", "format": 1}, "holds 'activations' of format 1"),
        ({"kind": "grid", "format": 5}, "holds 'grid' of format 5"),
    ],
)
def test_another_kind_or_format_is_not_opened(tmp_path, attributes, message):
    zarr.create_group(tmp_path / "g.zarr", attributes=attributes)
    with pytest.raises(ValueError, match=message) as error:
        grid_store.open_grid(tmp_path / "g.zarr")
    assert str(error.value).startswith(str(tmp_path / "g.zarr"))

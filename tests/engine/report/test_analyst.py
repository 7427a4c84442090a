"""The first lines of an analyst work on stores, grids and tables, with the libraries that people have."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyarrow import parquet

from isogloss.engine.report import report
from isogloss.engine.runtime.version import isogloss_version, today


@pytest.fixture
def grid(spoken):
    return xr.open_zarr(spoken / "grid.zarr")


@pytest.fixture
def store(spoken):
    return xr.open_zarr(spoken / "store" / "aa.zarr")


def test_plots(grid, store):
    grid.seqsim.sel(pair="aa-bb", state="final").plot()
    assert plt.gca().get_xlabel().startswith("candidate")
    plt.close()
    grid["frames"].plot()
    plt.close()
    store.states.sel(utterance="s3.0", state="final").plot()
    plt.close()


def test_a_grid_and_a_store_become_netcdf(grid, store, tmp_path):
    """NetCDF has no float16: a store is written as float32."""
    for dataset in (grid, store.astype("float32")):
        dataset.to_netcdf(tmp_path / "it.nc", engine="scipy")
        with xr.open_dataset(tmp_path / "it.nc", engine="scipy") as found:
            assert found.attrs["isogloss_version"] == isogloss_version()
            assert found.attrs["created"] == today()
            assert found.attrs.keys() == dataset.attrs.keys()
            xr.testing.assert_allclose(found.load().drop_attrs(), dataset.load().drop_attrs())
    store.to_netcdf(tmp_path / "it.nc", engine="scipy", encoding={"states": {"dtype": "float32"}})


def test_labels_are_ordinary_strings(grid, store):
    for label in (grid["sentence"], grid["pair"], store["transcription"], store["source"]):
        assert label.values.astype(str).dtype.kind == "U"
    assert grid["sentence"].values.astype(str).tolist() == [f"s{i}" for i in range(7)]
    assert grid.recording.sel(language="cc", sentence="s4") == ""
    assert grid.frames.sel(language="cc", sentence="s4") == 0


def test_a_grid_becomes_a_table(grid):
    frame = grid.seqsim.sel(state="final").to_dataframe()
    assert frame["seqsim"].groupby("pair", observed=True).count().to_dict() == {
        "aa-bb": 49,
        "aa-cc": 42,
        "bb-cc": 42,
    }


def test_pandas_reads_each_table_which_says_its_version_and_its_day(spoken, undrawn, tmp_path):
    report.run(report.ReportConfig(grid=spoken / "grid.zarr", out=tmp_path, fdr="by"))
    tables = sorted(tmp_path.glob("*.parquet"))
    assert len(tables) >= 2
    for path in tables:
        assert not pd.read_parquet(path).empty
        made = parquet.read_schema(path).metadata
        assert made[b"isogloss_version"].decode() == isogloss_version()
        assert made[b"created"].decode() == today()
        assert (made[b"fdr"] == b"by") if "q" in pd.read_parquet(path) else True
    columns = pd.read_csv(tmp_path / "columns.tsv", sep="\t")
    assert set(columns.table) == {path.name for path in tables}
    assert set(columns.created) == {today()}
    assert columns.query("column == 'q'").meaning.str.endswith("(--fdr=by).").all()
    assert set(columns.isogloss_version) == {isogloss_version()}
    ranks = xr.open_zarr(tmp_path / "ranks.zarr")
    ranks.to_netcdf(tmp_path / "ranks.nc", engine="scipy")
    assert int(ranks.ranks.max()) <= 7


def test_languages_are_opened_together(spoken):
    """As docs/extract.md says it; texts differ between languages, so they can't be joined along an axis."""
    paths = sorted((spoken / "store").glob("*.zarr"))
    nested = {"combine": "nested", "concat_dim": "language", "join": "outer"}

    def numbers(ds):
        texts = [name for name in ds.variables if ds[name].dtype.kind in "OTU"]
        return ds.drop_vars([name for name in texts if name not in ds.dims])

    found = xr.open_mfdataset(paths, engine="zarr", preprocess=numbers, **nested)
    assert found.sizes["language"] == 3
    alone = xr.open_zarr(paths[2])
    assert set(found.utterance.values) > set(alone.utterance.values)  # the languages differ
    same = found.states.isel(language=2).sel(utterance=alone.utterance)
    np.testing.assert_array_equal(same.values, alone.states.values)

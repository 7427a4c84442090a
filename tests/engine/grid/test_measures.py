"""One record is all that a new measure needs; toy measures go from kernels to the table and the page."""

import dataclasses
import pathlib
import subprocess
import sys

import numpy as np
import pages
import pandas as pd
import pytest
import xarray as xr

from isogloss.engine.activations import activation_store, language_states
from isogloss.engine.grid import grid, grid_config, host_scores, measures
from isogloss.engine.grid.measures import MEASURES, Measure
from isogloss.engine.report import report
from isogloss.kernels import dtw, frame_scores, pooling

POOLED = Measure(
    name="apart",
    label="Apart & away",
    meaning="distance of the mean frames",
    by_frame=False,
    kernel="pooling.apart",
    cost=True,
)
BY_FRAME = Measure(
    name="first", label="First frame", meaning="product", by_frame=True, kernel="pooling.first_frames"
)


def apart(a, b):
    """Euclidean distance of every two mean frames."""
    return np.linalg.norm(a[:, None] - b[None], axis=-1)


def first_frames(x, n, y, m):
    """Inner product of the first frames."""
    assert len(x) == len(n)
    assert len(y) == len(m)
    return x[:, 0].astype(np.float32) @ y[:, 0].astype(np.float32).T


@pytest.fixture
def toys(monkeypatch):
    """Two measures whose kernels exist; nothing but the records says so."""
    for measure, kernel in ((POOLED, apart), (BY_FRAME, first_frames)):
        monkeypatch.setattr(pooling, kernel.__name__, kernel, raising=False)
        monkeypatch.setitem(MEASURES, measure.name, measure)


def states(store, language):
    opened = language_states.open_language(activation_store.open_store(store, language))
    return language_states.load(opened, "final", remove_language_mean=False)


def test_a_record_brings_a_measure_to_the_table_the_page_and_a_heatmap(toys, spoken, tmp_path):
    given = grid.GridConfig(
        store=spoken / "store",
        grid=tmp_path / "grid.zarr",
        measures=("apart", "first"),
        pairs=("aa-bb",),
        states=("final",),
        memory_gb=1.0,
    )
    assert grid.run(given).complete
    dataset = xr.open_zarr(given.grid)
    assert dataset["apart"].attrs["long_name"] == "distance of the mean frames; smaller is closer"
    a, b = (states(given.store, code) for code in ("aa", "bb"))
    np.testing.assert_array_equal(dataset["apart"][0, 0], apart(a.pooled, b.pooled))
    [x], [y] = a.groups, b.groups
    rows = np.empty((7, 7), np.float32)
    rows[np.ix_(x.where, y.where)] = first_frames(x.states, x.frames, y.states, y.frames)
    np.testing.assert_array_equal(dataset["first"][0, 0], rows)

    out = tmp_path / "report"
    done = report.run(report.ReportConfig(grid=given.grid, out=out))
    table = pd.read_parquet(out / "retrieval.parquet").query("correction == 'none'")
    table = table.set_index(["measure", "direction"])
    nearest = dataset["apart"][0, 0].values.argmin(1) == np.arange(7)  # a cost: the smallest is nearest
    assert table.loc[("apart", "aa->bb"), "recall_at_1"] == nearest.mean()
    assert ("first", "bb->aa") in table.index
    page = pages.opened(pathlib.Path(done.report).read_text("utf-8"))
    assert '"label":"Apart & away"' in page
    assert "<dt>Apart &amp; away</dt><dd>Distance of the mean frames; smaller is closer." in page
    assert {path.name for path in out.glob("heatmap_*_by_group.png")} == {
        "heatmap_apart_by_group.png",
        "heatmap_first_by_group.png",
        "heatmap_duration_by_group.png",
    }


def test_what_no_kernel_fills_is_nan_not_zero(toys, spoken, monkeypatch):
    """A kernel of `frame_scores` that gives one group of utterances and no more."""
    x, y = (states(spoken / "store", code) for code in ("aa", "bb"))
    monkeypatch.setattr(frame_scores, "frame_scores", lambda *_, **__: {})
    found = host_scores.score(x, y, ("seqsim", "apart"), "numba")
    assert np.isnan(found["seqsim"]).all()
    assert np.isfinite(found["apart"]).all()


def test_a_measure_that_nothing_computes_is_refused(monkeypatch, spoken):
    with pytest.raises(ValueError, match="cka: `frame_scores` compares frames"):
        dataclasses.replace(POOLED, name="cka", kernel="")
    monkeypatch.setitem(MEASURES, "cka", dataclasses.replace(BY_FRAME, name="cka", kernel=""))
    x = states(spoken / "store", "aa")
    with pytest.raises(ValueError, match="cka"):
        host_scores.score(x, x, ("cka",), "numba")


def test_records_agree_with_the_kernels_and_with_each_other():
    for name, measure in MEASURES.items():
        assert name == measure.name
        assert callable(measure.function()) if measure.kernel else name in frame_scores.MEASURES
        assert MEASURES[measure.backward].backward == name
        assert MEASURES[measure.backward].cost == measure.cost
    assert grid_config.DTW_NORMALISATIONS == dtw.NORMALISATIONS
    assert grid_config.IMPLEMENTATIONS == ("auto", *frame_scores.IMPLEMENTATIONS)
    assert {m.name for m in MEASURES.values() if not m.kernel} == set(frame_scores.MEASURES)


@pytest.mark.parametrize("names", [(), ("cka",), ("dtw", "dtw"), ("transport", "transport_error")])
def test_names_that_choose_no_measures_are_refused(names):
    known = ", ".join(name for name, measure in MEASURES.items() if measure.retrieves)
    with pytest.raises(ValueError, match=f"{known}, each once; got "):
        measures.choose(names)


def test_half_of_a_transposed_pair_is_not_reported():
    assert measures.reported(("dtw", "precision", "seqsim")) == ("dtw", "seqsim")
    retrieving = tuple(name for name, measure in MEASURES.items() if measure.retrieves)
    assert measures.reported(tuple(MEASURES)) == retrieving


def test_an_error_is_written_with_its_measure():
    wanted = ("transport", "transport_error", "dtw")
    assert measures.with_errors(("transport", "dtw")) == wanted
    assert measures.reported(wanted) == ("transport", "dtw")


def test_help_reads_the_records_without_waiting():
    code = "import isogloss.engine.grid.measures, sys; print({'jax', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"

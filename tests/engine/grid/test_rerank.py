"""Grids and reports whose transport is of shortlists alone, beside those that have all of it."""

import dataclasses

import numpy as np
import pages
import pandas as pd
import pytest
import xarray as xr

from isogloss.engine.grid import grid, grid_plan, grid_store, shortlist
from isogloss.engine.report import report
from isogloss.engine.retrieval import metrics, pair_metrics
from isogloss.engine.runtime.refusal import Refusal

BEST = 2


@pytest.fixture(scope="module")
def made(spoken, tmp_path_factory):
    """Grids by name: all of transport, and that of shortlists."""
    folder = tmp_path_factory.mktemp("rerank")
    whole = grid.GridConfig(
        store=spoken / "store",
        grid=folder / "whole.zarr",
        measures=("seqsim", "transport"),
        pairs=("aa-bb",),
        states=("final",),
        implementation="numba",
        memory_gb=1.0,
    )
    few = dataclasses.replace(whole, grid=folder / "few.zarr", rerank=BEST)
    for config in (whole, few):
        assert grid.run(config).complete
    return {config.grid.stem: config for config in (whole, few)}


def opened(config):
    return xr.open_zarr(config.grid).isel(pair=0, state=0).load()


def test_transport_of_shortlists_is_that_of_all(made):
    whole, few = map(opened, made.values())
    listed = shortlist.either(whole.seqsim.values, BEST)
    assert 0 < listed.sum() < listed.size
    for name in ("transport", "transport_error"):
        assert np.isfinite(whole[name]).all()
        np.testing.assert_array_equal(few[name], np.where(listed, whole[name], np.nan))
    assert (whole.transport_error >= 0).all()
    assert few.attrs["rerank"] == BEST
    assert "rerank" not in whole.attrs


@pytest.mark.deep  # compiles the programs of devices
def test_devices_compute_the_same_shortlists(made):
    xla = dataclasses.replace(made["few"], grid=made["few"].grid.with_name("xla.zarr"), implementation="xla")
    assert grid.run(xla).complete
    found, few = opened(xla), opened(made["few"])
    for name in ("transport", "transport_error"):
        np.testing.assert_allclose(found[name], few[name], rtol=0, atol=1e-5)


def first(matrix):
    """R@1 of the rows of each matrix."""
    return [(each.argmax(axis=1) == np.arange(len(each))).mean() for each in matrix]


def expected(made, best):
    whole = opened(made["whole"])
    scores, costs = whole.seqsim.values, whole.transport.values
    return first([shortlist.reranked(scores, costs, best), shortlist.reranked(scores.T, costs.T, best)])


def test_each_direction_is_ranked_by_its_own_shortlists(made):
    recall = metrics.ALL_FIGURES.index("recall_at_1")
    levels = [metrics.ALL_FIGURES.index(name) for name in ("matched", "mismatched")]
    for name, best in (("few", BEST), ("whole", shortlist.BEST)):
        held, statistics = grid_store.open_grid(made[name].grid), pair_metrics.Statistics()
        names = [scoring.name for scoring in statistics.scorings(held)]
        scored = pair_metrics.score(held, 0, statistics)
        assert not scored.missing
        assert not scored.broken
        values = scored.values[0, names.index("rerank")]
        assert values[:, recall].tolist() == expected(made, best)
        assert np.isnan(values[:, levels]).all()
        assert np.isnan(scored.halves[0, names.index("rerank")]).all()
        assert np.isfinite(scored.halves[0, names.index("seqsim")]).all()
        assert ("transport" in names) == ("transport+csls" in names) == (name == "whole")
        assert "rerank+csls" not in names
        assert not {"transport_error", "rerank_back"} & set(names)


@pytest.mark.deep  # draws all figures
def test_the_report_has_it_beside_seqsim(made):
    out = made["few"].grid.parent / "report"
    report.run(report.ReportConfig(grid=made["few"].grid, out=out))
    table = pd.read_parquet(out / "retrieval.parquet")
    assert set(table.measure) == {"seqsim", "rerank", "duration"}
    reranked = table[table.measure == "rerank"].set_index("direction")
    assert reranked.loc[["aa->bb", "bb->aa"], "recall_at_1"].tolist() == expected(made, BEST)
    assert "ordered by transport" in pages.opened((out / "report.html").read_text("utf-8"))


def test_a_grid_of_other_shortlists_is_not_continued(made):
    for name, rerank in (("whole", BEST), ("few", 0), ("few", 3)):
        with pytest.raises(Refusal, match="rerank"):
            grid.run(dataclasses.replace(made[name], rerank=rerank))
    assert grid.run(made["few"]).skipped == 1


def test_the_plan_counts_the_lists_of_both_directions(made, monkeypatch):
    """Transport takes 10 times as long as SeqSim, of at most 2 + 2 of 7 candidates."""
    monkeypatch.setattr(
        grid_plan, "_speed", lambda _, names, *__: (10.0 if "transport" in names else 1.0, 0.0)
    )
    plans = {}
    for name in made:
        planned = made[name].grid.with_name(f"planned-{name}.zarr")
        plans[name] = grid.run(dataclasses.replace(made[name], grid=planned, dry_run=True)).plan
        assert plans[name]["files"] == 3
    seconds = [plans[name]["estimated_seconds"] for name in ("few", "whole")]
    assert seconds[0] / seconds[1] == pytest.approx((1 + 10 * 4 / 7) / 10, rel=1e-3)


@pytest.mark.parametrize("measures", [("seqsim",), ("transport",), ("transport", "dtw")])
def test_reranking_needs_both_measures(made, measures):
    with pytest.raises(Refusal, match=r"--rerank=2 .* name both"):
        dataclasses.replace(made["few"], measures=measures)


def test_rounded_frames_have_no_transport(made):
    with pytest.raises(Refusal, match=r"--implementation=numba_int8 knows no transport"):
        dataclasses.replace(made["few"], implementation="numba_int8")

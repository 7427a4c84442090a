"""Figures of a report on disk: their width, their font, and what lies in their place."""

import itertools

import numpy as np
import pytest

from isogloss.engine.report import report
from isogloss.engine.retrieval import pair_metrics
from small_grids import made_grid


def test_figures_are_as_wide_as_asked_and_their_text_is_text(tmp_path):
    grid = made_grid(
        tmp_path / "grid.zarr", [("en", "en"), ("en", "fr")], ("1", "2", "3"), measures=("seqsim",)
    )
    for pair, state in itertools.product(range(2), range(2)):
        grid.write(pair, state, {"seqsim": np.eye(3, dtype=np.float32)})
    out = tmp_path / "out"
    report.run(report.ReportConfig(grid=grid.path, out=out, figure_width=3.5, figure_font="DejaVu Serif"))
    svg = (out / "curves.svg").read_text()
    assert 'width="252pt"' in svg  # 3.5 inches
    assert 'width="252pt"' in (out / "self_pairs.svg").read_text()
    assert "DejaVu Serif" in svg
    assert ">R@1</text>" in svg
    assert b"DejaVuSerif" in (out / "heatmap_seqsim_clustered.pdf").read_bytes()
    with pytest.raises(ValueError, match="no such font"):
        report.run(report.ReportConfig(grid=grid.path, out=tmp_path / "new", figure_font="Nobody's Sans"))
    assert not (tmp_path / "new").exists(), "refused before anything is computed"


def test_a_folder_where_a_heatmap_goes_is_refused_before_any_score_is_read(tmp_path, monkeypatch):
    grid = made_grid(tmp_path / "grid.zarr", [("en", "fr")], ("1", "2", "3"), measures=("dtw",))
    grid.write(0, 0, {"dtw": np.eye(3, dtype=np.float32)})
    (tmp_path / "out" / "heatmap_dtw_clustered.pdf").mkdir(parents=True)
    monkeypatch.delattr(pair_metrics, "score")
    with pytest.raises(ValueError, match=r"heatmap_dtw_clustered\.pdf: is a folder, and a figure goes there"):
        report.run(report.ReportConfig(grid=grid.path, out=tmp_path / "out"))

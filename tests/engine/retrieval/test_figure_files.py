"""Figures of a report on disk, at a width and in a font."""

import numpy as np
import pytest

from isogloss.engine.retrieval import report
from small_grids import made_grid


def test_figures_are_as_wide_as_asked_and_their_text_is_text(tmp_path):
    grid = made_grid(tmp_path / "grid.zarr", [("en", "fr")], ("1", "2", "3"), measures=("seqsim",))
    for state in range(2):
        grid.write(0, state, {"seqsim": np.eye(3, dtype=np.float32)})
    out = tmp_path / "out"
    report.run(report.ReportConfig(grid=grid.path, out=out, figure_width=3.5, figure_font="DejaVu Serif"))
    svg = (out / "curves.svg").read_text()
    assert 'width="252pt"' in svg  # 3.5 inches
    assert "DejaVu Serif" in svg
    assert ">R@1</text>" in svg
    assert b"DejaVuSerif" in (out / "heatmap_seqsim_clustered.pdf").read_bytes()
    with pytest.raises(ValueError, match="no such font"):
        report.run(report.ReportConfig(grid=grid.path, out=out, figure_font="Nobody's Sans"))

"""Figures of a report on disk: their width, their font, and what lies in their place."""

import itertools
import pathlib

import numpy as np
import pytest

from isogloss.engine.report import report
from isogloss.engine.retrieval import pair_metrics
from isogloss.engine.runtime.refusal import Refusal
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


def small(path, pairs=(("en", "fr"),), measure="dtw"):
    grid = made_grid(path, pairs, ("1", "2", "3"), states=("final",), measures=(measure,))
    for pair in range(len(pairs)):
        grid.write(pair, 0, {measure: np.eye(3, dtype=np.float32)})
    return grid.path


FOUR = tuple(itertools.combinations(("de", "en", "es", "fr"), 2))


@pytest.mark.parametrize(
    ("pairs", "folder"),
    [
        ((("en", "fr"),), "heatmap_dtw_clustered.pdf"),
        ((("en", "fr"),), "curves.png"),
        ((("en", "en"), ("en", "fr")), "self_pairs.svg"),
        (FOUR, "tree.svg"),
    ],
)
def test_a_folder_where_a_figure_goes_is_refused_before_any_score_is_read(
    tmp_path, monkeypatch, pairs, folder
):
    grid = small(tmp_path / "grid.zarr", pairs)
    (tmp_path / "out" / folder).mkdir(parents=True)
    monkeypatch.delattr(pair_metrics, "score")
    with pytest.raises(Refusal, match=rf"{folder}: is a folder, and a figure goes there"):
        report.run(report.ReportConfig(grid=grid, out=tmp_path / "out"))


def test_folders_where_other_reports_have_a_figure_are_left_alone(tmp_path):
    grid = small(tmp_path / "grid.zarr", measure="seqsim")
    for name in ("heatmap_dtw_clustered.pdf", "self_pairs.svg", "tree.svg"):
        (tmp_path / "out" / name).mkdir(parents=True)
    report.run(report.ReportConfig(grid=grid, out=tmp_path / "out"))
    assert len([path for path in (tmp_path / "out").iterdir() if path.suffix == ".svg"]) == 3 + 2


@pytest.mark.parametrize("folder", ["curves.pdf", "b/heatmap_dtw_by_group.png"])
def test_folders_in_the_way_of_several_grids_are_refused_before_the_first_is_scored(
    tmp_path, monkeypatch, folder
):
    grids = [str(small(tmp_path / f"{name}.zarr")) for name in "ab"]
    (tmp_path / "out" / folder).mkdir(parents=True)
    monkeypatch.delattr(pair_metrics, "score")
    with pytest.raises(Refusal, match=rf"{folder}: is a folder, and a figure goes there"):
        report.run(report.ReportConfig(grid=pathlib.Path(",".join(grids)), out=tmp_path / "out"))

"""Figures of where languages lie, drawn from planted distances and read back."""

import dataclasses

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from isogloss.engine.corpora.languages import LANGUAGES
from isogloss.engine.drawing import picture_files
from isogloss.engine.report import map_figures, map_plane
from isogloss.engine.report.language_distances import Distances

CODES = ("de_de", "en_us", "hi_in", "ko_kr", "sv_se")


def distances(codes=CODES, unknown=()):
    """As far apart as on the globe; nothing in common at state 0."""
    known = [LANGUAGES.get(code, LANGUAGES["en_us"]) for code in codes]
    far = map_plane.great_circle(*np.array([(each.longitude, each.latitude) for each in known]).T)
    far /= far.max() * 1.25
    apart = np.ones_like(far) - np.eye(len(codes))
    values = np.stack([apart, far])[None]
    for i, j in unknown:
        values[:, :, [i, j], [j, i]] = np.nan
    return Distances(languages=codes, states=("0", "final"), scorings=("seqsim",), values=values)


def onsets(count, state):
    found = np.full((1, count, count), state)
    found[0][np.eye(count, dtype=bool)] = -1
    return found


def test_the_thickest_isogloss_is_where_neighbours_are_farthest_apart():
    given = distances()
    made = map_figures.figures(given, np.ones((1, 2, 4)), onsets(5, 1))
    assert tuple(made) == map_figures.NAMES
    plane = map_plane.plane([LANGUAGES[code] for code in CODES])
    far = {tuple(sorted((i, j))): given.values[0, 1, i, j] for i, j, _ in plane.borders}
    for name, sign in (("isoglosses", 1), ("beams", -1)):
        widths = {}
        [drawn] = [each for each in made[name].axes[0].collections if isinstance(each, LineCollection)]
        for segment, width in zip(drawn.get_segments(), drawn.get_linewidths(), strict=True):
            middle = segment.mean(0)  # of a border, too, its two languages are the nearest
            near = np.argsort(np.linalg.norm(plane.places - middle, axis=1), kind="stable")[:2]
            widths[tuple(sorted(near.tolist()))] = width
        assert set(widths) <= set(far)
        assert len(widths) > 4
        found, wanted = zip(*((widths[key], sign * far[key]) for key in widths), strict=True)
        assert (np.argsort(found) == np.argsort(wanted)).all()


def test_figures_have_text_and_say_what_they_show(tmp_path):
    for name, figure in map_figures.figures(distances(), np.ones((1, 2, 4)), onsets(5, 2)).items():
        kinds = {path.suffix for path in picture_files.save(figure, tmp_path / name)}
        assert kinds == {".png", ".svg", ".pdf"}
        svg = (tmp_path / f"{name}.svg").read_text("utf-8")
        assert ("Onset of SeqSim" if name == "onsets" else "SeqSim, state final") in svg
        assert all(f">{language}</text>" in svg for language in ("German", "Hindi", "Korean"))
    assert ">none</text>" in (tmp_path / "onsets.svg").read_text("utf-8")
    assert ">100</text>" in (tmp_path / "tree.svg").read_text("utf-8")  # support in percent


@pytest.mark.parametrize(
    ("codes", "unknown", "support", "state", "wanted"),
    [
        (CODES, [(0, 1)], None, 1, {"isoglosses", "beams", "onsets"}),
        (("de_de", "xa", "xb", "xc"), [], np.ones((1, 2, 3)), -1, {"scaling", "tree"}),
    ],
)
def test_what_is_not_known_is_not_drawn(codes, unknown, support, state, wanted):
    made = map_figures.figures(distances(codes, unknown), support, onsets(len(codes), state))
    assert set(made) == wanted
    if unknown:
        [lines] = [each for each in made["beams"].axes[0].collections if isinstance(each, LineCollection)]
        dotted = [dashes is not None for _, dashes in lines.get_linestyles()]
        assert sum(dotted) == 1  # the one that isn't known


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_languages_with_nothing_in_common_or_unknown_have_a_map(tmp_path, value):
    given = dataclasses.replace(distances(), values=np.full((1, 2, 5, 5), value) * (1 - np.eye(5)))
    made = map_figures.figures(given, None, onsets(5, 2))
    for name in ("isoglosses", "beams"):
        assert len(picture_files.save(made[name], tmp_path / name)) == 3

"""Projection and cells of the maps."""

import dataclasses

import numpy as np
import pytest

from isogloss.engine.corpora.languages import LANGUAGES, find
from isogloss.engine.report import map_plane


def area(corners):
    x, y = corners.T
    return abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2


@pytest.mark.parametrize("place", [(0.0, 0.0), (20.0, 50.0), (170.0, -40.0), (-25.0, 69.0)])
def test_projection_keeps_areas(place):
    """A small square of degrees has its true area, R^2 d_lambda d(sin phi)."""
    longitude, latitude = place
    side = 0.01
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * side
    found = area(map_plane.project(longitude + corners[:, 0], latitude + corners[:, 1]))
    sines = np.sin(np.radians([latitude, latitude + side]))
    assert found == pytest.approx(637.1**2 * np.radians(side) * np.diff(sines)[0], rel=1e-4)


def test_cells_of_fleurs_fill_the_frame():
    plane = map_plane.plane(list(LANGUAGES.values()))
    left, top, right, bottom = plane.frame
    assert sum(map(area, plane.cells)) == pytest.approx((right - left) * (bottom - top))
    for corners in plane.cells:
        assert (corners > np.array([left, top]) - 1e-6).all()
        assert (corners < np.array([right, bottom]) + 1e-6).all()


def test_borders_are_where_two_are_nearest():
    plane = map_plane.plane(list(LANGUAGES.values()))
    assert len({frozenset(pair) for *pair, _ in plane.borders}) == len(plane.borders) > 102
    for i, j, ends in plane.borders:
        far = np.linalg.norm(plane.places - ends.mean(0), axis=1)
        assert far[i] == pytest.approx(far[j])
        assert far[i] == pytest.approx(far.min())


def test_languages_of_one_place_and_in_one_line():
    """Cells exist where languages coincide, and where all lie on one line."""
    english = find("en")
    line = [dataclasses.replace(english, longitude=float(degree)) for degree in (0, 5, 5, 10)]
    plane = map_plane.plane(line)
    assert len({tuple(place) for place in plane.places}) == 4
    assert sorted(map(len, plane.cells))[0] >= 3
    assert {frozenset(pair) for *pair, _ in plane.borders} >= {frozenset((1, 2)), frozenset((0, 1))} - {
        frozenset((0, 1))
    }


def test_coastline():
    rings = map_plane.coastline()
    assert len(rings) == 110
    paris = map_plane.project(np.array(2.3), np.array(48.9))
    eurasia = rings[0]
    assert (eurasia.min(0) < paris).all()
    assert (eurasia.max(0) > paris).all()
    # Land within the rings is 29% of the globe, less Antarctica (2.7%).
    assert sum(map(area, rings)) / (4 * np.pi * 637.1**2) == pytest.approx(0.264, abs=0.01)


def test_great_circle():
    london, paris, antipode = (-0.1, 51.5), (2.35, 48.85), (179.9, -51.5)
    far = map_plane.great_circle(*np.array([london, paris, antipode]).T)
    assert far[0, 1] == pytest.approx(0.343, abs=0.003)
    assert far[0, 2] == pytest.approx(np.pi * 6.371)
    assert (far == far.T).all()

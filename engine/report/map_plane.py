"""The plane of the maps: the projection of places, and the Voronoi cells of languages.

The projection is Equal Earth (Savric, Patterson and Jenny 2018), equal in area, with the central meridian of
Greenwich; a unit is 10 km at the equator. Cells are those of the plane, not of the sphere, clipped at the
frame of the map. Coordinates run right and down, as on a screen.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.spatial import Voronoi

from isogloss.engine.corpora.languages import Language

_A = (1.340264, -0.081106, 0.000893, 0.003796)
_RADIUS = 637.1
FEWEST = 4
"""Languages from which on there are maps; of fewer they say nothing."""
_APART = 0.5  # degrees between languages of one place
_MARGIN, _LEAST = 0.1, 60.0  # of the frame around the outermost places: share of the width, units
_SHAPE = 1.5, 2.4  # narrowest and widest frame, width over height


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plane:
    """Cells of languages on the plane.

    Attributes:
      places: of the languages.
      frame: left, top, right, bottom.
      cells: corners of each language's cell, in order.
      borders: indices of two neighbours, and the ends of the border between them.
    """

    places: Float[np.ndarray, "L 2"]
    frame: tuple[float, float, float, float]
    cells: list[Float[np.ndarray, "_ 2"]]
    borders: list[tuple[int, int, Float[np.ndarray, "2 2"]]]


def project(
    longitude: Float[np.ndarray, "*K"], latitude: Float[np.ndarray, "*K"]
) -> Float[np.ndarray, "*K 2"]:
    """Coordinates on the plane of places in degrees."""
    root = np.sqrt(3) / 2
    theta = np.arcsin(root * np.sin(np.radians(latitude)))
    square, sixth = theta**2, theta**6
    slope = _A[0] + 3 * _A[1] * square + sixth * (7 * _A[2] + 9 * _A[3] * square)
    x = np.radians(longitude) * np.cos(theta) / (root * slope)
    y = theta * (_A[0] + _A[1] * square + sixth * (_A[2] + _A[3] * square))
    return _RADIUS * np.stack([x, -y], axis=-1)


def coastline() -> list[Float[np.ndarray, "_ 2"]]:
    """Outlines of land: Natural Earth 4.1 at 1:110 million (public domain), in tenths of a degree.

    Land south of 58 degrees south and the smallest islands are left out.
    """
    rings = []
    for line in pathlib.Path(__file__).with_name("land.txt").read_text().splitlines():
        ring = np.array([corner.split(",") for corner in line.split()], float) / 10
        rings.append(project(ring[:, 0], ring[:, 1]))
    return rings


def degrees(languages: Sequence[Language]) -> Float[np.ndarray, "L 2"]:
    """Longitude and latitude of languages; those of one place stand on a small circle around it."""
    places = [(language.longitude, language.latitude) for language in languages]
    found = np.array(places, float).reshape(-1, 2)
    for place in {place for place in places if places.count(place) > 1}:
        same = [i for i, other in enumerate(places) if other == place]
        turn = 2 * np.pi * np.arange(len(same)) / len(same)
        found[same] += _APART * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    return found


def plane(languages: Sequence[Language]) -> Plane:
    """Cells of at least two languages."""
    longitude, latitude = degrees(languages).T
    places = project(longitude, latitude)
    frame = _frame(places)
    left, top, right, bottom = frame
    # Mirror images across the sides of the frame clip the cells: each side is the border to an image.
    x, y = places.T
    images = [(2 * left - x, y), (2 * right - x, y), (x, 2 * top - y), (x, 2 * bottom - y)]
    diagram = Voronoi(np.concatenate([places, *(np.stack(image, axis=-1) for image in images)]))
    cells = []
    for i, place in enumerate(places):
        corners = diagram.vertices[diagram.regions[diagram.point_region[i]]]
        turn = np.arctan2(*(corners - place).T[::-1])
        cells.append(corners[np.argsort(turn)])
    borders = [
        (int(i), int(j), diagram.vertices[ends])
        for (i, j), ends in zip(diagram.ridge_points, diagram.ridge_vertices, strict=True)
        if max(i, j) < len(places)
    ]
    return Plane(places=places, frame=frame, cells=cells, borders=borders)


def _frame(places: Float[np.ndarray, "L 2"]) -> tuple[float, float, float, float]:
    """Frame around the places with a margin, neither too narrow nor too flat."""
    low, high = places.min(0), places.max(0)
    margin = max(_MARGIN * float((high - low).max()), _LEAST)
    width, height = high - low + 2 * margin
    width, height = max(width, _SHAPE[0] * height), max(height, width / _SHAPE[1])
    x, y = (low + high) / 2
    return float(x - width / 2), float(y - height / 2), float(x + width / 2), float(y + height / 2)


def great_circle(
    longitude: Float[np.ndarray, " L"], latitude: Float[np.ndarray, " L"]
) -> Float[np.ndarray, "L L"]:
    """Distances on a sphere of 6,371 km, in 1,000 km (haversine formula)."""
    x, y = np.radians(longitude), np.radians(latitude)
    dx, dy = x - x[:, None], y - y[:, None]
    square = np.sin(dy / 2) ** 2 + np.cos(y) * np.cos(y[:, None]) * np.sin(dx / 2) ** 2
    return 2 * 6.371 * np.arcsin(np.sqrt(np.minimum(square, 1)))

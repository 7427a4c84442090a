"""Statistics against numbers that others published for R, with their data in the folder `published`.

- eurodist.tsv: road distances between 21 cities of Europe in km (The Cambridge Encyclopaedia, in R's
  `datasets`), and in the last two columns R's `cmdscale(eurodist)`, as smile's test MDSTest.java has them.
- varespec.tsv, varechem.tsv: cover of 44 species and 14 properties of the soil on 24 plots (Väre, Ohtonen and
  Oksanen 1995), from R's package vegan. Its manual (page `mantel`) prints r = 0.3047 and a significance of
  0.001 with 999 permutations.
"""

import pathlib

import numpy as np
import pytest
from scipy.spatial import distance

from isogloss.engine.report import associations, language_distances
from isogloss.engine.similarity import representations


def read(name):
    return np.loadtxt(pathlib.Path(__file__).parent / "published" / f"{name}.tsv", delimiter="\t")


def test_scaling_of_european_cities_is_that_of_cmdscale():
    table = read("eurodist")
    far, expected = table[:, :-2], table[:, -2:]
    found, shares = language_distances.scaled(far)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=0.01)
    assert (np.sign(found) == np.sign(found[0]) * np.sign(expected[0]) * np.sign(expected)).all()
    assert np.isclose(shares[0] / shares[1], 1.95383770895e7 / 1.1856555334e7)


@pytest.fixture(scope="module")
def plots():
    """Distances between plots by species (Bray and Curtis) and by soil (Euclid, scaled)."""
    soil = read("varechem")
    scaled = (soil - soil.mean(0)) / soil.std(0, ddof=1)
    sides = distance.pdist(read("varespec"), "braycurtis"), distance.pdist(scaled)
    return [distance.squareform(side) for side in sides]


def test_mantel_of_lichen_pastures_is_that_of_vegan(plots):
    r, p = representations.mantel(*plots)
    assert (round(r, 4), round(p, 3)) == (0.3047, 0.001)
    [found] = associations.associations(plots[0][None], {"soil": plots[1]})
    assert round(float(found.correlation[0]), 4) == 0.3047
    assert found.p[0] < 0.002

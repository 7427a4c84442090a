"""HTML page of the maps of languages, see `page`: one file, no network.

The page has distances of all scorings and states, in steps of 1/10,000, and what is computed here rather than
in the browser: cells, coastline, scaling, trees. 102 languages, 34 states and 10 scorings make
about 5 MB.
"""

import html
import pathlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from isogloss.engine.corpora import languages
from isogloss.engine.corpora.languages import Language
from isogloss.engine.drawing import page, style
from isogloss.engine.report import associations, language_distances, language_order, map_plane
from isogloss.engine.report.language_distances import Distances
from isogloss.engine.retrieval.report_terms import TERMS
from isogloss.engine.retrieval.scorings import scoring
from isogloss.engine.runtime.json_values import Json

STEPS, UNKNOWN = 10_000, 65535

_FOLDER = pathlib.Path(__file__).parent
_SCRIPTS = tuple(_FOLDER / f"maps_page{part}.js" for part in ("", "_map", "_plots", "_files", "_view"))
_LEAD = (
    "Two languages are near at a state of the encoder if a spoken sentence of one finds its translation in "
    "the other. <b>Distance</b> is 1 &minus; R@1, the mean of both directions. An isogloss is a border "
    "between two ways of speaking: here it is as thick as the languages on its sides are far apart.",
    '<a href="report.html">The report</a> has the figures behind these maps.',
)
_TERMS = {
    name: TERMS[name] for name in ("R@1", "asks", "answers", "State", "final", "Duration alone", "Onset")
}
_TERMS["q"] = "False discovery rate over all associations of the same test."
_METHOD = (
    "Distance: 1 - R@1, the mean of both directions. Places are those of the languages, not of the speakers, "
    "by Glottolog 4.0 (Hammarström, Forkel and Haspelmath 2019, CC BY 4.0); coastline: Natural Earth 4.1 "
    "(public domain). Projection: Equal Earth, equal in area. Cells: Voronoi cells on that plane, clipped at "
    "the frame; neighbours are languages whose cells share a border there. Scaling: classical (Torgerson "
    "1952), turned to lie like that of the best state; shares of variance are of the positive eigenvalues. "
    f"Tree: average linkage, support of {language_distances.RESAMPLES} resamples of the sentences. "
    f"Associations: p of {associations.PERMUTATIONS:,} permutations of language labels; "
    "Mantel takes one predictor alone, MRQAP (double semi-partialing) beside all others. A partial Mantel "
    "test isn't offered: it finds too much where both sides are correlated in space."
)


def render(
    distances: Distances,
    *,
    name: str,
    model: str,
    colophon: str,
    support: Float[np.ndarray, "V S K"] | None,
    onsets: Int[np.ndarray, "V L L"],
    tests: pa.Table | None,
    no_tests: str,
) -> str:
    """HTML of the whole page.

    Args:
      distances: between languages.
      name: name of the grid.
      model: name of the model, or "".
      colophon: markup of what the page is made from.
      support: of the clades of the trees, None if some distance is unknown.
      onsets: states by scoring, asking and answering language, as of the report; -1 where unknown.
      tests: table of the association tests.
      no_tests: the reason if there is none.
    """
    found = [languages.find(code) for code in distances.languages]
    heading = f"Where {len(found)} languages lie" + (f" in {model}" if model else "")
    body = page.filled(
        _FOLDER / "maps_page.html",
        head=page.head(heading, _LEAD, alerts=_alerts(distances, found), terms=_TERMS),
        no_tests=html.escape(no_tests),
        method=html.escape(_METHOD),
        colophon=colophon,
    )
    plane, land = _plane([language for language in found if language])
    meta = _meta(distances, found) | {"grid": name, "plane": plane}
    meta |= {"onset": bool((onsets >= 0).any()), "tests": _tests(distances, tests)}
    return page.render(
        body,
        title=f"{heading} · {name}",
        styles=[_FOLDER / "maps_page.css"],
        scripts=(*page.TO_WORK_IN, *_SCRIPTS),
        meta=meta,
        blocks=_blocks(distances, support, onsets) | {"block-land": land.encode()},
        needs="maps",
    )


def _blocks(
    distances: Distances, support: Float[np.ndarray, "V S K"] | None, onsets: Int[np.ndarray, "V L L"]
) -> dict[str, bytes]:
    """Numbers of the page by the name of their block."""
    blocks = {
        "distances": _distances(distances),
        "onsets": np.where(onsets < 0, UNKNOWN, onsets).astype("<u2").tobytes(),
        **_whole(distances, support),
    }
    return {f"block-{key}": value for key, value in blocks.items()}


def _meta(distances: Distances, found: Sequence[Language | None]) -> dict[str, Json]:
    """Data that the scripts need to read the block of distances."""
    return {
        "languages": _languages(distances, found),
        "placed": [i for i, language in enumerate(found) if language],
        "states": list(distances.states),
        "scorings": [{"key": key, "label": scoring(key).label} for key in distances.scorings],
        "leading": distances.leading,
        "best": [distances.best_state(v) for v in range(len(distances.scorings))],
        "whole": distances.whole,
        "steps": STEPS,
        "unknown": UNKNOWN,
        "palette": style.SEQUENTIAL,
    }


def _alerts(distances: Distances, found: Sequence[Language | None]) -> list[str]:
    alerts = []
    if not distances.whole:
        alerts.append(
            "Not every pair of languages is known at every state: what needs all distances (scaling, tree) "
            "is left out, and unknown borders are dashed."
        )
    lost = [code for code, language in zip(distances.languages, found, strict=True) if not language]
    placed = len(found) - len(lost)
    if lost:
        alerts.append(f"Not on the map, because FLEURS doesn't have them: {', '.join(lost)}.")
    if placed < map_plane.FEWEST:
        alerts.append(f"No map: {placed} languages have a place, it needs {map_plane.FEWEST}.")
    return alerts


def _languages(distances: Distances, found: Sequence[Language | None]) -> list[Json]:
    names = language_order.names(distances.languages)
    return [
        {
            "code": code,
            "name": name,
            "group": language.group if language else languages.OTHER_GROUP,
            "family": language.family if language else "",
            "branch": language.branch if language else "",
            "whisper": bool(language and language.whisper),
        }
        for code, name, language in zip(distances.languages, names, found, strict=True)
    ]


def _plane(placed: Sequence[Language]) -> tuple[Json, str]:
    """Cells, borders and frame for the script, and the paths of the land inside the frame.

    There is no map of fewer languages than `map_plane.FEWEST`.
    """
    if len(placed) < map_plane.FEWEST:
        return None, ""
    plane = map_plane.plane(placed)
    left, top, right, bottom = plane.frame
    paths = []
    for ring in map_plane.coastline():
        (x0, y0), (x1, y1) = ring.min(0), ring.max(0)
        if x0 < right and x1 > left and y0 < bottom and y1 > top:
            paths.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in ring) + "Z")
    shown: Json = {
        "frame": _rounded(np.array(plane.frame)),
        "places": _rounded(plane.places),
        "cells": [_rounded(cell) for cell in plane.cells],
        "borders": [[i, j, *_rounded(ends.ravel())] for i, j, ends in plane.borders],
    }
    return shown, "".join(paths)


def _rounded(values: Float[np.ndarray, "*K"]) -> list:
    return np.round(values, 2).tolist()


def _distances(distances: Distances) -> bytes:
    """uint16 little-endian (scoring, state, pair), pairs i < j."""
    i, j = np.triu_indices(len(distances.languages), 1)
    values = distances.values[..., i, j]
    # 16 bits a distance: steps of 1/10,000 are finer than R@1 of some hundred sentences.
    steps = np.where(np.isnan(values), UNKNOWN, np.rint(np.nan_to_num(values) * STEPS))
    return steps.astype("<u2").tobytes()


def _whole(distances: Distances, support: Float[np.ndarray, "V S K"] | None) -> dict[str, bytes]:
    """Results of all distances: scaling and its variance, trees and their support; float32 little-endian."""
    if support is None:
        return {}
    shape = distances.values.shape[:3]
    places, variance = np.empty((*shape, 2), "<f4"), np.empty((*shape[:2], 2), "<f4")
    trees = np.empty((*shape[:2], shape[2] - 1, 3), "<f4")
    for v in range(shape[0]):
        best = distances.best_state(v)
        # A scaling may come out mirrored or turned; towards one state, neighbouring states move little.
        towards, _ = language_distances.scaled(distances.values[v, best])
        for s in range(shape[1]):
            found, variance[v, s] = language_distances.scaled(distances.values[v, s])
            places[v, s] = language_distances.turned(found, towards)
            trees[v, s] = language_distances.linkage(distances.values[v, s])[:, :3]
    return {
        "scaling": places.tobytes(),
        "variance": variance.tobytes(),
        "trees": trees.tobytes(),
        "support": support.astype("<f4").tobytes(),
    }


def _tests(distances: Distances, tests: pa.Table | None) -> list[list[list[list]]] | None:
    """Rows of the table of tests by scoring and state: test, predictor, coefficient, correlation, p, q."""
    if tests is None:
        return None
    by_cell: list[list[list[list]]] = [[[] for _ in distances.states] for _ in distances.scorings]
    for row in tests.to_pylist():
        key = scoring(row["measure"])._replace(correction=row["correction"]).name
        cell = by_cell[distances.scorings.index(key)][distances.states.index(row["state"])]
        numbers = (row[name] for name in ("coefficient", "correlation", "p", "q"))
        cell.append([row["test"], row["predictor"], *(_number(value) for value in numbers)])
    return by_cell


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:.4g}")

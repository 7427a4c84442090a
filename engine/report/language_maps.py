"""Maps of languages: the page, the figures, the association tests and the Nexus file of a report.

Written beside the report's tables from the same figures. With few languages a map says nothing, so there is
no page of maps of fewer languages than `map_plane.FEWEST`, and there are no tests of fewer than
`associations.FEWEST`; a sentence says so.
"""

import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from isogloss.engine.corpora import languages
from isogloss.engine.corpora.languages import Language
from isogloss.engine.drawing import colophon, picture_files
from isogloss.engine.grid.grid_store import Grid
from isogloss.engine.report import (
    associations,
    given_distances,
    language_distances,
    language_order,
    map_figures,
    map_plane,
    maps_page,
)
from isogloss.engine.report.language_distances import Distances
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.retrieval import contrasts, metrics, table as retrieval_table
from isogloss.engine.retrieval.pair_metrics import Scored
from isogloss.engine.retrieval.scorings import scoring
from isogloss.engine.runtime import atomic_write, version

_NAMES = ("maps.html", "distances.nex", "associations.parquet", "associations.csv")
_LOG = logging.getLogger(__name__)


def given(config: ReportConfig, grid: Grid) -> dict[str, Float[np.ndarray, "L L"]]:
    """Distances of --distances between the languages that are tested; Refusal if the file lacks some."""
    if config.distances is None:
        return {}
    codes = dict.fromkeys(code for pair in grid.pairs for code in pair)
    tested = [code for code in codes if languages.find(code)]
    return given_distances.read(config.distances, tested)


def figures(grid: Grid) -> tuple[str, ...]:
    """Names of the figures that `write` may draw of a grid."""
    codes = {code for pair in grid.only(self_pairs=False).pairs for code in pair}
    return map_figures.NAMES if len(codes) >= map_plane.FEWEST else ()


def write(
    config: ReportConfig,
    grid: Grid,
    results: metrics.Results,
    best_states: pa.Table,
    scored: Callable[[int], Scored],
    name: str,
) -> str:
    """Sentence that says what was written, after writing it; files of an earlier report are removed.

    Args:
      config: options of the report.
      grid: its grid.
      results: all figures.
      best_states: table with the onsets.
      scored: figures of a pair by its index.
      name: name of the grid.
    """
    distances = language_distances.between_languages(results)
    retrieval_table.write_table(languages_table(distances.languages), config.out, "languages")
    _remove(config.out)
    tests, no_tests = _associations(config, grid, results, distances)
    if tests is not None:
        retrieval_table.write_table(tests, config.out, "associations")
    if (here := len(distances.languages)) < map_plane.FEWEST:
        return f"No maps: they say something of {map_plane.FEWEST} languages or more, here are {here}."
    _write_nexus(config.out, distances)
    support = _support(distances, results, scored, grid)
    onsets = _onsets(distances, best_states)
    _draw(config.out, distances, support, onsets)
    html = maps_page.render(
        distances,
        name=name,
        model=str(grid.attributes.get("model", "")),
        colophon=colophon.of_grid(grid.attributes, name, version.today()),
        support=support,
        onsets=onsets,
        tests=tests,
        no_tests=no_tests,
    )
    page = config.out / "maps.html"
    atomic_write.write_whole(page, lambda file: file.write_text(html, "utf-8"))
    _LOG.info("maps: %s%s", page, f"; {no_tests}" if no_tests else "")
    return f"maps.html shows where these {len(distances.languages)} languages lie."


def _remove(out: pathlib.Path) -> None:
    """Remove what an earlier report wrote; a folder in the place of a figure is the user's."""
    for name in _NAMES:
        (out / name).unlink(missing_ok=True)
    for name in map_figures.NAMES:
        picture_files.remove(picture_files.files(out / name))


def _support(
    distances: Distances, results: metrics.Results, scored: Callable[[int], Scored], grid: Grid
) -> Float[np.ndarray, "V S K"] | None:
    """Support of each scoring's tree; None where a distance is unknown."""
    return (
        language_distances.support(distances, results, scored, len(grid.sentences))
        if distances.whole
        else None
    )


def _draw(
    out: pathlib.Path,
    distances: Distances,
    support: Float[np.ndarray, "V S K"] | None,
    onsets: Int[np.ndarray, "V L L"],
) -> None:
    """Write the figures as PNG, SVG and PDF."""
    for name, figure in map_figures.figures(distances, support, onsets).items():
        picture_files.save(figure, out / name)


def languages_table(codes: Sequence[str]) -> pa.Table:
    """Table of the languages of a grid; empty fields for a language that FLEURS lacks."""
    found = [languages.find(code) for code in codes]
    kept = ("group", "iso639_3", "glottocode", "family", "branch", "script")
    columns = {"language": list(codes), "name": language_order.names(codes)}
    columns |= {name: [getattr(language, name) if language else "" for language in found] for name in kept}
    numbers = {
        name: pa.array(
            [np.nan if language is None else getattr(language, name) for language in found], pa.float64()
        )
        for name in ("latitude", "longitude")
    }
    hours = [language.whisper_hours if language else None for language in found]
    known = pa.array([bool(language and language.whisper) for language in found], pa.bool_())
    text = {name: pa.array(column, pa.string()) for name, column in columns.items()}
    trained = {"whisper_token": known, "whisper_hours": pa.array(hours, pa.float64())}
    return pa.table(text | numbers | trained)


def _write_nexus(out: pathlib.Path, distances: Distances) -> None:
    """Write the distances of the leading scoring at its best state, if all are known."""
    # A tree or a network of some of the distances would look like one of all.
    if not distances.whole:
        return
    leading, state = distances.leading, distances.best_state(distances.leading)
    what = f"{distances.scorings[leading]}, state {distances.states[state]}"
    comment = f"1 - R@1 of {what}, mean of both directions"
    names = language_order.names(distances.languages)
    text = language_distances.nexus(names, distances.values[leading, state], comment)
    atomic_write.write_whole(out / "distances.nex", lambda file: file.write_text(text, "utf-8"))


def _onsets(distances: Distances, best_states: pa.Table) -> Int[np.ndarray, "V L L"]:
    """Index of the onset by scoring, asking and answering language; S for none, -1 where there is no test."""
    # "none" comes after the last state, so that onsets sort by depth.
    states = {state: s for s, state in enumerate((*distances.states, "none"))}
    scorings = {name: v for v, name in enumerate(distances.scorings)}
    place = {code: i for i, code in enumerate(distances.languages)}
    # Not 0, which is a state: the page tells an untested pair from one that starts at once.
    onsets = np.full((len(scorings), len(place), len(place)), -1)
    names = ("measure", "correction", "direction", "onset", "language_a", "language_b")
    for measure, correction, direction, onset, a, b in zip(
        *(best_states.column(name).to_pylist() for name in names), strict=True
    ):
        v = scorings.get(scoring(measure)._replace(correction=correction).name)
        # Self pairs have no border on a map, and scorings without a distance no colour.
        if v is None or onset is None or a == b:
            continue
        asks, answers = (a, b) if direction == f"{a}->{b}" else (b, a)
        onsets[v, place[asks], place[answers]] = states[onset]
    return onsets


def _associations(
    config: ReportConfig, grid: Grid, results: metrics.Results, distances: Distances
) -> tuple[pa.Table | None, str]:
    """Table of the association tests, or None and the reason."""
    found = {code: languages.find(code) for code in distances.languages}
    tested = {code: language for code, language in found.items() if language}
    if len(tested) < associations.FEWEST:
        needed = f"{associations.FEWEST} languages of FLEURS"
        return None, f"No association tests: they need {needed}, here are {len(tested)}."
    chosen = [i for i, language in enumerate(found.values()) if language]
    # Languages that FLEURS lacks have neither family nor place, so they can't be tested.
    near = 1 - distances.values[..., chosen, :][..., chosen]
    if np.isnan(near).any():
        return None, "No association tests: they need every pair of languages at every state."
    queries = np.zeros((len(found), len(found)))
    for pair, i, j in language_distances.of_two(results):
        # Both directions together, as a distance is their mean.
        queries[i, j] = queries[j, i] = 2 * results.n[pair]
    queries = queries[chosen][:, chosen] + np.eye(len(chosen))  # the diagonal isn't used
    # A share near 0 or 1 can't move as far as one in the middle: logits of the counts even that out.
    logits = associations.logit(near * queries, np.broadcast_to(queries, near.shape))
    responses = logits.reshape(-1, *queries.shape)
    predictors = _predictors(list(tested.values()))
    lengths = _length_differences(grid, results, len(found))
    if lengths is not None:
        predictors["length"] = lengths[chosen][:, chosen]
    tests = associations.associations(responses, predictors | given(config, grid))
    table = tests_table(tests, distances, len(tested), config.fdr)
    return table.replace_schema_metadata({"fdr": config.fdr}), ""


def _predictors(tested: Sequence[Language]) -> dict[str, Float[np.ndarray, "L L"]]:
    """Kinship, and distance on the globe in 1,000 km."""
    longitude, latitude = map_plane.degrees(tested).T

    def same(name: str) -> Float[np.ndarray, "L L"]:
        values = np.array([getattr(language, name) for language in tested])
        return (values[:, None] == values).astype(float)

    return {
        "same_family": same("family"),
        "same_branch": same("branch"),
        "distance": map_plane.great_circle(longitude, latitude),
    }


def _length_differences(grid: Grid, results: metrics.Results, size: int) -> Float[np.ndarray, "L L"] | None:
    """Mean difference in frames between utterances of a sentence; None if the grid has no frame counts."""
    if not grid.has_frames:
        return None
    far = np.zeros((size, size))
    for pair, i, j in language_distances.of_two(results):
        frames = grid.frames(pair)
        # A sentence that one language lacks has 0 frames there, which isn't a length.
        common = np.minimum(*frames) > 0
        far[i, j] = far[j, i] = np.abs(frames[0] - frames[1])[common].mean() if common.any() else np.nan
    return far


def tests_table(
    tests: Sequence[associations.Association], distances: Distances, tested: int, fdr: str
) -> pa.Table:
    """Table of one row per test, predictor, scoring and state; q is computed over the rows of one test."""
    v, s = (axis.ravel() for axis in np.indices((len(distances.scorings), len(distances.states))))
    size = len(v)
    p = np.concatenate([each.p for each in tests])
    kind = np.repeat([each.test for each in tests], size)
    columns: Mapping[str, pa.Array] = {
        "test": pa.array(kind.tolist(), pa.string()),
        "predictor": pa.array(np.repeat([each.predictor for each in tests], size).tolist(), pa.string()),
        **retrieval_table.scoring_columns(distances.scorings, np.tile(v, len(tests))),
        "state": retrieval_table.labels(distances.states, np.tile(s, len(tests))),
        "languages": pa.array(np.full(len(p), tested), pa.int32()),
        "coefficient": pa.array(np.concatenate([each.coefficient for each in tests]), pa.float64()),
        "correlation": pa.array(np.concatenate([each.correlation for each in tests]), pa.float64()),
        "p": pa.array(p, pa.float64()),
        "q": pa.array(contrasts.false_discovery(p, fdr, kind), pa.float64()),
    }
    return pa.table(columns)

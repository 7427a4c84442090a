"""The pages of docs/ against the code: every option, every table's columns, every array of a store."""

import itertools
import pathlib
import re
import runpy

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr

from isogloss.engine.alignment import word_tables
from isogloss.engine.control import tables as control_tables
from isogloss.engine.grid import grid_axes, grid_store
from isogloss.engine.grid.measures import MEASURES
from isogloss.engine.interpretation import match_tests, report as interpret_report, tables
from isogloss.engine.lexicon import tables as lexicon_tables
from isogloss.engine.linear_maps import tables as linear_maps_tables
from isogloss.engine.report import (
    associations,
    grid_differences,
    language_distances,
    language_maps,
    report_columns,
    report_tables,
)
from isogloss.engine.retrieval import contrasts, metrics, pair_metrics, table as retrieval_table
from isogloss.engine.runtime import data_dictionary, zarr_group
from isogloss.engine.similarity import neurons, similarity
from isogloss.engine.training import tuned_model
from isogloss.engine.transcription import model_scores, summary, transcript_table
from isogloss.jobs import __main__ as command

DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGES = runpy.run_path(str(DOCS / "options.py"))["pages"]()


def section(job, title):
    """Rows of the table under a heading: names in its first column, and the second column."""
    text = (DOCS / f"{job}.md").read_text().split(f"\n### `{title}`\n")[1].split("\n##")[0]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return [(name, row[1]) for row in rows for name in re.findall("`(.+?)`", row[0])]


def columns(schema):
    lists = {field.name: field.type for field in schema if pa.types.is_list(field.type)}
    return [
        (field.name, f"list of {lists[field.name].value_type}" if field.name in lists else str(field.type))
        for field in schema
    ]


def report_schemas():
    """Schemas of the report's tables, made of one pair with one sentence."""
    grid = grid_store.Grid(
        group=zarr_group.Group(path=pathlib.Path("grid.zarr"), metadata={}),
        axes=grid_axes.GridAxes(
            pairs=(("aa", "bb"),), states=("0",), sentences=("1",), recordings={}, common=(1,)
        ),
        measures=("seqsim",),
    )
    statistics = pair_metrics.Statistics(corrections=())
    figures = {
        "values": np.zeros((1, 1, 2, len(metrics.ALL_FIGURES))),
        "computed": np.ones((1, 1), bool),
        "sentences": np.zeros(1, np.int32),
        "ranks": np.ones((1, 1, 2, 1), np.uint16),
        "hubs": np.zeros((1, 1, 2, 3, 2), np.int32),
        "halves": np.zeros((1, 1, 2, 5, 3)),
    }
    compared, values = contrasts.within_pair(figures["ranks"] == 1, statistics.scorings(grid))
    scored = pair_metrics.Scored(**figures, compared=compared, contrasts=values)
    tables = report_tables.collect(grid, statistics, lambda pair: scored, "bh").tables
    tables["languages"] = language_maps.languages_table(["en"])
    zero = np.zeros(1)
    test = associations.Association(
        test="mantel", predictor="distance", coefficient=zero, correlation=zero, p=zero
    )
    distances = language_distances.Distances(
        languages=("en",), states=("0",), scorings=("seqsim",), values=np.zeros((1, 1, 1, 1))
    )
    tables["associations"] = language_maps.tests_table([test], distances, 1, "bh")
    schemas = {name: retrieval_table.plain_schema(made) for name, made in tables.items()}
    return [("report", f"{name}.parquet", schema) for name, schema in schemas.items()]


def checked():
    keys = {"language_a": "aa", "language_b": "bb", "state": "1", "utterance_a": "u", "utterance_b": "v"}
    words = [
        keys | {"word_index_a": i, "word_index_b": j, "word_a": "x", "word_b": "y", "mutual": i == j}
        for i, j in itertools.product(range(2), repeat=2)
    ]
    pairs = pd.DataFrame(words).assign(transported=False)
    return match_tests.check(pairs, encoder=None, voices=None, seed=0)


def frame_schema(frame):
    # pandas 2 and 3 write text as different types of Arrow
    schema = pa.Schema.from_pandas(frame, preserve_index=False)
    return [(name, kind.removeprefix("large_")) for name, kind in columns(schema)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_have_what_the_code_has(path):
    assert path.is_file(), "run `make docs`"
    assert path.read_text() == PAGES[path], "run `make docs`"
    assert "| `--dry_run` |" in PAGES[path] or path.stem == "index"


def test_every_page_is_of_a_job():
    assert {path.stem for path in DOCS.glob("*.md")} == {"index", *command.jobs()}


def test_links_lead_somewhere():
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (DOCS / target).exists(), (page, target)


@pytest.mark.parametrize(
    ("job", "title", "schema"),
    [
        *report_schemas(),
        ("report", "grid_contrasts.parquet", grid_differences.SCHEMA),
        ("report", "grid_means.parquet", grid_differences.MEAN_SCHEMA),
        ("similarity", "similarity.parquet", similarity.SCHEMA),
        ("linear_maps", "linear_maps.parquet", linear_maps_tables.SCHEMA),
        ("neurons", "neurons.parquet", neurons.SCHEMA),
        ("transcribe", "transcripts.parquet", transcript_table.SCHEMA),
        ("transcribe", "summary.parquet", summary.SCHEMA),
        ("tune", "steps.parquet", tuned_model.STEPS),
        ("scores", "scores.parquet", model_scores.SCHEMA),
        ("align", "words.parquet", word_tables.WORDS),
        ("align", "utterances.parquet", word_tables.UTTERANCES),
        ("interpret", "word_pairs.parquet", tables.WORD_PAIRS),
        ("interpret", "sentence_pairs.parquet", tables.SENTENCE_PAIRS),
        ("interpret", "word_types.parquet", tables.WORD_TYPES),
        *(("control", f"{name}.parquet", schema) for name, schema in control_tables.SCHEMAS.items()),
        *(("lexicon", f"{name}.parquet", schema) for name, schema in lexicon_tables.SCHEMAS.items()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_columns_are_those_of_the_schema(job, title, schema):
    assert section(job, title) == columns(schema)


def test_columns_that_checks_add():
    added = [field for field in interpret_report.MATCHES if field not in list(tables.WORD_PAIRS)]
    assert section("interpret", "matches.parquet") == columns(added)
    found = checked()
    assert section("interpret", "checks.parquet") == frame_schema(found.tests)
    assert section("interpret", "planes.parquet") == frame_schema(found.plane)


def test_arrays_are_those_of_a_store_and_of_a_grid(spoken):
    store = xr.open_zarr(spoken / "store" / "aa.zarr")
    found = {name: ", ".join(array.dims) for name, array in store.variables.items()}
    assert dict(section("extract", "STORE/LANGUAGE.zarr")) == found
    grid = xr.open_zarr(spoken / "grid.zarr")
    found = {name: ", ".join(array.dims) for name, array in grid.variables.items()}
    every = dict.fromkeys(MEASURES, "pair, state, query, candidate")
    assert dict(section("grid", "GRID.zarr")) == every | found


@pytest.mark.parametrize("room", ["control", "lexicon", "linear_maps", "similarity", "interpretation"])
def test_every_column_has_a_meaning(room):
    source = DOCS.parent / "engine" / room / data_dictionary.NAME
    for (table, column), each in data_dictionary.columns(source).items():
        assert each.type, (table, column)
        assert each.meaning.endswith((".", ")")), (table, column)
        assert f"<!-- columns_{table} -->" in "".join(PAGES.values())


def test_the_data_dictionary_says_what_the_page_says():
    text = (DOCS / "report.md").read_text()
    told = {
        (title, column): meaning
        for title, body in re.findall(r"\n### `([a-z_]+)\.parquet`\n(.*?)(?=\n##)", text, re.DOTALL)
        for column, meaning in re.findall(r"^\| `(\w+)` \| \S+ \| (.*) \|$", body, re.MULTILINE)
    }
    assert told == dict(report_columns.meanings())
    assert all(told.values())

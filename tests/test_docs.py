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
from isogloss.engine.interpretation import match_tests, report as interpret_report, tables
from isogloss.engine.retrieval import metrics, table as retrieval_table
from isogloss.engine.retrieval.measures import MEASURES
from isogloss.engine.transcription import summary, transcript_table
from isogloss.jobs import __main__ as command

DOCS = pathlib.Path(__file__).parents[1] / "docs"
JOBS = sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")


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


def retrieval_schema():
    results = metrics.Results(
        pairs=(("aa", "bb"),),
        states=("0",),
        measures=("seqsim",),
        n=np.array([1], np.int32),
        computed=np.ones((1, 1, 1), bool),
        values=np.zeros((1, 1, 1, 2, len(metrics.FIGURES))),
    )
    return retrieval_table.tabulate(results).schema


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


@pytest.mark.parametrize("job", JOBS)
def test_options_are_those_of_the_configuration(job):
    generate = runpy.run_path(str(DOCS / "options.py"))
    path = DOCS / f"{job}.md"
    assert "| `--dry_run` |" in path.read_text()
    assert generate["page"](path) == path.read_text(), "run `make docs`"


def test_every_job_has_a_page_that_the_index_names():
    assert sorted(command.jobs()) == JOBS
    index = (DOCS / "index.md").read_text()
    assert sorted(re.findall(r"\| \[(\w+)\]\(\1\.md\) \|", index)) == JOBS


def test_links_lead_somewhere():
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (DOCS / target).exists(), (page, target)


@pytest.mark.parametrize(
    ("job", "title", "schema"),
    [
        ("report", "retrieval.parquet", retrieval_schema()),
        ("transcribe", "transcripts.parquet", transcript_table.SCHEMA),
        ("transcribe", "summary.parquet", summary.SCHEMA),
        ("align", "words.parquet", word_tables.WORDS),
        ("align", "utterances.parquet", word_tables.UTTERANCES),
        ("interpret", "word_pairs.parquet", tables.WORD_PAIRS),
        ("interpret", "sentence_pairs.parquet", tables.SENTENCE_PAIRS),
        ("interpret", "word_types.parquet", tables.WORD_TYPES),
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
    for name, measure in MEASURES.items():
        assert f"| `{name}` |" in (DOCS / "grid.md").read_text(), measure.meaning

"""The data dictionary of a folder in which tables of earlier versions lie."""

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from isogloss.engine.report import report_columns


@pytest.mark.parametrize("said", [None, {"isogloss_version": "0.1"}])
def test_a_table_of_an_earlier_version_is_described_as_far_as_it_says(said, tmp_path):
    table = pa.table({"n": [1], "gone": [2]}).replace_schema_metadata(said)
    parquet.write_table(table, tmp_path / "retrieval.parquet")
    report_columns.write(tmp_path)
    found = pd.read_csv(tmp_path / "columns.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert found.column.tolist() == ["n", "gone"]
    assert found.meaning[0].startswith("Sentences that both languages have")
    assert "earlier version" in found.meaning[1]
    assert set(found.isogloss_version) == {(said or {}).get("isogloss_version", "")}
    assert set(found.created) == {""}

"""What columns.tsv says of the tables beside it."""

import pandas as pd
from pyarrow import parquet


def described(out):
    """Tables that columns.tsv describes; every column of each has a meaning, and Parquet's type and date."""
    found = pd.read_csv(out / "columns.tsv", sep="\t", dtype=str, keep_default_na=False)
    for table, rows in found.groupby("table"):
        schema = parquet.read_schema(out / table)
        assert rows["column"].tolist() == schema.names
        assert rows["type"].tolist() == [str(field.type) for field in schema]
        assert set(rows["isogloss_version"]) == {schema.metadata[b"isogloss_version"].decode()}
        assert set(rows["created"]) == {schema.metadata[b"created"].decode()}
    odd = found["meaning"].str.contains(r"^$|earlier version|`|\]\(")
    assert not odd.any(), found[odd]
    return {name.removesuffix(".parquet") for name in found["table"]}

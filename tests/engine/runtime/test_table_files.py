"""Tables on disk: what isn't one is refused by name."""

import pytest

from isogloss.engine.runtime import table_files


@pytest.mark.parametrize(
    "content", [None, b"", b"no table at all", b"PAR1 and a footer of 64 kB\xff\xff\0\0PAR1"]
)
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "words.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"words\.parquet: not a table in Parquet \(.+\)"):
        table_files.read_parquet(path)

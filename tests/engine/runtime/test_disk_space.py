"""Places of results that are refused before anything is computed."""

import pytest

from isogloss.engine.runtime import disk_space
from isogloss.engine.runtime.refusal import Refusal


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    file = tmp_path / "out"
    file.write_text("mine")
    with pytest.raises(Refusal, match=r"out: must be a folder or nothing yet, and is neither\. Remedy: name"):
        disk_space.require(file, 0, "the tables", "name another --out")
    disk_space.require(tmp_path, 0, "the tables", "name another --out")
    disk_space.require(tmp_path / "not" / "yet", 0, "the tables", "name another --out")

"""engine.runtime.part_files: what is found again, what isn't, notes, and what is dropped."""

import errno

import pyarrow as pa
import pytest

from isogloss.engine.runtime import json_values
from isogloss.engine.runtime.part_files import PartFiles


def parts(folder, *kinds, **described):
    keys = {unit: json_values.fingerprint(of) for unit, of in described.items()}
    return PartFiles(folder=folder, keys=keys, kinds=kinds or ("npy",))


def write(text):
    return lambda path: path.write_text(text)


def test_a_part_is_found_by_the_settings_that_made_it(tmp_path):
    mine = parts(tmp_path, a=[1, "x"], b=[2])
    assert mine.awaited("a")
    mine.save("a", write("one"))
    assert mine.kept("a")
    assert not mine.awaited("a")
    assert not mine.kept("b")
    assert not any([mine.kept("c"), mine.awaited("c")])
    assert mine.path("a", "npy").read_text() == "one"
    assert not parts(tmp_path, a=[1, "y"]).kept("a")
    assert parts(tmp_path, a=[1, "x"]).kept("a")


def test_a_note_ends_the_wait_until_the_unit_is_done(tmp_path):
    mine = parts(tmp_path, a=1)
    mine.save("a", write("old"))
    mine.note("a", "damaged")
    assert not any([mine.kept("a"), mine.awaited("a")])
    assert mine.reason("a") == "damaged"
    assert parts(tmp_path, a=2).reason("a") is None
    mine.save("a", write("new"))
    assert mine.reason("a") is None
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_a_unit_of_two_files_is_kept_with_the_last(tmp_path):
    kinds = ("rows.parquet", "words.parquet")
    old, mine = (parts(tmp_path, *kinds, a=version) for version in (1, 2))
    tables = [pa.table({"n": [number]}) for number in (1, 2)]
    old.save_tables("a", *tables)
    mine.path("a", kinds[0]).write_bytes(old.path("a", kinds[0]).read_bytes())  # killed between the two
    assert not mine.kept("a")
    mine.save_tables("a", *reversed(tables))
    assert [mine.table("a", kind)["n"].to_pylist() for kind in kinds] == [[2], [1]]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_new_part_drops_the_old_one_of_its_unit_alone(tmp_path):
    for unit in ("a", "a.b", "a*", "ä/ö"):
        parts(tmp_path, **{unit: 1}).save(unit, write(unit))
    parts(tmp_path, a=2).save("a", write("new"))
    assert not parts(tmp_path, a=1).kept("a")
    assert parts(tmp_path, a=2).kept("a")
    for unit in ("a.b", "a*", "ä/ö"):
        assert parts(tmp_path, **{unit: 1}).path(unit, "npy").read_text() == unit
    assert all(path.name.isascii() for path in tmp_path.iterdir())


def test_a_part_that_cannot_be_written_leaves_the_old_one(tmp_path):
    parts(tmp_path, a=1).save("a", write("old"))

    def fail(path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "disk full")

    with pytest.raises(OSError, match="disk full"):
        parts(tmp_path, a=2).save("a", fail)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]

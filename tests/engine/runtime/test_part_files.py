"""engine.part_files: what is found again, what isn't, and what is dropped."""

import pytest

from isogloss.engine.runtime import part_files
from isogloss.engine.runtime.part_files import PartFiles


def parts(folder, **described):
    return PartFiles(folder=folder, keys={u: part_files.fingerprint(d) for u, d in described.items()})


def write(text):
    return lambda path: path.write_text(text)


def test_a_part_is_found_by_the_settings_that_made_it(tmp_path):
    mine = parts(tmp_path, a=[1, "x"], b=[2])
    assert not mine.there("a", "txt", "npy")
    mine.save("a", "txt", write("one"))
    assert mine.there("a", "npy", "txt")
    assert not mine.there("a", "npy")
    assert not mine.there("b", "txt")
    assert not mine.there("c", "txt")
    assert mine.path("a", "txt").read_text() == "one"
    assert not parts(tmp_path, a=[1, "y"]).there("a", "txt")
    assert parts(tmp_path, a=[1, "x"]).there("a", "txt")


def test_a_new_part_drops_the_old_one_of_its_unit_alone(tmp_path):
    for unit in ("a", "a.b", "a*", "ä/ö"):
        parts(tmp_path, **{unit: 1}).save(unit, "txt", write(unit))
    parts(tmp_path, a=2).save("a", "npy", write("new"))
    assert not parts(tmp_path, a=1).there("a", "txt")
    assert parts(tmp_path, a=2).there("a", "npy")
    for unit in ("a.b", "a*", "ä/ö"):
        assert parts(tmp_path, **{unit: 1}).path(unit, "txt").read_text() == unit
    assert all(path.name.isascii() for path in tmp_path.iterdir())


def test_a_part_that_cannot_be_written_leaves_the_old_one(tmp_path):
    parts(tmp_path, a=1).save("a", "txt", write("old"))

    def fail(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        parts(tmp_path, a=2).save("a", "txt", fail)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_the_order_of_a_description_does_not_matter():
    assert part_files.fingerprint({"a": 1, "b": 2}) == part_files.fingerprint({"b": 2, "a": 1})
    assert part_files.fingerprint(["a", "b"]) != part_files.fingerprint(["b", "a"])

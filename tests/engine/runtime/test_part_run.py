"""engine.runtime.part_run: units that fail beside others, what is awaited, and the join of all parts."""

import logging

import pyarrow as pa
import pytest

from isogloss.engine.runtime import part_run
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress

SCHEMA = pa.schema([("n", pa.int64())])


class BrokenError(Exception):
    """The unit can't be computed."""


def tables(number):
    if number < 0:
        raise BrokenError(f"{number} is below 0")
    return (pa.table({"n": [number, number]}, SCHEMA),)


@pytest.fixture
def parts(tmp_path):
    return PartFiles(folder=tmp_path, keys={name: 16 * "0" for name in "abc"})


def compute(parts, **units):
    progress = Progress("job", len(units), "units")
    return part_run.compute(parts, units, tables, progress, BrokenError)


def test_a_unit_that_fails_leaves_the_others(parts, caplog):
    with caplog.at_level(logging.INFO):
        assert compute(parts, a=-1, c=3) == {"a": "-1 is below 0"}
        found = part_run.standing(parts, ["c", "b", "a"], "units")
    assert (found.kept, found.failed, found.waiting) == (["c"], {"a": "-1 is below 0"}, 1)
    assert {"a: -1 is below 0"} < set(caplog.messages)
    assert any(message.startswith("other shards have not finished 1 units") for message in caplog.messages)


def test_a_unit_that_failed_is_tried_again(parts):
    compute(parts, a=-1)
    assert compute(parts, a=1, b=2) == {}
    found = part_run.standing(parts, ["b", "a"], "units")
    assert (found.kept, found.failed, found.waiting) == (["b", "a"], {}, 0)
    assert part_run.joined(parts, found.kept, SCHEMA)["n"].to_pylist() == [2, 2, 1, 1]
    assert part_run.joined(parts, [], SCHEMA).schema == SCHEMA


def test_another_fault_ends_the_run(parts):
    with pytest.raises(TypeError):
        compute(parts, a="x")


def test_time_is_that_of_the_first_unit(monkeypatch):
    clock = iter([10.0, 12.5])
    monkeypatch.setattr(part_run.time, "monotonic", lambda: next(clock))
    assert part_run.estimated_seconds([1, 2, 3], tables, BrokenError) == 7.5
    assert part_run.estimated_seconds([], tables, BrokenError) == 0
    monkeypatch.undo()
    assert part_run.estimated_seconds([-1, 2], tables, BrokenError) == 0

"""Results computed ahead: their order, how many wait, and exceptions; several sources at once."""

import threading

import pytest
from processes import PATIENCE

from isogloss.engine.runtime.ahead import as_they_come, computed_ahead


def test_results_come_in_order_and_a_bounded_number_is_begun():
    begun, first_may_end = [], threading.Event()

    def compute(item):
        if item == 0:
            assert first_may_end.wait(PATIENCE)  # later items are done before it
        return 10 * item

    def items():
        for item in range(7):
            begun.append(item)
            yield item

    results = []
    for item, future in computed_ahead(items(), compute, threads=2, ahead=3):
        assert begun == list(range(min(7, item + 3)))
        first_may_end.set()
        results.append(future.result())
    assert results == [0, 10, 20, 30, 40, 50, 60]


def test_an_exception_is_of_its_own_item():
    found = dict(computed_ahead([2, 0, 1], lambda item: 1 / item, threads=1, ahead=2))
    assert (found[2].result(), found[1].result()) == (0.5, 1.0)
    with pytest.raises(ZeroDivisionError):
        found[0].result()


def test_nothing_gives_nothing():
    assert list(computed_ahead([], abs, threads=1, ahead=1)) == []


def test_several_sources_run_at_once_and_give_all_their_items():
    """Each waits for the other within its first item, so one thread alone would never end."""
    both = threading.Barrier(2)

    def items(start):
        both.wait(PATIENCE)
        yield from range(start, start + 5)

    found = list(as_they_come([items(0), items(10), (n for n in ())]))
    assert [n for n in found if n < 10] == list(range(5))
    assert [n for n in found if n >= 10] == list(range(10, 15))


def test_a_source_makes_one_item_ahead():
    made = []
    waiting = threading.Semaphore(0)

    def items():
        for item in range(4):
            made.append(item)
            waiting.release()
            yield item

    source = as_they_come([items()])
    assert next(source) == 0
    assert waiting.acquire(timeout=PATIENCE)  # of the first item
    for item in range(1, 4):
        assert waiting.acquire(timeout=PATIENCE)
        assert made == list(range(item + 1))
        assert next(source) == item
    assert list(source) == []


def test_a_failure_closes_the_other_sources():
    ended = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            ended.set()

    def failing():
        yield 1
        raise OSError("unreadable")

    other = endless()  # kept here, or it would be closed when it is forgotten
    with pytest.raises(OSError, match="unreadable"):
        list(as_they_come([other, failing()]))
    assert ended.is_set()


def test_closing_it_closes_the_sources_when_their_items_are_made():
    """The source is within its second item when that is asked for, and is let on by another thread."""
    within, on, ended = threading.Event(), threading.Event(), threading.Event()

    def items():
        try:
            yield 1
            within.set()
            assert on.wait(PATIENCE)
            yield 2
        finally:
            ended.set()

    source = items()
    together = as_they_come([source])
    assert next(together) == 1
    assert within.wait(PATIENCE)
    threading.Timer(0.1, on.set).start()
    together.close()
    assert ended.is_set()

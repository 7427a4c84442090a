"""Results computed ahead: their order, how many wait, and exceptions."""

import threading

import pytest
from processes import PATIENCE

from isogloss.engine.runtime.ahead import computed_ahead


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

"""What is counted and compared, and what spoils a figure. No test looks at a time."""

import secrets
import types

import jax
import numba
import numpy as np
import pytest

from isogloss.engine.bench import timing
from isogloss.engine.bench.timing import Case, Check, TimedTask


def task(name, call, **fields):
    return TimedTask(name=name, call=call, unit="G/s", **{"work": 2.0, **fields})


def measure(*tasks, rounds=3):
    *ours, yardstick = tasks
    case = Case(title="work", tasks=tuple(ours), yardstick=yardstick)
    return timing.measure("suite", case, rounds, shortest=0.0, rest=0.0)


@pytest.fixture
def clock(monkeypatch):
    """A clock that only `clock.pass_time` advances."""
    found = types.SimpleNamespace(now=0.0)
    found.pass_time = lambda seconds: setattr(found, "now", found.now + seconds)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: found.now)
    return found


def test_roles_rates_and_ratios(clock):
    rows = measure(
        task("a", lambda: clock.pass_time(0.5), effort=8.0),
        task("b", lambda: clock.pass_time(2.0), effort=8.0),
        task("c", lambda: clock.pass_time(1.0), work=32.0),
    )
    assert [row.role for row in rows] == ["ours", "peer", "yardstick"]
    assert [row.seconds for row in rows] == [0.5, 2.0, 1.0]
    assert [row.rate for row in rows] == [4.0, 1.0, 32.0]
    assert [row.of_yardstick for row in rows] == [0.5, 0.125, 1.0]
    assert [row.ours_over for row in rows] == [None, 4.0, None]


def test_ratios_are_taken_within_a_round(clock):
    """A machine that slows down from round to round slows all alike."""
    slowness = iter([1, 1, 1, 1, 1, 1, 10, 10, 100, 100])  # warm-up, then three rounds of two tasks

    rows = measure(
        task("a", lambda: clock.pass_time(1.0 * next(slowness))),
        task("b", lambda: clock.pass_time(2.0 * next(slowness))),
    )
    assert rows[0].of_yardstick == 2.0
    assert rows[0].spread > 1


def test_rounds_begin_with_another_task_each_time():
    order = []
    measure(*(task(name, lambda name=name: order.append(name)) for name in "abc"))
    assert "".join(order[6:]) == "abcbcacab"


@pytest.mark.parametrize("calls", [1, 3])
def test_what_is_prepared_is_prepared_before_every_call(calls):
    log = []
    made = task("a", lambda: log.append("call"), prepare=lambda: log.append("prepare"), calls=calls)
    measure(made, task("b", lambda: None), rounds=2)
    assert log == ["prepare", "call"] * 4


def test_short_calls_are_repeated_in_a_sample(clock):
    calls = []

    def call():
        calls.append(1)
        clock.pass_time(0.25)

    case = Case(title="work", tasks=(task("a", call),), yardstick=None)
    [row] = timing.measure("suite", case, 1, shortest=1.0, rest=0.0)
    assert len(calls) == 2 + 4
    assert (row.seconds, row.role, row.of_yardstick) == (0.25, "yardstick", None)


def test_calls_that_follow_each_other_are_one_sample(clock):
    lengths = iter([1.0, 1.0, 4.0, 1.0, 1.0])  # the first two warm up

    case = Case(
        title="work", tasks=(task("a", lambda: clock.pass_time(next(lengths)), calls=3),), yardstick=None
    )
    [row] = timing.measure("suite", case, 1, shortest=0.0, rest=0.0)
    assert row.seconds == 2.0
    assert next(lengths, None) is None


@pytest.mark.parametrize(("error", "fault"), [(0.0, False), (0.5, False), (0.75, True), (np.nan, True)])
def test_an_error_beyond_its_bound_is_a_fault(error, fault):
    checked = task("a", lambda: 7, check=lambda result: Check(error=error * result / 7, bound=0.5))
    [row, _] = measure(checked, task("b", lambda: None))
    assert bool(row.fault) == fault
    assert not fault or row.fault.startswith("suite, work, a: error")


@pytest.fixture
def unseen():
    """A number that makes a program which no earlier run of the tests has kept in the folder of programs."""
    return secrets.randbelow(2**30)


@pytest.mark.parametrize("compile", [jax.jit, numba.njit])
def test_programs_of_the_warm_up_are_counted_apart(compile, unseen):
    add = compile(lambda x: x + unseen)
    rows = measure(task("a", lambda: add(1)), task("b", lambda: None))
    assert [(row.compiled, row.compiled_timed, row.fault) for row in rows] == [(1, 0, ""), (0, 0, "")]


def test_a_program_compiled_while_it_is_timed_is_a_fault(unseen):
    lengths = iter(range(1, 100))
    add = jax.jit(lambda x: x + unseen)
    grows = lambda: add(np.zeros(next(lengths), np.float32))  # noqa: E731
    [row, _] = measure(task("a", grows), task("b", lambda: None))
    assert (row.compiled, row.compiled_timed) == (2, 3)
    assert "3 programs were compiled while it was timed" in row.fault

"""Timing of tasks against each other: warm-up, interleaved rounds, medians, ratios, what was compiled.

Every round runs each task of a case once, beginning with another one each time, and ratios are taken within
a round, so that changes of the machine's speed affect all tasks alike. A call ends when its result is ready.
Times are wall seconds.
"""

import dataclasses
import math
import time
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float

from isogloss.engine.runtime import compilation, temporary

SHORTEST = 0.1
"""Seconds of a sample at least: faster tasks are called several times."""
REST = 0.3
"""Seconds before a sample: threads of the last task's library (OpenBLAS's, OpenMP's) spin while they wait for
more work, and would take processors from the next task."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """Error of a result against the float64 reference, and its bound."""

    error: float
    bound: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimedTask:
    """A call that is timed.

    Attributes:
      name: of the implementation.
      call: does the work once and returns its result.
      work: useful work of one call, in `unit` * seconds.
      unit: of the rate, such as "GFLOP/s".
      effort: useful work of one call in the units of the case's yardstick; `work` if None.
      calls: in a row in each sample, at least; for work that follows upon itself when it is in use.
      prepare: untimed preparation of one call, which is then made once a round.
      check: compares a result of `call` with the reference.
    """

    name: str
    call: Callable[[], object]
    work: float
    unit: str
    effort: float | None = None
    calls: int = 1
    prepare: Callable[[], object] | None = None
    check: Callable[[object], Check] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Tasks that do the same work, ours first, and the yardstick they are compared with.

    Attributes:
      title: the work in words.
      tasks: ours, then what it is compared with.
      yardstick: the best of this machine; None if the tasks are yardsticks themselves.
      folder: of the files that the tasks use, removed after the case.
    """

    title: str
    tasks: tuple[TimedTask, ...]
    yardstick: TimedTask | None
    folder: temporary.Folder | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Measurements of one task.

    Attributes:
      suite: of the case.
      work: title of the case.
      name: of the task.
      role: "ours", "peer" (any implementation that ours is compared with) or "yardstick".
      seconds: median of a call.
      spread: interquartile range over the median.
      rate: work over median seconds, in `unit`.
      unit: of the rate.
      of_yardstick: its share of the yardstick's speed, median over rounds.
      ours_over: speed of ours over this one's, median over rounds; None for ours and the yardstick.
      compiled: XLA programs and Numba functions that the warm-up compiled.
      compiled_timed: the same in the timed part; above 0 the figure is invalid.
      error: largest error of a result of this run, None if it isn't checked.
      bound: what the error may be.
      rounds: timed rounds.
    """

    suite: str
    work: str
    name: str
    role: str
    seconds: float
    spread: float
    rate: float
    unit: str
    of_yardstick: float | None
    ours_over: float | None
    compiled: int
    compiled_timed: int
    error: float | None
    bound: float | None
    rounds: int

    @property
    def fault(self) -> str:
        """Reason why the figure is invalid; "" if it is valid."""
        faults = []
        if self.error is not None and self.bound is not None and not self.error <= self.bound:
            faults.append(f"error {self.error:.2g} exceeds {self.bound:.2g}")
        if self.compiled_timed:
            faults.append(f"{self.compiled_timed} programs were compiled while it was timed")
        return f"{self.suite}, {self.work}, {self.name}: {'; '.join(faults)}" if faults else ""


def measure(
    suite: str, case: Case, rounds: int, *, shortest: float = SHORTEST, rest: float = REST
) -> list[Row]:
    """Rows of a case: its tasks, ours first, then its yardstick.

    Args:
      suite: name for the rows.
      case: what is timed.
      rounds: how often, after the warm-up.
      shortest: seconds that a sample takes at least.
      rest: seconds before each sample.
    """
    tasks = (*case.tasks, case.yardstick) if case.yardstick else case.tasks
    warm = [_warm_up(task, shortest) for task in tasks]
    counted = compilation.keep(None, "numba")
    seconds = np.zeros((rounds, len(tasks)))
    compiled = np.zeros(len(tasks), int)
    # Each round begins with another task, so that none always starts on what another left.
    for turn in range(rounds):
        for place in range(len(tasks)):
            t = (turn + place) % len(tasks)
            before = counted()["compiled"]
            time.sleep(rest)
            seconds[turn, t] = _sample(tasks[t], warm[t].calls)
            compiled[t] += counted()["compiled"] - before
    found = _Samples(tasks=tasks, seconds=seconds, standalone=case.yardstick is None)
    return [
        _row(suite, case.title, found, t, warm=warm[t], compiled_timed=int(compiled[t]))
        for t in range(len(tasks))
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Samples:
    """Seconds of every task in every round.

    Attributes:
      tasks: ours first, the yardstick last.
      seconds: of a call.
      standalone: whether the tasks are all yardsticks, which aren't compared.
    """

    tasks: tuple[TimedTask, ...]
    seconds: Float[np.ndarray, "rounds tasks"]
    standalone: bool

    def ratio(self, of: int, to: int, amount: Callable[[TimedTask], float]) -> float:
        """Median over rounds of one task's speed over another's."""
        # The median of ratios, not the ratio of medians: a round in which the machine slows down slows both.
        share = amount(self.tasks[of]) / amount(self.tasks[to])
        return float(np.median(share * self.seconds[:, to] / self.seconds[:, of]))


def _row(suite: str, title: str, samples: _Samples, t: int, *, warm: "_Warm", compiled_timed: int) -> Row:
    task = samples.tasks[t]
    low, median, high = np.percentile(samples.seconds[:, t], [25, 50, 75])
    yardstick = samples.standalone or t == len(samples.tasks) - 1
    to_yardstick = None if samples.standalone else samples.ratio(t, -1, _effort)
    return Row(
        suite=suite,
        work=title,
        name=task.name,
        role="yardstick" if yardstick else "peer" if t else "ours",
        seconds=float(median),
        spread=float((high - low) / median),
        rate=float(task.work / median),
        unit=task.unit,
        of_yardstick=to_yardstick,
        ours_over=samples.ratio(0, t, lambda task: task.work) if t and not yardstick else None,
        compiled=warm.compiled,
        compiled_timed=compiled_timed,
        error=warm.check.error if warm.check else None,
        bound=warm.check.bound if warm.check else None,
        rounds=len(samples.seconds),
    )


def _effort(task: TimedTask) -> float:
    return task.work if task.effort is None else task.effort


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Warm:
    """A task after its warm-up: calls of a sample, number of compiled programs, check of its result."""

    calls: int
    compiled: int
    check: Check | None


def _warm_up(task: TimedTask, shortest: float) -> _Warm:
    """Warm task: called twice, the second time to time a call and check its result."""
    counted = compilation.keep(None, "numba")
    _sample(task, 1)  # compiles, so its time means nothing
    if task.prepare:
        task.prepare()
    start = time.perf_counter()
    result = jax.block_until_ready(task.call())
    seconds = time.perf_counter() - start
    compiled = counted()["compiled"]
    # What must be prepared anew for each call, such as an empty store, can't be called twice in a sample.
    calls = 1 if task.prepare else max(task.calls, math.ceil(shortest / max(seconds, 1e-6)))
    return _Warm(calls=calls, compiled=compiled, check=task.check(result) if task.check else None)


def _sample(task: TimedTask, calls: int) -> float:
    """Mean seconds of a call over `calls` in a row."""
    if task.prepare:
        task.prepare()
    start = time.perf_counter()
    # JAX returns before the work is done, so each call is waited for.
    for _ in range(calls):
        jax.block_until_ready(task.call())
    return (time.perf_counter() - start) / calls

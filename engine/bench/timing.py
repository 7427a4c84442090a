"""Timing of tasks against each other: warm-up, interleaved rounds, medians, ratios, what was compiled.

Every round runs each task of a case once, beginning with another one each time, and ratios are taken within
a round, so that a machine whose speed wanders slows all alike. A call ends when its result is ready. Knows
nothing of what it times; times are wall seconds.
"""

import dataclasses
import math
import tempfile
import time
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float

from isogloss.engine.runtime import compilation

# Seconds of a sample: what is faster is called several times, so that threads of the task before, which
# may still be waiting for work (OpenMP's do), cost it little.
SHORTEST = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """How far a result is from the float64 reference, and how far it may be."""

    error: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the bound; NaN is not."""
        return self.error <= self.bound


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimedTask:
    """Something that is timed.

    Attributes:
      name: of the implementation.
      call: does the work once and gives its result.
      work: useful work of one call, in `unit` * seconds.
      unit: of the rate, such as "GFLOP/s".
      effort: useful work of one call in what the case's yardstick counts; `work` if None.
      prepare: makes one call possible, untimed; the call is then made once a round.
      check: compares a result of `call` with the reference.
    """

    name: str
    call: Callable[[], object]
    work: float
    unit: str
    effort: float | None = None
    prepare: Callable[[], object] | None = None
    check: Callable[[object], Check] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Tasks that do the same work, ours first, and the yardstick they are held against.

    Attributes:
      title: the work in words.
      tasks: ours, then what it is compared with.
      yardstick: what the machine can do at best; None where the tasks are yardsticks themselves.
      folder: of the files that the tasks use, gone when the case is.
    """

    title: str
    tasks: tuple[TimedTask, ...]
    yardstick: TimedTask | None
    folder: tempfile.TemporaryDirectory[str] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one task.

    Attributes:
      suite: which part of the project.
      work: title of the case.
      name: of the task.
      role: "ours", "peer" (what ours is compared with, be it another form of ours) or "yardstick".
      seconds: median of a call.
      spread: interquartile range over the median.
      rate: work over median seconds, in `unit`.
      unit: of the rate.
      of_yardstick: its share of the yardstick's speed, median over rounds.
      ours_over: speed of ours over this one's, median over rounds; None for ours and the yardstick.
      compiled: XLA programs and Numba functions that the warm-up compiled.
      compiled_timed: the same in the timed part; more than 0 spoils the figure.
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
        """What makes the figure worthless; empty if nothing does."""
        faults = []
        if self.error is not None and self.bound is not None and not self.error <= self.bound:
            faults.append(f"error {self.error:.2g} exceeds {self.bound:.2g}")
        if self.compiled_timed:
            faults.append(f"{self.compiled_timed} programs were compiled while it was timed")
        return f"{self.suite}, {self.work}, {self.name}: {'; '.join(faults)}" if faults else ""


def measure(suite: str, case: Case, rounds: int, *, shortest: float = SHORTEST) -> list[Row]:
    """Rows of a case: its tasks, ours first, then its yardstick.

    Args:
      suite: name for the rows.
      case: what is timed.
      rounds: how often, after the warm-up.
      shortest: seconds that a sample takes at least.
    """
    tasks = (*case.tasks, case.yardstick) if case.yardstick else case.tasks
    warm = [_warm_up(task, shortest) for task in tasks]
    counted = compilation.keep(None, "numba")
    seconds = np.zeros((rounds, len(tasks)))
    compiled = np.zeros(len(tasks), int)
    for turn in range(rounds):
        for place in range(len(tasks)):
            t = (turn + place) % len(tasks)
            before = counted()["compiled"]
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
      standalone: the tasks are all yardsticks, not held against each other.
    """

    tasks: tuple[TimedTask, ...]
    seconds: Float[np.ndarray, "rounds tasks"]
    standalone: bool

    def ratio(self, of: int, to: int, amount: Callable[[TimedTask], float]) -> float:
        """Median over rounds of one task's speed over another's."""
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
    """A task after its warm-up: calls of a sample, what it compiled, how right it is."""

    calls: int
    compiled: int
    check: Check | None


def _warm_up(task: TimedTask, shortest: float) -> _Warm:
    """Run a task twice, the second time to see how long a call takes, and check what it gave."""
    counted = compilation.keep(None, "numba")
    _sample(task, 1)
    if task.prepare:
        task.prepare()
    start = time.perf_counter()
    result = jax.block_until_ready(task.call())
    seconds = time.perf_counter() - start
    compiled = counted()["compiled"]
    calls = 1 if task.prepare else max(1, math.ceil(shortest / max(seconds, 1e-6)))
    return _Warm(calls=calls, compiled=compiled, check=task.check(result) if task.check else None)


def _sample(task: TimedTask, calls: int) -> float:
    """Seconds of a call, mean of so many in a row."""
    if task.prepare:
        task.prepare()
    start = time.perf_counter()
    for _ in range(calls):
        jax.block_until_ready(task.call())
    return (time.perf_counter() - start) / calls

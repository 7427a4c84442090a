"""Findings of an acceptance: what was wanted and what was found, and the stopwatch that found it.

Needs JAX alone, which brings NumPy. A call ends when its result is ready; times are wall seconds.
"""

import dataclasses
import logging
import math
import statistics
import time
from collections.abc import Callable, Iterator

import jax

ROUNDS = 3
Call = Callable[[], object]
_LOG = logging.getLogger(__name__)
_ALL = "all"  # name of what a stage lacks that can't run at all


class OutOfTime(Exception):
    """It is too late to begin another figure."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One figure.

    Attributes:
      stage: of the acceptance.
      name: of the figure.
      found: None if it couldn't be found; `note` then has the reason.
      unit: such as "GCUPS"; "" for shares, which are printed as percentages.
      wanted: least value wanted; None if none is.
      bound: most that an error may be; None if it isn't an error.
      left_out: whether it wasn't measured because a package is missing.
      note: for people.
    """

    stage: str
    name: str
    found: float | None
    unit: str = ""
    wanted: float | None = None
    bound: float | None = None
    left_out: bool = False
    note: str = ""

    @property
    def place(self) -> str:
        """Stage, and which of its figures if it isn't the whole stage."""
        return self.stage if self.name == _ALL else f"{self.stage}: {self.name}"

    @property
    def wrong(self) -> bool:
        """True if nothing was found, or an error exceeds its bound; NaN does."""
        return self.found is None or (self.bound is not None and not self.found <= self.bound)

    @property
    def short(self) -> bool:
        """True if less was found than wanted."""
        return self.found is not None and self.wanted is not None and not self.found >= self.wanted


def absent(stage: str, name: str, error: ImportError) -> Finding:
    """Finding of a case that needs a missing package; raises the error if it is a part of isogloss."""
    # A broken module of ours must not pass for a missing package.
    if str(error.name).startswith("isogloss"):
        raise error
    return Finding(stage=stage, name=name, found=float("nan"), left_out=True, note=f"left out: {error}")


def attempted(
    stage: str, name: str, part: Callable[[], Iterator[Finding]], watch: "Stopwatch"
) -> Iterator[Finding]:
    """Figures of a part of a stage; the reason if it can't run here, or fails, whatever that is.

    Args:
      stage: of the acceptance.
      name: of the part; "" for the whole stage.
      part: makes the figures.
      watch: knows when it is too late to begin.

    Raises:
      OutOfTime: it is too late for the part, or for the next of its figures.
    """
    watch.begin()
    _LOG.info("%s: %s", stage, name or _ALL)
    failed = None
    try:
        try:
            yield from part()
        except ModuleNotFoundError as error:
            yield absent(stage, name or _ALL, error)
    except OutOfTime:
        raise
    except Exception as error:  # noqa: BLE001 too little memory for one must not cost the others their hour
        _LOG.exception("%s: %s", stage, name or _ALL)
        reason = f"{type(error).__name__}: {str(error)[:300]}"
        failed = Finding(stage=stage, name=f"{name}: failed" if name else "failed", found=None, note=reason)
    # Not where it was caught: what the error holds on a device is free before the next part begins.
    if failed:
        yield failed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Yardstick:
    """A dense product that others are compared with.

    Attributes:
      name: of its number format.
      call: computes the product.
      flops: of one call.
    """

    name: str
    call: Call
    flops: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stopwatch:
    """Times of calls, none of which begins too late.

    Attributes:
      shortest: seconds that a sample takes at least, whatever a call takes.
      until: when the last may begin, by `time.monotonic`.
    """

    shortest: float
    until: float = math.inf

    def begin(self) -> None:
        """Raise OutOfTime if it is too late; a stage asks before whatever takes long, not at its end."""
        if time.monotonic() > self.until:
            raise OutOfTime

    def seconds(self, *calls: Call) -> tuple[float, ...]:
        """Median seconds of each of some calls, timed in turns so that a change of clock hits all."""
        self.begin()
        # All are compiled before any is timed.
        repeats = [self._warm(call) for call in calls]
        samples = [
            [_sample(call, repeat) for call, repeat in zip(calls, repeats, strict=True)]
            for _ in range(ROUNDS)
        ]
        return tuple(map(statistics.median, zip(*samples, strict=True)))

    def share(self, call: Call, flops: float, yardstick: Yardstick) -> tuple[float, float]:
        """FLOP/s of a call, and their share of the yardstick's in the same turns."""
        # In the same turns, because a clock may halve from one minute to the next.
        mine, its = self.seconds(call, yardstick.call)
        return flops / mine, (flops / mine) / (yardstick.flops / its)

    def _warm(self, call: Call) -> int:
        """Calls of a sample; the first call compiles."""
        jax.block_until_ready(call())
        return max(1, math.ceil(self.shortest / max(_sample(call, 1), 1e-6)))


def _sample(call: Call, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(call())
    return (time.perf_counter() - start) / repeats
